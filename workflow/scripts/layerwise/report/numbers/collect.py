"""Numbers by key, from result files: value, text, n, low, high, source (file and line) and the rule that made it."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from layerwise.analysis import results
from layerwise.report import shown
from layerwise.report.text import MISSING, logits, number, p_value, plain, points, share
from layerwise.vocabulary import DEFAULT, METRICS, Metric, described

Record = dict[str, Any]


def record(value: Any, text: str, source: str, rule: str, row: dict | None = None) -> Record:
    """One number; `row` provides n and the limits, if there are any."""
    row = {} if row is None else row
    limits = {key: _plain(row.get(key)) for key in ("n", "low", "high")}
    return {"value": _plain(value), "text": text, **limits, "source": source, "rule": rule}


def _plain(value: Any) -> Any:
    """A number that JSON can hold: no NaN, no numpy; seven digits, more than any result has."""
    if isinstance(value, str | list | None) or pd.isna(value):
        return value if isinstance(value, str | list) else None
    whole = isinstance(value, int | np.integer) or (float(value).is_integer() and abs(value) > 1)
    return int(value) if whole else float(f"{value:.7g}")


FORMATS = {"share": share, "points": points, "score": number, "logits": logits}


def of_whom(listed: pd.DataFrame) -> dict[tuple[str, str, str], list[str]]:
    """The names for each model, arm and seed: a seed has its own; a mean or an only seed also has the series' name."""
    names: dict[tuple[str, str, str], list[str]] = {}
    for (model, arm), subjects in listed.groupby(results.SERIES, sort=False):
        main = listed.loc[listed["arm"] == arm, "model"].iloc[0]
        series = model if not arm else arm if model == main else f"{model}.{arm}"
        for subject in subjects.itertuples():
            own = [subject.name] if len(subjects) > 1 else [subject.name, series]
            names[model, arm, subject.seed] = list(dict.fromkeys(own))
        names.setdefault((model, arm, "all"), [series])
    return names


def lines(table: pd.DataFrame) -> Iterator[tuple[int, dict]]:
    """The rows of a file, each with its line number."""
    return enumerate(table.to_dict("records"), start=2)


def place(row: dict) -> str:
    """`layer-03`, or a group of layers."""
    return f"layer-{row['layer']:02d}" if pd.notna(row["layer"]) and row["group"] != DEFAULT else row["group"].lower()


def metrics(
    table: pd.DataFrame, listed: pd.DataFrame, source: str, known: dict[str, Metric]
) -> Iterator[tuple[str, Record]]:
    judges, whom = table.groupby("metric")["judge"].nunique(), of_whom(listed)
    for line, row in lines(table):
        metric = row["metric"]
        if judges[row["metric"]] > 1:
            metric = f"{metric}-{row['judge']}"
        text = FORMATS[known[row["metric"]].unit](row["value"])
        for who in whom[row["model"], row["arm"], row["seed"]]:
            key = f"{metric}.{who}.{row['dataset']}.{place(row)}"
            yield key, record(row["value"], text, f"{source}:{line}", "metrics", row)


def differences(table: pd.DataFrame, listed: pd.DataFrame, source: str) -> Iterator[tuple[str, Record]]:
    whom = of_whom(listed)
    for line, row in lines(table):
        metric = row["metric"]
        for who in whom[row["model"], row["arm"], row["seed"]]:
            key = f"{metric}.{who}.{row['dataset']}.layer-{row['layer']:02d}"
            where = f"{source}:{line}"
            text = (logits if METRICS[metric].unit == "logits" else points)(row["difference"])
            yield f"difference.{key}", record(row["difference"], text, where, "metrics", row)
            yield f"p.{key}", record(row["p_holm"], p_value(row["p_holm"]), where, "metrics", {"n": row["n"]})


def probes(table: pd.DataFrame, listed: pd.DataFrame, source: str) -> Iterator[tuple[str, Record]]:
    whom = of_whom(listed)
    for _, row in lines(
        shown.probed(table, listed, list(table.loc[table["cell"].isna(), "probe"].unique())).dropna(subset="value")
    ):
        text = share(row["value"]) if row["judge"] == "accuracy" else plain(row["value"])
        for who in whom[row["model"], row["arm"], row["seed"]]:
            yield (
                f"probe.{row['metric']}.{who}.layer-{row['layer']:02d}",
                record(row["value"], text, source, "probe", row),
            )


def judges(frames: dict[str, pd.DataFrame], sources: dict[str, str]) -> Iterator[tuple[str, Record]]:
    """Judges over all exits, compared with the truth, with each other and with people; and on controls."""
    for name, keys, metrics_of in (
        ("validity", ["judge", "label"], {"precision": share, "recall": share}),
        ("agreement", ["first", "second", "claim"], {"agreement": share, "kappa": plain}),
        ("controls", ["judge", "control", "label"], {"share": share, "right": share, "score": plain}),
    ):
        if name not in frames:
            continue
        for line, row in lines(frames[name]):
            if row["metric"] in metrics_of and pd.isna(row.get("layer")):
                first = row["metric"] if name != "controls" else f"control-{row['metric']}".removesuffix("-share")
                key = ".".join(filter(None, [first, *(row[key] for key in keys)]))
                text = metrics_of[row["metric"]](row["value"])
                yield key, record(row["value"], text, f"{sources[name]}:{line}", "validity", row)
    for line, row in lines(frames.get("human_labels", pd.DataFrame())):
        model = "" if pd.isna(row["model"]) else row["model"].replace(".", "-")
        key = ".".join(filter(None, ["human", row["metric"], row["judge"], row["dataset"], model]))
        where = f"{sources['human_labels']}:{line}"
        yield key, record(row["value"], share(row["value"]), where, "human_labels", row)


