"""Compares a finished run with the reference that ships with the project: what agrees, what differs, and by how much.

**On the same platform**, every value must be the same text, since no computation depends on time, order or the number
of cores. A single differing digit is a disagreement.

**On another platform**, sums round differently, so organisms end up with other weights; at best, values resemble those
of another seed of the same recipe. A value agrees if it lies in the reference's *band* and the reference's value lies
in the band of this run. A band reaches from the smallest lower to the largest upper limit of the 95 % intervals of all
seeds of a model and arm. A few values may lie outside: if each of the bench's own seeds is compared with the others, 6
to 8 % do. If more than TOLERATED of them do, something other than the platform has changed.

As measured on 546 values with the bench's first seed, on AVX2 instead of AVX-512 instructions, 86 % are equal, the
largest difference is 19.5 points, and 2 % lie outside the bands of the reference. The intervals of the single seed
would not be enough, since 12 % lie outside: they know how much prompts vary, but not how much trainings do. Neither
would a test of each value, corrected for their number, which knows no more.

A folder holds one reference for each platform on which one was made.

**On any platform**, no row may be missing or rest on fewer responses, and gates and predictions must have the same
outcomes, since these are what the study claims.
"""

import gzip
import io
import json
import platform
import re
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from layerwise.errors import InputError
from layerwise.files import atomic

TOLERATED = 0.10
METRICS = "metrics.csv"
SERIES = ["model", "arm", "dataset", "layer", "group", "judge", "metric"]
NUMBERS = ["value", "low", "high", "n"]
# For each table of outcomes: the columns that name a row, and the column of the outcome.
VERDICTS = {
    "gates.csv": (["subject", "gate", "dataset", "layer"], "passed"),
    "predictions.csv": (["prediction", "model", "arm", "seed"], "outcome"),
}
PLATFORM = "platform.json"
SHOWN = 10


@dataclass
class Findings:
    """The result of a comparison: lines to print, and whether everything agrees."""

    lines: list[str] = field(default_factory=list)
    agrees: bool = True

    def say(self, line: str, agrees: bool = True) -> None:
        self.lines.append(f"  {'ok       ' if agrees else 'DIFFERENT'}  {line}")
        self.agrees &= agrees

    def show(self, rows: list[str]) -> None:
        self.lines += [f"               {row}" for row in rows[:SHOWN]]
        if len(rows) > SHOWN:
            self.lines.append(f"               and {len(rows) - SHOWN} more")


def this_platform() -> dict[str, str]:
    """What the bytes of a result depend on besides the project: system, processor, Python, torch."""
    import torch  # imported here, so that a mere comparison does not pay for it

    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _vendor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "python": ".".join(platform.python_version_tuple()[:2]),
        "torch": torch.__version__,
    }


def _vendor() -> str:
    """The maker of the processor, by which libraries choose how to multiply matrices."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("vendor_id")), platform.processor())


def name(where: dict[str, str]) -> str:
    """The name of the folder of a platform's reference: maker of the processor, and instructions used."""
    return re.sub(r"[^a-z0-9]+", "-", f"{where['processor']} {where['instructions']}".lower())


def chosen(folder: Path, where: dict[str, str]) -> Path:
    """This platform's reference in a folder, or the first one if there is none for this platform.

    Raises InputError if the folder holds no reference.
    """
    there = sorted(path.parent for path in folder.glob(f"*/{PLATFORM}"))
    if not there:
        raise InputError(f"{folder} holds no reference. If you trust this run, make it one: make reference")
    return next((one for one in there if one.name == name(where)), there[0])


def write(results: Path, folder: Path, where: dict[str, str]) -> Path:
    """Make a finished run the reference of its platform, in a folder of its own; returns that folder."""
    folder = folder / name(where)
    folder.mkdir(parents=True, exist_ok=True)
    for table in (METRICS, *VERDICTS):
        content = _content(results / table)
        (folder / f"{table}.gz").write_bytes(gzip.compress(content, mtime=0))
    with atomic(folder / PLATFORM) as stream:
        stream.write(json.dumps(where, indent=1) + "\n")
    return folder


def compare(results: Path, folder: Path, where: dict[str, str]) -> Findings:
    """Compare the results of a run with the reference of its platform in a folder, or of another if it has none.

    Raises InputError if there is no reference, or if the run is not finished.
    """
    folder = chosen(folder, where)
    theirs = json.loads((folder / PLATFORM).read_text(encoding="utf-8"))
    same = theirs == where
    found = Findings([f"{results} compared with {folder}"])
    if same:
        found.lines.append(f"the same platform ({', '.join(where.values())}): every value must be equal")
    else:
        others = ", ".join(
            f"{key} {where.get(key)}, there {theirs[key]}" for key in theirs if theirs[key] != where.get(key)
        )
        found.lines.append(f"another platform ({others}): values must resemble those of another seed")
    for table in (METRICS, *VERDICTS):
        there, here = gzip.decompress((folder / f"{table}.gz").read_bytes()), _content(results / table)
        if there == here:
            found.say(f"{table}: identical")
        elif table == METRICS:
            _metrics(found, _table(there), _table(here), same)
        else:
            _verdicts(found, table, _table(there), _table(here), same)
    return found


