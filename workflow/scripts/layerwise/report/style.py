"""How every figure looks: sizes for print, one colour and one marker for each arm or model, display names.

Colours come from the experiment's `palette`, so an arm has the same colour everywhere. Whatever the palette lacks takes
the next of Okabe and Ito's colours (https://jfly.uni-koeln.de/color/), which remain distinct in all common forms of
colour blindness.
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
LETTERS = 18.5  # letters per inch, at the usual size of text

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
MARKERS = ("o", "s", "^", "v", "D", "P", "X", "*")
# Tol's "muted" scheme, which shares no colour with Okabe and Ito's.
CUES = {"item": "#999933", "shallow": "#AA4499", "deep": "#332288", "text": "#117733"}
ANSWERED = {"answered": "#CC6677"}  # used where no judge tells harmful from harmless
OUTCOMES = {
    "asr": "#882255",
    "off_target": "#EE99AA",
    "harmless": "#DDCC77",
    "incoherent": "#BBBBBB",
    "refusal": "#44AA99",
}
INK, QUIET, WARNING = "#222222", "#8A8A8A", "#B00020"

RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # ships with matplotlib, so text looks the same on every machine
    "font.size": 7.0,  # labels and legends included
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
    """The theme of every figure, for the drawing done inside this block."""
    with sns.axes_style("whitegrid"), matplotlib.rc_context(RC):
        yield


class Style:
    """Names, colours and markers of what an experiment studies."""

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
        """The label of a series: its arm, its model, or both if the series shown need both."""
        if not arm:
            return self.model(model)
        return arm if len({other for other, _ in shown}) == 1 else f"{self.model(model)}, {arm}"

    def model(self, id: str) -> str:
        return self.study.models[id].display

    def dataset(self, id: str) -> str:
        return self.study.datasets[id].display

    def judge(self, id: str) -> str:
        """A judge's name; for several that decide together (`refusal+coherence+guard`), all names in order."""
        return ", then ".join(self.study.judges[one].display for one in id.split("+"))

    def cue(self, dataset: str) -> str | None:
        """The depth of the cue in a data set of the synthetic world; None for any other data set."""
        return self.study.datasets[dataset].options.get("cue")

    def organisms(self, data: DataFrame) -> bool:
        """Whether any of the models shown is an organism."""
        return any(self.study.models[id].organism for id in data["model"].unique())


def grid(rows: int, columns: int, width: float, height: float, **shared: Any) -> tuple[Figure, list]:
    """An empty figure (size in inches) and its axes, `rows` lists of `columns`; its layout keeps labels apart."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **shared)
    sns.despine(figure)
    return figure, axes.tolist()


def title(name: str, data: DataFrame, panels: int = 1) -> str:
    """A panel's title with the n of a single point, or the largest n if they differ.

    With more than four panels in a row, n moves to a second line.
    """
    counts = data.loc[data["seed"] != "all", "n"]
    most = int(counts.max())
    apart = " " if panels <= 4 else "\n"
    return f"{name}{apart}(n {'=' if (counts[counts > 0] == most).all() else '≤'} {most})"


def mark_partial(figure: Figure, data: DataFrame) -> None:
    """Say above the legend how many values lack responses, if any do."""
    if not data["complete"].all():
        text = f"PARTIAL: {int((~data['complete']).sum())} of {len(data)} values lack responses"
        (legend,) = figure.legends
        legend.set_title(text, prop=FontProperties(weight="bold", size=RC["figure.titlesize"]))
        legend.set_alignment("left")
        legend.get_title().set_color(WARNING)


def save(figure: Figure, data: DataFrame, path: Path) -> None:
    """Write PDF, SVG, PNG and the plotted data side by side; the same figure gives the same bytes."""
    figure.draw_without_rendering()  # computes the layout once, for all three formats
    figure.set_layout_engine("none")
    undated = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}, ".png": {"Software": None}}
    for suffix, metadata in undated.items():
        with atomic(path.with_suffix(suffix), binary=True) as stream:
            figure.savefig(stream, format=suffix[1:], dpi=200, metadata=metadata)
    with atomic(path.with_suffix(".csv")) as stream:
        data.to_csv(stream, index=False, float_format="%.6g")
