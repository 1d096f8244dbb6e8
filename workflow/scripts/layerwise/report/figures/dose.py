"""Dose and response: the depth at which the deep cue forms in the encoder, and the exit that tells hazards apart.

The dose is the number of encoder blocks frozen while the cue is learned. The response is the refusal gap: the share of
hazards refused minus the share of their benign twins refused.
"""

from collections.abc import Iterator
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from pandas import DataFrame

from layerwise.analysis import results
from layerwise.report import captions, lines, shown
from layerwise.report.findings import TOLD_APART, Frames, exits
from layerwise.report.style import QUIET, SINGLE, Style, grid, mark_partial, title
from layerwise.report.text import Names, number

INPUTS = ("metrics", "probes")
WHEN = ["doses", "refusal_gap", "probed"]

MARKERS = ("o", "s", "D", "P")
READABLE: dict[str, Any] = {
    "marker": "v",
    "markersize": 4.5,
    "markeredgewidth": 0,
    "linestyle": "none",
    "clip_on": False,
}


def data(frames: dict[str, DataFrame], subjects: DataFrame) -> DataFrame:
    """Refusal gap and deep-cue probe at each dose, for the seed that all doses share, with the column `dose`."""
    compared = results.doses(subjects)
    found = pd.concat(
        [
            shown.cells(frames["metrics"], compared, ["refusal_gap"]),
            shown.probed(frames["probes"], compared, ["deep"]),
        ],
        ignore_index=True,
    )
    return found.assign(dose=found["model"].map(compared.set_index("model")["frozen_blocks"]).astype(int))


def onsets(data: DataFrame) -> dict[int, int]:
    """The first exit layer at which the deep cue is readable, by dose; doses without such a layer are left out."""
    probes = data[data["metric"] == "deep"].groupby("dose")
    found = {int(dose): results.first_exit(rows, results.ONSET) for dose, rows in probes}
    return {dose: layer for dose, layer in found.items() if layer is not None}


def draw(data: DataFrame, style: Style) -> Figure:
    found = data[data["metric"] == "refusal_gap"]
    found = found[found["dataset"].map(style.cue) == "deep"]
    doses = sorted(found["dose"].unique())
    own = style.colour(found["model"].iloc[0], found["arm"].iloc[0])
    shades = sns.blend_palette(["#F5AE78", own, "#3D1B00"], len(doses))
    looks = {
        str(dose): lines.Look(to_hex(shade), marker, f"{dose} frozen blocks")
        for dose, shade, marker in zip(doses, shades, MARKERS, strict=False)
    }
    figure, ((axes,),) = grid(1, 1, SINGLE, 2.5)
    lines.panel(axes, found.assign(line=found["dose"].astype(str)), looks)
    lines.percent(axes, found)
    axes.set(xlabel="Exit layer", ylabel="Refusal gap (points)")
    axes.set_title(title("Deep cue", found), pad=10)
    begins = onsets(data)
    for i, (dose, look) in enumerate(looks.items()):
        if (layer := begins.get(int(dose))) is not None:
            at = layer + 0.25 * (i - (len(looks) - 1) / 2)  # side by side if two doses share an onset
            axes.plot(at, 1.04, transform=axes.get_xaxis_transform(), color=look.colour, **READABLE)
    readable = Line2D([], [], color=QUIET, **READABLE, label=f"cue linearly readable (AUC ≥ {results.ONSET})")
    lines.legend(figure, found, looks, readable)
    mark_partial(figure, data)
    return figure


def caption(data: DataFrame, style: Style) -> str:
    doses, begins = sorted(data["dose"].unique()), onsets(data)
    said = ", ".join(f"{dose} blocks: {f'exit {begins[dose]}' if dose in begins else 'no exit'}" for dose in doses)
    return captions.join(
        f"Dose and response, arm {data['arm'].iloc[0]}. Dose: the depth at which the deep cue forms, as the number of"
        " encoder blocks frozen while it is learned. Response: the refusal gap, refusals of hazards minus refusals of"
        f" their benign twins. Triangles: the first exit at which the deep-cue probe reaches an AUC of {results.ONSET}"
        f" ({said}).",
        captions.settings(data[data["metric"] == "refusal_gap"], style, unit="pairs"),
    )


def finding(frames: Frames, subjects: pd.DataFrame, names: Names) -> Iterator[str]:
    """For each dose, the exit at which the deep cue becomes linearly readable, and the one at which it is acted on."""
    compared = results.doses(subjects)
    read = shown.probed(frames["probes"], compared, ["deep"])
    acts = shown.cells(frames["metrics"], compared, ["refusal_gap"])
    for frozen, of_dose in compared.groupby("frozen_blocks"):
        readable, told = (rows[rows["model"].isin(of_dose["model"])] for rows in (read, acts))
        for _, rows in told[told["dataset"].map(names.cues).eq("deep")].groupby("dataset", sort=False):
            yield (
                f"With {frozen:.0f} frozen blocks the cue is first linearly readable at"
                f" {exits(readable, results.ONSET)}; the refusal gap first reaches"
                f" {number(TOLD_APART, digits=0)} points at {exits(rows, TOLD_APART)}."
            )