def _content(path: Path) -> bytes:
    if not path.exists():
        raise InputError(
            f"{path} is missing: the run is not finished. Run: make reproduce EXPERIMENT={path.parent.name}"
        )
    return path.read_bytes()


def _table(content: bytes) -> pd.DataFrame:
    """A table of results, with every value as text."""
    return pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False)


def _joined(found: Findings, name: str, there: pd.DataFrame, here: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Rows that both have, with `_here` appended to this run's columns; rows that one of them lacks are reported."""
    rows = there.merge(here, on=keys, how="outer", suffixes=("", "_here"), indicator=True)
    for side, what, agrees in (("left_only", "missing", False), ("right_only", "not in the reference", True)):
        odd = rows[rows["_merge"] == side]
        if len(odd):
            found.say(f"{name}: {len(odd)} rows {what}", agrees)
            found.show([_named(row, keys) for _, row in odd.iterrows()])
    return rows[rows["_merge"] == "both"]


def _metrics(found: Findings, there: pd.DataFrame, here: pd.DataFrame, same: bool) -> None:
    keys = [*SERIES, "seed"]
    rows = _joined(found, METRICS, there, here, keys)
    unlike = (rows[NUMBERS].to_numpy() != rows[[f"{column}_here" for column in NUMBERS]].to_numpy()).any(axis=1)
    changed = _measured(rows[unlike], there, here)
    fewer = changed[changed["n_here"].astype(float) < changed["n"].astype(float)]
    if len(fewer):
        found.say(f"{METRICS}: {len(fewer)} rows rest on fewer responses", False)
        found.show([f"{_named(row, keys)}: n {row['n_here']}, not {row['n']}" for _, row in fewer.iterrows()])
    outside = changed[~changed["inside"]]
    share = len(outside) / max(len(rows), 1)
    far = f", by at most {100 * changed['size'].max():.1f} points" if len(changed) else ""
    found.say(
        f"{METRICS}: {len(rows) - len(changed)} rows equal, {len(changed)} differ{far}", not same or changed.empty
    )
    found.say(
        f"{METRICS}: {len(outside)} rows ({100 * share:.1f} %) outside the bands of their seeds", share <= TOLERATED
    )
    found.show(
        [
            f"{_named(row, keys)}: {row['value_here']} [{row['low_here']}, {row['high_here']}],"
            f" there {row['value']} [{row['low']}, {row['high']}]"
            for _, row in (changed if same else outside).iterrows()
        ]
    )


def _measured(rows: pd.DataFrame, there: pd.DataFrame, here: pd.DataFrame) -> pd.DataFrame:
    """Rows with `size`, the distance of the values, and `inside`, whether each is in the other's band; sorted."""
    for table, suffix in ((there, ""), (here, "_here")):
        rows = rows.merge(_bands(table), on=SERIES, suffixes=("", suffix))
    value, value_here = (rows[column].astype(float) for column in ("value", "value_here"))
    inside = value_here.between(rows["least"], rows["most"]) & value.between(rows["least_here"], rows["most_here"])
    return rows.assign(size=(value_here - value).abs(), inside=inside).sort_values(
        "size", ascending=False, kind="stable"
    )


def _bands(table: pd.DataFrame) -> pd.DataFrame:
    """For each row's series, the smallest lower and the largest upper limit over its seeds."""
    limits = table[SERIES].assign(least=table["low"].astype(float), most=table["high"].astype(float))
    return limits.groupby(SERIES, as_index=False, sort=False).agg(least=("least", "min"), most=("most", "max"))


def _verdicts(found: Findings, name: str, there: pd.DataFrame, ours: pd.DataFrame, same: bool) -> None:
    keys, verdict = VERDICTS[name]
    rows = _joined(found, name, there, ours, keys)
    other = rows[rows[verdict] != rows[f"{verdict}_here"]]
    found.say(f"{name}: {len(rows) - len(other)} outcomes equal, {len(other)} not", other.empty)
    here, value = f"{verdict}_here", "value_here"
    found.show(
        [
            f"{_named(row, keys)}: {row[here]} ({row[value]}), there {row[verdict]} ({row['value']})"
            for _, row in other.iterrows()
        ]
    )
    values = rows[rows["value"] != rows["value_here"]]
    if len(values):
        found.say(f"{name}: {len(values)} values behind them differ", not same)


def _named(row: pd.Series, keys: list[str]) -> str:
    """A row in words: its keys that are not empty."""
    return " ".join(f"{key} {row[key]}" if key in ("layer", "seed") else row[key] for key in keys if row[key])
