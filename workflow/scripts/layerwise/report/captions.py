"""The part of a caption that follows from the plotted data: subjects, seeds, intervals, n, judges, default layer."""

from pandas import DataFrame

from layerwise.report.style import Style


def join(*sentences: str) -> str:
    """The sentences that are not empty, as one paragraph."""
    return " ".join(sentence for sentence in sentences if sentence)


def settings(
    data: DataFrame, style: Style, unit: str = "prompts", scale: float = 100, points: str = "points", bars: str = ""
) -> str:
    """Everything a reader must know about a figure of lines; or of bars, where `bars` says what the whiskers show."""
    mean = data["seed"].eq("all").any()
    return join(
        subjects(data, style),
        seeds(data, bars),
        interval(data, scale, points, "Whiskers" if bars else "Shaded", mean),
        numbers(data, unit),
        judges(data, style),
        default(data, style, "Triangle" if bars else ""),
        "" if bars else "Lines are shifted sideways so that identical ones stay visible.",
        partial(data),
    )


def subjects(data: DataFrame, style: Style) -> str:
    names = "; ".join(style.model(id) for id in data["model"].unique())
    if style.organisms(data):
        return f"Model organisms ({names}), trained here in a synthetic world; not LLaVA or Llama."
    if any(style.study.models[id].assembled for id in data["model"].unique()):
        return f"{names}, assembled and aligned here from published backbones; not LLaVA or Llama."
    return f"Models: {names}."


def seeds(data: DataFrame, bars: str = "") -> str:
    named = [seed for seed in data["seed"].unique() if seed not in ("", "all")]
    if len(named) < 2:
        return f"One seed ({named[0]})." if named else ""
    mean, listed = f"mean over {len(named)} seeds", ", ".join(named)
    if bars:
        return f"Bars: {mean} ({listed}); whiskers: smallest to largest seed, {bars}."
    return f"Thick lines: {mean} ({listed}), shaded from the smallest to the largest; thin lines: single seeds."


def interval(data: DataFrame, scale: float, points: str, mark: str, mean: bool) -> str:
    """The width of the 95 % intervals: for one seed they are drawn, as `mark`; beside a mean they are only stated."""
    single = data[data["seed"] != "all"]
    half = (single["high"] - single["low"]).max() / 2 * scale
    if half != half:
        return ""
    width = f"at most ±{half:.3g} {points}".strip()
    return f"The 95 % interval of a single seed is {width}." if mean else f"{mark}: 95 % intervals, {width}."


def numbers(data: DataFrame, unit: str) -> str:
    counts = data.loc[(data["seed"] != "all") & (data["n"] > 0), "n"]
    if counts.empty:
        return ""
    low, high = int(counts.min()), int(counts.max())
    return f"n = {low if low == high else f'{low} to {high}'} {unit} per point."


def judges(data: DataFrame, style: Style) -> str:
    shown = data.loc[data["dataset"] != "", ["judge", "dataset"]].drop_duplicates()
    names = [style.judge(id) for id in shown["judge"].unique() if id]
    pairs = {(one, dataset) for judges, dataset in shown.itertuples(index=False) for one in judges.split("+")}
    mistaken = [
        one.said(style.judge(one.judge), style.dataset(one.dataset))
        for one in style.study.mismatches
        if (one.judge, one.dataset) in pairs
    ]
    return join(f"Judged by: {', '.join(names)}." if names else "", *mistaken)


def default(data: DataFrame, style: Style, mark: str = "") -> str:
    """Which exit layer is the default, and how it is marked."""
    layers = data.loc[data["default"]].drop_duplicates("model")
    if layers["layer"].nunique() == 1:
        return f"{mark or 'Dotted'}: the default layer, {layers['layer'].iloc[0]}."
    each = ", ".join(f"{style.model(row.model)} {row.layer}" for row in layers.itertuples())
    return f"{mark or 'Ringed'}: the default layer ({each})." if each else ""


def partial(data: DataFrame) -> str:
    missing = int((~data["complete"]).sum())
    return f"PARTIAL: {missing} of {len(data)} values lack responses." if missing else ""
