"""Typeset the paper of one experiment as PDF, from its numbers, tables and figures. Equal inputs give equal bytes."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import typst

from layerwise.errors import InputError
from layerwise.files import atomic
from layerwise.jobs import program
from layerwise.paths import ROOT

MAIN = "paper/main.typ"
SHORTEST = 8  # points that a page may lose


def main(argv: list[str]) -> None:
    options = program.parser(__doc__)
    options.add_argument("--inputs", type=Path, nargs="+", required=True, help="numbers, tables and figures to print")
    options.add_argument("--output", type=Path, required=True, help="the PDF")
    arguments = options.parse_args(argv)
    run = arguments.output.parents[1]
    files = sorted(path.relative_to(run).as_posix() for path in arguments.inputs)
    inputs = {"spec": json.dumps(arguments.spec), "files": json.dumps(files)}
    with tempfile.TemporaryDirectory() as folder:
        lay(Path(folder), arguments.spec["sources"], run)
        pages = typeset(Path(folder), inputs)
    with atomic(arguments.output, binary=True) as stream:
        stream.write(pages)


def lay(folder: Path, sources: Iterable[str], run: Path) -> None:
    """Gather what the paper reads, wherever the run is: copies of its sources, and links to results and figures.

    Sources are copied because Typst refuses a text that is a link to somewhere outside its root.
    """
    for name in sources:
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    for made in ("results", "figures"):
        (folder / made).symlink_to(Path(os.path.abspath(run), made))


def typeset(root: Path, inputs: dict[str, str], shorter: int = 0) -> bytes:
    """The PDF of the paper's text below a root; `inputs` are its `sys.inputs`. Raises InputError naming file and line.

    Only the fonts in the typst wheel are used, so that pages break alike on every machine. Where a float meets the end
    of a page, Typst sometimes fails to write a PDF's tags, which hold the descriptions of figures
    (github.com/typst/typst/issues/8776). Then pages are made `shorter`, point by point, and break elsewhere.
    """
    given = {**inputs, "shorter": str(shorter)}
    try:
        return typst.compile(root / MAIN, root=root, sys_inputs=given, ignore_system_fonts=True, format="pdf")
    except typst.TypstError as error:
        if error.message.startswith("internal error") and shorter < SHORTEST:
            return typeset(root, inputs, shorter + 1)
        # The last place in the diagnostic is where the text itself calls what failed.
        places = re.findall(r"┌─ (.+?):(\d+):\d+", error.diagnostic) or [(root / MAIN, "?")]
        path = os.path.relpath(os.path.realpath(places[-1][0]), root.resolve())
        hints = "".join(f" {hint}." for hint in error.hints)
        raise InputError(f"{path}, line {places[-1][1]}: {error.message}.{hints}") from error


if __name__ == "__main__":
    program.run(main)
