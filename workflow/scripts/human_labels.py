"""Compare the judges that tell refusals from answers with labels given by people."""

from pathlib import Path

import pandas as pd

from layerwise import assets, files, plugins
from layerwise.analysis import human_labels
from layerwise.jobs import program
from layerwise.judging import rows
from layerwise.records import Prompt, Response


def main(argv: list[str]) -> None:
    options = program.parser(__doc__)
    options.add_argument("--sources", type=Path, nargs="+", required=True, help="receipts, <dataset>.<source>.json")
    options.add_argument("--weights", type=Path, nargs="*", default=[], help="receipts or checkpoints of the judges")
    options.add_argument("--output", type=Path, required=True, help="CSV: precision, recall, F1 by judge and half")
    arguments = options.parse_args(argv)
    spec = arguments.spec
    sources = {path.stem.removeprefix(f"{spec['dataset']}."): assets.resolve(path) for path in arguments.sources}
    builder = plugins.find("prompts.builders", spec["builder"])
    labelled = builder.labelled(spec, sources)
    pairs = [pair(number, row.request, row.response) for number, row in enumerate(labelled)]
    _, responses, labels, halves = zip(*labelled, strict=True)
    found = []
    for id, settings in spec["judges"].items():
        weights = [path for path in arguments.weights if owner(path) == id]
        module = plugins.find("judging.judges", settings["judge"])
        judge = module.Judge(module.Options(**settings["options"]), weights)
        said = [label for label, _ in rows.ask(judge, id, pairs)]
        found += human_labels.rows(id, said, labels, responses, halves)
    with files.atomic(arguments.output) as stream:
        table = pd.DataFrame(found, columns=human_labels.COLUMNS)
        table.to_csv(stream, index=False, float_format="%.6g")


def pair(number: int, request: str, response: str) -> rows.Pair:
    """A labelled response as a judge gets it; the request counts as harmful, since every judge handles that kind."""
    prompt = Prompt(f"labelled-{number:03d}", "labelled", request, None, None, "harmful", str(number))
    return prompt, Response("", prompt.id, "labelled", 0, response, len(response.split()), "stop")


def owner(weights: Path) -> str:
    """The judge whose weights these are: `<judge>.json`, `<judge>.base.json`, or in the folder of a trained one."""
    return weights.stem.removesuffix(".base") if weights.suffix == ".json" else weights.parent.name


if __name__ == "__main__":
    program.run(main)
