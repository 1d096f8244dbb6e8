"""The outcome of each registered prediction in each seed, after a check of which models are able.

The predictions are in `organisms.py` and `assembled.py`. An outcome is `not able` if a model failed a gate, whatever
its numbers; `not testable` if something that the prediction is about is missing, even the results of one exit layer;
otherwise `holds` or `fails`.
"""

from collections.abc import Callable, Iterator

import pandas as pd

from layerwise.analysis import results
from layerwise.analysis.evidence import Evidence, NotTested
from layerwise.analysis.predictions import assembled, organisms
from layerwise.analysis.predictions.finding import Finding, Prediction

COLUMNS = [*("prediction", "model", "arm", "seed", "statement", "quantity", "value", "threshold", "outcome", "detail")]


def predictions(evidence: Evidence, gates: pd.DataFrame, asserted: bool) -> pd.DataFrame:
    """Every registered prediction with its outcome in each seed, with the columns of `predictions.csv`.

    If `asserted` is false, a failed gate only appears in `detail`: training was too short for outcomes to mean much.
    """
    rows: list[tuple] = []
    for part, module in ((evidence.organisms, organisms), (evidence.assembled, assembled)):
        if len(part):
            rows.extend(_rows(module.REGISTERED, results.studied(part), evidence, gates, asserted))
    if len(evidence.organisms):
        rows.extend(_dose_rows(evidence, gates, asserted))
    return pd.DataFrame(rows, columns=COLUMNS)


def _rows(
    registered: tuple[Prediction, ...], listed: pd.DataFrame, evidence: Evidence, gates: pd.DataFrame, asserted: bool
) -> Iterator[tuple]:
    """Predictions on single models, for each seed that one of their arms has."""
    for model, seed in listed[["model", "seed"]].drop_duplicates().itertuples(index=False):
        for prediction in registered:
            for arm in prediction.arms:
                about = (prediction.name, model, arm, seed, prediction.statement, prediction.quantity)
                able = [(model, which, seed) for which in (arm, *prediction.compared)]
                finding = _decided(prediction.decide, evidence, model, arm, seed)
                yield *about, *_outcome(finding, _failed(gates, able), asserted)


def _dose_rows(evidence: Evidence, gates: pd.DataFrame, asserted: bool) -> Iterator[tuple]:
    """P5, for each arm and seed with several doses."""
    listed, main = evidence.organisms, results.studied(evidence.organisms)
    said = (organisms.DOSE, organisms.DOSE_QUANTITY)
    if len(main) == len(listed):
        missing = "no organism with another number of frozen blocks is in the experiment"
        first = main.iloc[0]
        yield "P5", first["model"], organisms.TUNED, first["seed"], *said, *_outcome(missing, ([], []), True)
        return
    for (arm, seed), doses in results.doses(listed).groupby(["arm", "seed"], sort=False):
        model = next((model for model in doses["model"] if model in set(main["model"])), doses["model"].iloc[0])
        able = list(doses[["model", "arm", "seed"]].itertuples(index=False, name=None))
        finding = _decided(organisms.p5, evidence, doses)
        yield "P5", model, arm, seed, *said, *_outcome(finding, _failed(gates, able), asserted)


def _decided(decide: Callable[..., Finding], *arguments: object) -> Finding | str:
    """The finding, or a text that says what is missing."""
    try:
        return decide(*arguments)
    except NotTested as missing:
        return str(missing)


def _failed(gates: pd.DataFrame, models: list[tuple[str, str, str]]) -> tuple[list[str], list[str]]:
    """In words: the gates that each of these models failed, and those that could not be tried."""
    failed: list[str] = []
    untried: list[str] = []
    for model, arm, seed in models:
        own = gates[gates["model"].eq(model) & gates["arm"].eq(arm) & gates["seed"].eq(seed)]
        wrong = own[own["passed"].eq(False).fillna(False)]
        if len(wrong):
            values = [
                f"{' '.join(filter(None, [row.gate, row.dataset]))} {row.value:.3f}" for row in wrong.itertuples()
            ]
            failed.append(f"{model} {arm}: {', '.join(values)}")
        untried.extend(f"{model} {arm}: {gate} has no value" for gate in own.loc[own["passed"].isna(), "gate"])
    return failed, untried


def _outcome(
    finding: Finding | str, gates: tuple[list[str], list[str]], asserted: bool
) -> tuple[float | None, float | None, str, str]:
    """Value, threshold, outcome and detail. Ability is checked before the numbers are read."""
    failed, untried = gates
    value, threshold = (None, None) if isinstance(finding, str) else finding[:2]
    if asserted and failed:
        return value, threshold, "not able", "; ".join(failed)
    if isinstance(finding, str) or (asserted and untried):
        return value, threshold, "not testable", finding if isinstance(finding, str) else "; ".join(untried)
    note = f" (gates failed, not asserted: {'; '.join(failed)})" if failed else ""
    return value, threshold, "holds" if finding.holds else "fails", finding.detail + note
