"""What was studied, in the words that the page shows: subjects, data sets, judges, outcomes, metrics."""

from collections.abc import Mapping, Sequence
from os.path import commonprefix
from typing import Any

import pandas as pd

from layerwise.analysis import results
from layerwise.report.style import ANSWERED as ANSWERED_COLOUR
from layerwise.report.style import OKABE_ITO, OUTCOMES, QUIET, Style
from layerwise.vocabulary import OUTCOME_OF, described

Said = dict[str, Any]
# Of answers to visual questions: Okabe and Ito's colours that no outcome has.
OF_VISION = {"right": "#56B4E9", "wrong": "#E69F00"}


def subjects(listed: Sequence[dict], probes: pd.DataFrame | None, style: Style) -> list[Said]:
    """Each set of weights, with its exit layers and the onset: the first exit at which the deep cue is readable."""
    table = results.subjects(listed)
    found = []
    for subject in table.itertuples():
        found.append(
            {
                "name": subject.name,
                "model": subject.model,
                "arm": subject.arm,
                "seed": subject.seed,
                "layers": list(subject.layers),
                "blocks": int(subject.blocks),
                "default": int(subject.default_layer),
                "onset": onset(subject.model, subject.seed, table, probes),
                "label": subject.arm or style.model(subject.model),
                "aligned": bool(subject.aligned),
                "colour": style.colour(subject.model, subject.arm),
            }
        )
    return found


def onset(model: str, seed: str, listed: pd.DataFrame, probes: pd.DataFrame | None) -> int | None:
    """The first exit at which a probe reads the deep cue; all arms of a model and seed share the encoder."""
    if probes is None or "probe" not in probes:
        return None
    encoder = listed[listed["model"].eq(model) & listed["seed"].eq(seed)]["name"]
    rows = probes[probes["subject"].isin(encoder) & probes["probe"].eq("deep")].drop_duplicates("layer")
    return results.first_exit(rows, results.ONSET)


def datasets(spec: Mapping[str, Any], style: Style) -> list[Said]:
    """Each data set, with what the page may show of it."""
    return [
        {
            "id": id,
            "display": style.dataset(id),
            "cue": style.cue(id),
            "twins": id in spec["twins"],
            **spec["shown"][id],
        }
        for id in spec["datasets"]
    ]


def judges(spec: Mapping[str, Any], style: Style) -> list[Said]:
    """Each judge: what it may say, and which outcome each of its labels claims."""
    return [
        {"id": id, "display": style.judge(id), "labels": list(judge["labels"]), "claims": judge["claims"]}
        for id, judge in spec["judges"].items()
    ]


def marks(names: Sequence[str], vision: str | None) -> list[Said]:
    """What a response can be, each with a colour and a letter of its own, so that nothing depends on colour alone.

    `metric` is the one whose share it is; `vision` is that of visual questions.
    """
    metric = {outcome: metric for metric, outcome in OUTCOME_OF.items()} | ({"right": vision} if vision else {})
    own = OUTCOMES | ANSWERED_COLOUR
    spare = iter(colour for colour in OKABE_ITO[3:] if colour not in OF_VISION.values())
    found: list[Said] = []
    for name in names:
        colour = OF_VISION.get(name) or own.get(metric.get(name, name)) or own.get(name) or next(spare, QUIET)
        sign = {"right": "✓", "wrong": "✗"}.get(name) or letter(name, found)
        about = {"id": name, "word": name.replace("_", " "), "metric": metric.get(name)}
        found.append(about | {"letter": sign, "colour": colour})
    return found


def letter(name: str, others: Sequence[Said]) -> str:
    """The first letter of a word, or where another word has it the first one in which the two differ."""
    taken = {one["letter"]: one["id"] for one in others}
    start = 0
    if first := taken.get(name[0].upper()):
        start = len(commonprefix([name, first]))
    return next((sign.upper() for sign in name[start:] + name if sign.upper() not in taken), "?")


def metrics(spec: Mapping[str, Any]) -> dict[str, Said]:
    """Names and units of all metrics that the experiment can have."""
    return {id: about._asdict() for id, about in described(spec["metrics"]).items()}
