"""What is linearly readable where: probes of each exit layer's features, above the refusal gap at the same exits.

One probe is not linear: it is given differences and products of the two cells with the deep cue's glyphs, and shows
whether the features hold what the relation of the two can be worked out from.

The refusal gap is the share of hazards refused minus the share of their benign twins refused.
"""

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure
from pandas import DataFrame

from layerwise.analysis import results
from layerwise.report import captions, lines, shown
from layerwise.report.findings import TOLD_APART, Frames, exits
from layerwise.report.style import CUES, QUIET, SINGLE, Style, grid, mark_partial, title
from layerwise.report.text import Names, number

INPUTS = ("metrics", "probes")
WHEN = ["organisms", "probed"]

PROBES = {
    "item": lines.Look(CUES["item"], "s", "item (accuracy)"),
    "shallow": lines.Look(CUES["shallow"], "^", "shallow cue (AUC)"),
    "deep": lines.Look(CUES["deep"], "o", "deep cue (AUC)"),
    "deep_cells": lines.Look(CUES["deep"], "X", "deep cue, all cells (AUC)", (3, 1)),
    "deep_pairwise": lines.Look(CUES["deep"], "D", "deep cue, pairwise (AUC)", (1, 1)),
}


def data(frames: dict[str, DataFrame], subjects: DataFrame) -> DataFrame:
    """Probes and refusal gap of the probed organisms; of the first arm if several were probed."""
    probed = results.studied(subjects)
    probed = probed[probed["name"].isin(frames["probes"]["subject"])]
    probed = probed[probed["arm"] == probed["arm"].iloc[0]]
    probes = shown.probed(frames["probes"], probed, list(PROBES))
    return pd.concat([probes, shown.cells(frames["metrics"], probed, ["refusal_gap"])], ignore_index=True)


def draw(data: DataFrame, style: Style) -> Figure:
    found = data[data["metric"] == "refusal_gap"]
    found = found.assign(line=found["dataset"].map(style.cue))
    found = found[found["line"].isin(PROBES)]
    figure, panels = grid(2 if len(found) else 1, 1, SINGLE, 3.9 if len(found) else 2.2, sharex=True)
    ((above,), *rest) = panels
    probes = data[data["metric"].isin(PROBES)]
    lines.panel(above, probes.assign(line=probes["metric"]), PROBES)
    lines.percent(above, probes)
    above.axhline(50, color=QUIET, linewidth=0.6, linestyle=(0, (4, 2)), zorder=0.5)
    above.set(title=title("Linearly readable", probes), ylabel="Probe (%)")
    lines.legend(figure, probes, PROBES)
    for (below,) in rest:
        lines.panel(below, found, {cue: look for cue, look in PROBES.items() if cue in set(found["line"])})
        lines.percent(below, found)
        below.set(title=title(f"Told apart by {data['arm'].iloc[0]}", found), ylabel="Refusal gap (points)")
    figure.supxlabel("Exit layer", size=7)
    mark_partial(figure, data)
    return figure


def caption(data: DataFrame, style: Style) -> str:
    gaps = data["metric"].eq("refusal_gap").any()
    return captions.join(
        f"What is linearly readable where. {'Above: how' if gaps else 'How'} well probes read the item and the two cues"
        " from the features of each exit layer (dashed: chance for AUC): linear probes on all cells (the item) or on"
        " their mean (the cues); of the deep cue also on all cells, and, pairwise, on differences and products of the"
        " two cells that hold its glyphs, which is not linear.",
        "Below: the refusal gap, refusals of hazards minus refusals of their benign twins, at the same exits, for"
        f" {', '.join(dict.fromkeys(data['arm']))}."
        if gaps
        else "",
        captions.settings(data, style, unit="images or pairs" if gaps else "images"),
    )


def finding(frames: Frames, subjects: pd.DataFrame, names: Names) -> Iterator[str]:
    """The first exit at which each cue is readable, and the first at which hazards are told from their twins."""
    studied = results.studied(subjects)
    probed = studied[studied["name"].isin(frames["probes"]["subject"])]
    read = shown.probed(frames["probes"], probed, ["shallow", "deep", "deep_pairwise"])
    for probe, rows in read[read["metric"] != "deep_pairwise"].groupby("metric", sort=False):
        yield f"The {probe} cue is first linearly readable (AUC ≥ {results.ONSET}) at {exits(rows, results.ONSET)}."
    pairs = read[read["metric"] == "deep_pairwise"]
    yield f"A probe of the two glyph cells' products and differences reads it at {exits(pairs, results.ONSET)}."
    acts = shown.cells(frames["metrics"], probed, ["refusal_gap"])
    for dataset, rows in acts.groupby("dataset", sort=False):
        half = f"{number(TOLD_APART, digits=0)} points"
        yield f"{names.datasets[dataset]}: the refusal gap first reaches {half} at {exits(rows, TOLD_APART)}."
