"""Compare judges with labels given by people, on each data set of labelled responses and for each model that spoke."""

import sys
from pathlib import Path

import pandas as pd

from layerwise import assets, files, plugins
from layerwise.analysis import human_labels
from layerwise.jobs import gpus, program
from layerwise.judging import controls, rows
from layerwise.prompts.labelled import Labelled
from layerwise.records import Prompt, Response

BATCH = 64


def main(argv: list[str]) -> None:
    options = program.parser(__doc__)
    options.add_argument("--sources", type=Path, nargs="+", required=True, help="receipts, <dataset>.<source>.json")
    options.add_argument("--weights", type=Path, nargs="*", default=[], help="receipts or checkpoints of the judges")
    options.add_argument("--output", type=Path, required=True, help="CSV: precision, recall, F1 by judge and model")
    options.add_argument("--gpus", type=int, default=0, help="how many GPUs to claim, if there are any")
    arguments = options.parse_args(argv)
    spec = arguments.spec
    gpus.claim(arguments.gpus)
    labelled = {}
    for id, settings in spec["datasets"].items():
        builder = plugins.find("prompts.builders", settings["builder"])
        sources = {name: assets.resolve(one_of(arguments.sources, f"{id}.{name}")) for name in settings["sources"]}
        labels = builder.labels(builder.Options(**settings["options"]))
        labelled[id] = labels, builder.labelled({"dataset": id, **settings}, sources)
    found: list[tuple] = []
    for id, settings in spec["judges"].items():
        found += compare(id, settings, [path for path in arguments.weights if controls.owner(path) == id], labelled)
    with files.atomic(arguments.output) as stream:
        table = pd.DataFrame(found, columns=human_labels.COLUMNS)
        table.to_csv(stream, index=False, float_format="%.6g")


def compare(
    id: str, settings: dict, weights: list[Path], labelled: dict[str, tuple[tuple[str, str], list[Labelled]]]
) -> list[tuple]:
    """The rows of one judge, which is in memory no longer than this takes."""
    module = plugins.find("judging.judges", settings["judge"])
    judge = module.Judge(module.Options(**settings["options"]), weights)
    found: list[tuple] = []
    for dataset, (labels, answers) in labelled.items():
        if set(labels) <= set(settings["labels"]):
            said = answer(judge, id, dataset, answers)
            seen = getattr(module, "MADE_WITH", ())
            measured = list(human_labels.rows(id, dataset, labels[0], said, answers, seen))
            tell(measured)
            found += measured
    return found


def tell(measured: list[tuple]) -> None:
    """Print a line for each model: `refusal on xstest-completions/gpt4: precision 100.0, …, f1 98.8 (n = 441)`."""
    table = pd.DataFrame(measured, columns=human_labels.COLUMNS)
    for (judge, dataset, model), cells in table.groupby(["judge", "dataset", "model"], sort=False):
        values = ", ".join(f"{row.metric} {100 * row.value:.1f}" for row in cells.itertuples())
        place = f"{dataset}/{model}" if model else dataset
        print(f"{judge} on {place}: {values} (n = {cells['n'].max()})", file=sys.stderr)


def answer(judge: rows.Judge, id: str, dataset: str, answers: list[Labelled]) -> list[str]:
    """A judge's label of each labelled response."""
    pairs = [pair(number, row) for number, row in enumerate(answers)]
    batches = [pairs[start : start + BATCH] for start in range(0, len(pairs), BATCH)]
    said: list[str] = []
    for batch in program.progress(batches, len(batches), f"{id}: batches of {dataset}"):
        said += [one.label for one in rows.ask(judge, id, batch)]
    return said


def pair(number: int, row: Labelled) -> rows.Pair:
    """A labelled response as a judge gets it; the request counts as harmful, since every judge handles that kind."""
    prompt = Prompt(f"labelled-{number:04d}", "labelled", row.request, None, None, "harmful", str(number))
    return prompt, Response("", prompt.id, "labelled", 0, row.response, len(row.response.split()), "stop")


def one_of(receipts: list[Path], name: str) -> Path:
    """The receipt of this name."""
    return next(path for path in receipts if path.stem == name)


if __name__ == "__main__":
    program.run(main)
