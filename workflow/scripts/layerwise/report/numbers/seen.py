"""A sentence or two on what each figure shows, with its numbers, made from the data: no direction is typed by hand."""

from collections.abc import Callable, Iterator

import pandas as pd

from layerwise.analysis import results
from layerwise.report import shown
from layerwise.report.numbers.collect import SPACE, Record, plain, points, record, share
from layerwise.report.text import Names, number
from layerwise.vocabulary import OUTCOME_OF

Frames = dict[str, pd.DataFrame]
DISCRIMINATES = 0.5  # refusals of hazards less refusals of twins from which on an exit tells them apart
REFUSES = 0.5  # refusals at the default layer below which there is little safety that another exit could lose


def seen(
    frames: Frames, subjects: pd.DataFrame, names: Names, deep: list[str], aligned: list[str]
) -> Iterator[tuple[str, Record]]:
    """The sentences of every figure whose data there are, under the keys `seen.<figure>`.

    `deep` has the data sets whose harm hangs on the deep cue, `aligned` the arms that were tuned to refuse: sentences
    on refusals speak of no others.
    """
    studied = results.studied(subjects)
    tuned = studied[studied["arm"].isin(["", *aligned])]
    ways: tuple[tuple[str, Callable, pd.DataFrame, tuple[str, ...]], ...] = (
        ("refusal-and-harm", refusal_and_harm, tuned, ("metrics",)),
        ("outcomes", outcomes, tuned, ("metrics",)),
        ("toxicity", toxicity, studied, ("metrics",)),
        ("ability", ability, studied, ("metrics",)),
        ("probes", probes, studied, ("metrics", "probes")),
        ("drift", drift, studied, ("probes",)),
        ("predictions", predictions, studied, ("predictions",)),
        ("human-labels", human_labels, studied, ("human_labels",)),
    )
    for figure, say, of_whom, needs in ways:
        if len(of_whom) and all(name in frames for name in needs):
            text = " ".join(say(frames, of_whom, names))
            if text:
                yield f"seen.{figure}", record(None, text, ", ".join(f"{name}.csv" for name in needs), "number")
    organisms = subjects[subjects["frozen_blocks"].notna()]
    extra = organisms[~organisms["name"].isin(studied["name"])]
    if "probes" in frames and len(extra):
        text = " ".join(dose(frames, subjects, deep))
        yield "seen.dose", record(None, text, "metrics.csv, probes", "number")


def series(row: pd.Series, names: Names) -> str:
    """What a series is called in a sentence."""
    return row["arm"] or names.models[row["model"]]


def changes(cells: pd.DataFrame) -> pd.DataFrame:
    """For each series, data set and metric the exit layer that differs most from the default one: a row each.

    `change` is the difference of its mean, `smallest` and `largest` those of single seeds, `n` responses a seed.
    """
    keys = [*results.SERIES, "dataset", "judge", "metric"]
    base = cells[cells["default"]].set_index([*keys, "seed"])["value"].rename("base")
    others = cells[~cells["default"]].join(base, on=[*keys, "seed"])
    others["change"] = others["value"] - others["base"]
    single = others[others["seed"] != "all"].groupby([*keys, "layer"])
    span = single.agg(smallest=("change", "min"), largest=("change", "max"), n=("n", "max"))
    means = others[others["mean"]].drop(columns="n").join(span, on=[*keys, "layer"]).dropna(subset="change")
    most = means["change"].abs().groupby([means[key] for key in keys], sort=False).idxmax()
    default = cells[cells["default"]].drop_duplicates("model").set_index("model")["layer"].rename("default_layer")
    return means.loc[most].join(default, on="model")


def change(row: pd.Series, paired: pd.DataFrame | None = None) -> str:
    """`by +83.0 points (seeds: +42.0 to +100.0; n = 200)`, of one seed with its interval, where `paired` has it."""
    if row["seed"] == "all":
        span = f"seeds: {_bare(row['smallest'])} to {_bare(row['largest'])}; "
        return f"by {points(row['change'])} ({span}n = {row['n']})"
    limits = ""
    if paired is not None:
        keys = [*results.SERIES, "seed", "dataset", "metric", "layer"]
        same = paired[(paired[keys] == row[keys].to_numpy()).all(axis=1)]
        limits = "".join(f" [{_bare(low)}, {_bare(high)}]" for low, high in zip(same["low"], same["high"], strict=True))
    return f"by {points(row['change'])}{limits} (n = {row['n']})"


