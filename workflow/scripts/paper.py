"""Typeset the paper of one experiment as PDF, from its numbers, tables and figures. Equal inputs give equal bytes."""

import json
import re
from pathlib import Path

import typst

from layerwise.errors import InputError
from layerwise.files import atomic
from layerwise.jobs import program


def main(argv: list[str]) -> None:
    options = program.parser(__doc__)
    options.add_argument("--main", type=Path, required=True, help="the paper's text, in a folder of the repository")
    options.add_argument("--inputs", type=Path, nargs="+", required=True, help="numbers, tables and figures to print")
    options.add_argument("--output", type=Path, required=True, help="the PDF")
    arguments = options.parse_args(argv)
    root = arguments.main.resolve().parents[1]
    files = sorted(path.resolve().relative_to(root).as_posix() for path in arguments.inputs)
    inputs = {"spec": json.dumps(arguments.spec), "files": json.dumps(files)}
    pages = typeset(arguments.main, root, inputs)
    with atomic(arguments.output, binary=True) as stream:
        stream.write(pages)


def typeset(source: Path, root: Path, inputs: dict[str, str]) -> bytes:
    """The PDF of a Typst file; `inputs` are its `sys.inputs`. Raises InputError naming file and line.

    Fonts are those in the typst wheel alone, so that a page is broken alike on every machine.
    """
    try:
        return typst.compile(source, root=root, sys_inputs=inputs, ignore_system_fonts=True, format="pdf")
    except typst.TypstError as error:
        # The last place in the diagnostic is where the text itself calls what failed.
        places = re.findall(r"┌─ (.+?):(\d+):\d+", error.diagnostic) or [(str(source), "?")]
        hints = "".join(f" {hint}." for hint in error.hints)
        raise InputError(f"{places[-1][0]}, line {places[-1][1]}: {error.message}.{hints}") from error


if __name__ == "__main__":
    program.run(main)