def organisms(frames: dict[str, pd.DataFrame], listed: pd.DataFrame, sources: dict) -> Iterator[tuple[str, Record]]:
    """Ability gates (`gate`, `able`) and predictions (`prediction`: the outcome, with the number that decides it)."""
    names = {(one.model, one.arm, one.seed): one.name for one in listed.itertuples()}
    for line, row in lines(frames.get("gates", pd.DataFrame())):
        key = ".".join(filter(None, ["gate", row["subject"], row["gate"], row["dataset"]]))
        yield key, record(row["value"], share(row["value"]), f"{sources['gates']}:{line}", "assess", row)
    if "gates" in frames:
        for subject, passed in frames["gates"].groupby("subject", sort=False)["passed"]:
            failed = int(passed.astype(str).eq("False").sum())
            text = "able" if passed.astype(str).eq("True").all() else "not able" if failed else "not known"
            yield f"able.{subject}", record(failed, text, sources["gates"], "assess", {"n": len(passed)})
    for line, row in lines(frames.get("predictions", pd.DataFrame())):
        who = names.get((row["model"], row["arm"], row["seed"]), f"{row['model']}.{row['arm']}.s{row['seed']}")
        where = f"{sources['predictions']}:{line}"
        yield f"prediction.{row['prediction']}.{who}", record(row["value"], row["outcome"], where, "assess")


def settings(frames: dict[str, pd.DataFrame], spec: dict, source: str) -> Iterator[tuple[str, Record]]:
    """What was run: models, seeds, layers, n of each data set (from the metrics), versions."""
    listed = results.subjects(spec["subjects"])
    yield "setting.subjects", record(len(listed), str(len(listed)), "spec", "number")
    seeds = list(dict.fromkeys(seed for seed in listed["seed"] if seed))
    yield "setting.seeds", record(len(seeds), ", ".join(seeds) or MISSING, "spec", "number")
    for model, subjects in listed.groupby("model", sort=False):
        layers = subjects["layers"].iloc[0]
        yield f"setting.layers.{model}", record(len(layers), layer_list(layers), "spec", "number")
        for key in ("blocks", "default_layer"):
            value = int(subjects[key].iloc[0])
            yield f"setting.{key.replace('_', '-')}.{model}", record(value, str(value), "spec", "number")
    single = frames["metrics"][frames["metrics"]["layer"].notna() & (frames["metrics"]["seed"] != "all")]
    for metric, kind in (("refusal", "harmful"), ("over_refusal", "benign"), ("vqa_accuracy", "vqa")):
        for dataset, n in single[single["metric"] == metric].groupby("dataset", sort=False)["n"].max().items():
            yield f"setting.n.{dataset}.{kind}", record(n, str(n), source, "metrics")
    for pin in spec.get("pins", []):
        if match := re.fullmatch(r"([\w-]+)\s*==?([\w.+]+)", pin):
            yield f"setting.version.{match[1]}", record(match[2], match[2], "spec", "number")


def layer_list(layers: list[int]) -> str:
    """`0 to 8`, or a list if some layers are left out."""
    whole = list(layers) == list(range(layers[0], layers[-1] + 1)) and len(layers) > 2
    return f"{layers[0]} to {layers[-1]}" if whole else ", ".join(map(str, layers))


def collect(frames: dict[str, pd.DataFrame], spec: dict, sources: dict[str, str]) -> dict[str, Record]:
    """All numbers by key; `sources` holds the path of each frame. Two numbers with one key are a bug."""
    listed = results.subjects(spec["subjects"])
    known = described(spec["metrics"])
    parts = [metrics(frames["metrics"], listed, sources["metrics"], known), settings(frames, spec, sources["metrics"])]
    if "paired" in frames:
        parts.append(differences(frames["paired"], listed, sources["paired"]))
    if "probes" in frames:
        parts.append(probes(frames["probes"], listed, sources["probes"]))
    parts += [judges(frames, sources), organisms(frames, listed, sources)]
    numbers: dict[str, Record] = {}
    for part in parts:
        for key, one in part:
            assert key not in numbers, f"two numbers with the key {key}"
            numbers[key] = one
    return numbers


def found_in_words(findings: Iterable[Path]) -> dict[str, Record]:
    """The findings of figures and tables, under the keys `seen.<name>`; if two share a name, the first one counts."""
    found: dict[str, Record] = {}
    for path in findings:
        name = path.name.removesuffix(".finding.txt")
        if text := path.read_text(encoding="utf-8"):
            rule = "table" if path.parent.name == "tables" else "figure"
            found.setdefault(f"seen.{name}", record(None, text, str(path), rule))
    return found