def _bare(value: float) -> str:
    return points(value).removesuffix(f"{SPACE}points")


def refusal_and_harm(frames: Frames, subjects: pd.DataFrame, names: Names) -> Iterator[str]:
    """Where the harmful share, or the one answered, differs most from that at the default layer, on each data set."""
    cells = shown.cells(frames["metrics"], subjects, ["asr", "answered", "refusal"])
    refusals = cells[(cells["metric"] == "refusal") & cells["default"] & cells["mean"]]
    if (refusals["value"] < REFUSES).all():
        yield f"No aligned model refuses {share(REFUSES)} of harmful prompts at its default exit."
    acts = cells[cells["metric"] != "refusal"]
    what = "harmful share" if acts["metric"].eq("asr").any() else "share answered"
    for dataset, rows in changes(acts).groupby("dataset", sort=False):
        sizes = rows["change"].abs()
        row = rows.loc[sizes.idxmax()]
        rest = sizes.drop(sizes.idxmax())
        others = f"; for the others by at most {number(rest.max())} points" if len(rest) else ""
        yield (
            f"{names.datasets[dataset]}: against the default exit ({row['default_layer']}) the {what} differs"
            f" most for {series(row, names)}, at exit {row['layer']}, {change(row, frames.get('paired'))}{others}."
        )


def outcomes(frames: Frames, subjects: pd.DataFrame, names: Names) -> Iterator[str]:
    """Where the outcomes differ most from those at the default layer."""
    cells = shown.cells(frames["metrics"], subjects, ["answered", "asr", "harmless", "incoherent", "refusal"])
    table = cells[cells["mean"]].pivot_table(
        index=[*results.SERIES, "dataset", "layer", "default"], columns="metric", values="value", sort=False
    )
    default = table.index.get_level_values("default").astype(bool)
    base = table[default].droplevel(["layer", "default"])
    others = table[~default].droplevel("default")
    if others.empty or base.empty:
        return
    distance = (others - base.reindex(others.index.droplevel("layer")).to_numpy()).abs().sum(axis=1)
    model, arm, dataset, layer = distance.idxmax()
    here, there = others.loc[distance.idxmax()], base.loc[(model, arm, dataset)]
    said = ", ".join(f"{OUTCOME_OF[name]} {share(there[name])} to {share(here[name])}" for name in here.index)
    yield (
        f"From the default exit to another the outcomes differ most for {arm or names.models[model]} at exit {layer} on"
        f" {names.datasets[dataset]}: {said}."
    )


def toxicity(frames: Frames, subjects: pd.DataFrame, names: Names) -> Iterator[str]:
    found = changes(shown.cells(frames["metrics"], subjects, ["toxicity"]))
    for judge, rows in found.groupby("judge", sort=False):
        row = rows.loc[rows["change"].abs().idxmax()]
        yield (
            f"Mean toxicity ({names.judges[judge]}, times 100) differs most from the default exit for"
            f" {series(row, names)} at exit {row['layer']} on {names.datasets[row['dataset']]}, {change(row)}."
        )


def ability(frames: Frames, subjects: pd.DataFrame, names: Names) -> Iterator[str]:
    """The range of VQA accuracy over the exits for each series, and the highest over-refusal."""
    cells = shown.cells(frames["metrics"], subjects, ["vqa_accuracy", "over_refusal"])
    means = cells[cells["mean"]].dropna(subset="value")
    for dataset, rows in means[means["metric"] == "vqa_accuracy"].groupby("dataset", sort=False):
        said = []
        for _, of_series in rows.groupby(results.SERIES, sort=False):
            low = of_series.loc[of_series["value"].idxmin()]
            highest = share(of_series["value"].max())
            said.append(f"{series(low, names)} {share(low['value'])} (exit {low['layer']}) to {highest}")
        yield f"{names.datasets[dataset]} answered right, lowest to highest over the exits: {'; '.join(said)}."
    refused = means[means["metric"] == "over_refusal"]
    if len(refused):
        row = refused.loc[refused["value"].idxmax()]
        where = f"exit {row['layer']} on {names.datasets[row['dataset']]}"
        yield f"Most benign requests are refused by {series(row, names)} at {where}: {share(row['value'])}."


