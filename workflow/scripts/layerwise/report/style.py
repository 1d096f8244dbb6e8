"""How every figure looks: sizes for print, one colour and one marker for each arm or model, names for readers.

Colours come from the experiment's `palette`, so an arm has the same one everywhere; what has none there takes the next
of Okabe and Ito's colours (https://jfly.uni-koeln.de/color/), which all common kinds of colour vision tell apart.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from pandas import DataFrame

from layerwise.files import atomic
from layerwise.study.study import Study

# Columns of a two-column A4 page, in inches.
SINGLE, DOUBLE = 3.4, 7.0
LETTERS = 18.5  # of text at its usual size, in an inch

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
MARKERS = ("o", "s", "^", "v", "D", "P", "X", "*")
# Tol's "muted" scheme, which shares no colour with the one above.
CUES = {"item": "#999933", "shallow": "#AA4499", "deep": "#332288", "text": "#117733"}
ANSWERED = {"answered": "#CC6677"}  # where no judge tells harmful from harmless
OUTCOMES = {"asr": "#882255", "harmless": "#DDCC77", "incoherent": "#BBBBBB", "refusal": "#44AA99"}
INK, QUIET, WARNING = "#222222", "#8A8A8A", "#B00020"

RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so text is set alike on every machine
    "font.size": 7.0,  # of labels and legends too
    **dict.fromkeys(("axes.titlesize", "figure.titlesize"), 7.5),
    **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
    **dict.fromkeys(("axes.linewidth", "xtick.major.width", "ytick.major.width"), 0.6),
    **dict.fromkeys(("xtick.major.size", "ytick.major.size"), 2.0),
    **dict.fromkeys(("xtick.major.pad", "ytick.major.pad"), 2.0),
    "axes.edgecolor": QUIET,
    "axes.titlelocation": "left",
    "axes.labelpad": 2.5,
    "axes.grid.axis": "y",
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.5,
    "hatch.linewidth": 0.5,
    "legend.frameon": False,
    "legend.handlelength": 2.2,
    "legend.columnspacing": 1.4,
    "pdf.fonttype": 42,
    "svg.hashsalt": "layerwise",
    "figure.constrained_layout.w_pad": 0.02,
    "figure.constrained_layout.h_pad": 0.02,
}


@contextmanager
def theme() -> Iterator[None]:
    """Draw inside this block."""
    with sns.axes_style("whitegrid"), matplotlib.rc_context(RC):
        yield


class Style:
    """Names and looks of what an experiment studies."""

    def __init__(self, study: Study) -> None:
        self.study = study
        series = dict.fromkeys((subject.id, subject.arm or "") for subject in study.subjects)
        self.order = list(series)
        looks = list(dict.fromkeys(arm or model for model, arm in series))
        spare = [colour for colour in OKABE_ITO if colour not in study.experiment.palette.values()]
        rest = iter(look for look in looks if look not in study.experiment.palette)
        self._colours = {look: (spare or OKABE_ITO)[i % len(spare or OKABE_ITO)] for i, look in enumerate(rest)}
        self._colours |= study.experiment.palette
        self._markers = {look: MARKERS[i % len(MARKERS)] for i, look in enumerate(looks)}

    def colour(self, model: str, arm: str) -> str:
        return self._colours[arm or model]

    def marker(self, model: str, arm: str) -> str:
        return self._markers[arm or model]

    def label(self, model: str, arm: str, shown: list[tuple[str, str]]) -> str:
        """A series among those shown: its arm, its model, or both where both are needed."""
        if not arm:
            return self.model(model)
        return arm if len({other for other, _ in shown}) == 1 else f"{self.model(model)}, {arm}"

    def model(self, id: str) -> str:
        return self.study.models[id].display

    def dataset(self, id: str) -> str:
        return self.study.datasets[id].display

    def judge(self, id: str) -> str:
        """A judge's name; of several that decide together (`refusal+coherence+guard`) all, in the order of asking."""
        return ", then ".join(self.study.judges[one].display for one in id.split("+"))

    def cue(self, dataset: str) -> str | None:
        """The depth of the cue in a data set of the synthetic world; None in any other."""
        return self.study.datasets[dataset].options.get("cue")

    def organisms(self, data: DataFrame) -> bool:
        """Whether what is shown are organisms, trained by the workflow."""
        return any(self.study.models[id].organism for id in data["model"].unique())


def grid(rows: int, columns: int, width: float, height: float, **shared: Any) -> tuple[Figure, list]:
    """An empty figure (inches) and its axes, `rows` lists of `columns`; labels can not run into each other."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **shared)
    sns.despine(figure)
    return figure, axes.tolist()


def title(name: str, data: DataFrame, panels: int = 1) -> str:
    """A panel's title with the n of a single point, the largest where they differ.

    More panels than four in a row are too narrow for both on one line.
    """
    counts = data.loc[data["seed"] != "all", "n"]
    most = int(counts.max())
    apart = " " if panels <= 4 else "\n"
    return f"{name}{apart}(n {'=' if (counts[counts > 0] == most).all() else '≤'} {most})"


def mark_partial(figure: Figure, data: DataFrame) -> None:
    """Say above the legend that something is lacking, if the plotted data lack it."""
    if not data["complete"].all():
        text = f"PARTIAL: {int((~data['complete']).sum())} of {len(data)} values lack responses"
        (legend,) = figure.legends
        legend.set_title(text, prop=FontProperties(weight="bold", size=RC["figure.titlesize"]))
        legend.set_alignment("left")
        legend.get_title().set_color(WARNING)


def save(figure: Figure, data: DataFrame, path: Path) -> None:
    """Write PDF, SVG, PNG and the plotted data beside each other; the same figure gives the same bytes."""
    figure.draw_without_rendering()  # lays the figure out, once for all three
    figure.set_layout_engine("none")
    undated = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}, ".png": {"Software": None}}
    for suffix, metadata in undated.items():
        with atomic(path.with_suffix(suffix), binary=True) as stream:
            figure.savefig(stream, format=suffix[1:], dpi=200, metadata=metadata)
    with atomic(path.with_suffix(".csv")) as stream:
        data.to_csv(stream, index=False, float_format="%.6g")