def exits(rows: pd.DataFrame, threshold: float) -> str:
    """The first exit at or above a threshold, seed by seed: `exit 5`, `exits 5, 5, 6`, `none`."""
    single = rows[rows["seed"] != "all"]
    found = []
    for _, of_seed in single.groupby([*results.SERIES, "seed"], sort=False):
        first = results.first_exit(of_seed, threshold)
        found.append("none" if first is None else str(first))
    if len(set(found)) == 1:
        return f"{'no exit' if found[0] == 'none' else f'exit {found[0]}'}{' in every seed' if len(found) > 1 else ''}"
    return f"exits {', '.join(found)} (seed by seed)"


def probes(frames: Frames, subjects: pd.DataFrame, names: Names) -> Iterator[str]:
    """From which exit on the cues can be read, and from which on hazards are told from their twins."""
    probed = subjects[subjects["name"].isin(frames["probes"]["subject"])]
    read = shown.probed(frames["probes"], probed, ["shallow", "deep"])
    for probe, rows in read.groupby("metric", sort=False):
        yield f"The {probe} cue is readable (AUC ≥ {results.ONSET}) first at {exits(rows, results.ONSET)}."
    acts = shown.cells(frames["metrics"], probed, ["refusal_gap"])
    for dataset, rows in acts.groupby("dataset", sort=False):
        half = f"{number(DISCRIMINATES, digits=0)} points"
        yield f"{names.datasets[dataset]}: refusal gap first reaches {half} at {exits(rows, DISCRIMINATES)}."


def drift(frames: Frames, subjects: pd.DataFrame, names: Names) -> Iterator[str]:
    cells = shown.probed(frames["probes"], subjects, ["drift_cosine", "drift_norm"])
    cells = cells[cells["mean"] & ~cells["default"]].dropna(subset="value")
    for metric, name in (("drift_cosine", "mean cosine"), ("drift_norm", "mean ratio of norms")):
        for _, rows in cells[cells["metric"] == metric].groupby(results.SERIES, sort=False):
            low, high = rows.loc[rows["value"].idxmin()], rows.loc[rows["value"].idxmax()]
            yield (
                f"{series(low, names)}: over the other exits the {name} with the default exit's features lies between"
                f" {plain(low['value'])} (exit {low['layer']}) and {plain(high['value'])} (exit {high['layer']})."
            )


def predictions(frames: Frames, subjects: pd.DataFrame, names: Names) -> Iterator[str]:
    """How often each prediction holds, fails, or is not read."""
    table = frames["predictions"].sort_values(["prediction", "arm"], kind="stable")
    for (prediction, arm), rows in table.groupby(["prediction", "arm"], sort=False):
        counts = rows["outcome"].value_counts()
        said = ", ".join(f"{outcome} in {n}" for outcome, n in counts.items())
        yield f"{prediction} ({arm}), {len(rows)} {'seed' if len(rows) == 1 else 'seeds'}: {said}."


def human_labels(frames: Frames, subjects: pd.DataFrame, names: Names) -> Iterator[str]:
    """What each judge of refusal is worth on the labelled responses that were held out."""
    table = frames["human_labels"]
    for judge, rows in table[table["half"] == "test"].groupby("judge", sort=False):
        value = rows.set_index("metric")["value"].map(share)
        yield (
            f"{names.judges[judge]}, on the half that was held out: precision {value['precision']}, recall"
            f" {value['recall']} ({value['recall_declined']} without answers to another request)."
        )


def dose(frames: Frames, subjects: pd.DataFrame, deep: list[str]) -> Iterator[str]:
    """At each dose where the deep cue becomes readable and where it is acted on."""
    compared = results.doses(subjects)
    read = shown.probed(frames["probes"], compared, ["deep"])
    acts = shown.cells(frames["metrics"], compared, ["refusal_gap"])
    for frozen, of_dose in compared.groupby("frozen_blocks"):
        readable, told = (rows[rows["model"].isin(of_dose["model"])] for rows in (read, acts))
        for _, rows in told[told["dataset"].isin(deep)].groupby("dataset", sort=False):
            yield (
                f"{frozen:.0f} frozen blocks: readable first at {exits(readable, results.ONSET)}, refusal gap"
                f" first reaches {number(DISCRIMINATES, digits=0)} points at {exits(rows, DISCRIMINATES)}."
            )
