"""A finished run held against the reference that ships with the project: what agrees, what does not, by how much.

**On the same platform** every value is the same text, since nothing that is computed depends on time, order or the
number of cores. One digit that differs is a disagreement.

**On another platform** sums round differently, so organisms are trained to other weights: what can be expected is what
another seed of the same recipe gives, at most. A value agrees where it lies in the reference's *band*, and the
reference's value in the band of this run: from the smallest lower to the largest upper limit of the 95 % intervals of
all seeds of its model and arm. A few values may lie outside: of the bench's own seeds, each held against the others, 6
to 8 % do. With more than TOLERATED of them outside, something other than the platform has changed.

Measured, with the bench's first seed on AVX2 in place of AVX-512 instructions, on 546 values: 86 % are the same, the
largest difference is 19.5 points, 2 % lie outside the bands of the reference. The intervals of the one seed alone
would not do, since 12 % lie outside: they know how far prompts scatter, and not how far trainings do. Nor would a test
of each value, corrected for their number, which knows no more.

A folder holds a reference for each platform on which somebody made one.

**On any platform** no row may lack or rest on fewer responses, and gates and predictions must have the same verdicts,
since these are what the study claims.
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
# Of the tables of verdicts: what names a row, and what is the verdict.
VERDICTS = {
    "gates.csv": (["subject", "gate", "dataset", "layer"], "passed"),
    "predictions.csv": (["prediction", "model", "arm", "seed"], "outcome"),
}
PLATFORM = "platform.json"
SHOWN = 10


@dataclass
class Findings:
    """What a comparison says: lines to print, and whether all agrees."""

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
    import torch  # here, so that a comparison alone does not pay for it

    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _vendor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "python": ".".join(platform.python_version_tuple()[:2]),
        "torch": torch.__version__,
    }


def _vendor() -> str:
    """Who made the processor: libraries choose by it how to multiply matrices."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("vendor_id")), platform.processor())


def name(where: dict[str, str]) -> str:
    """The folder of a platform's reference: who made the processor, and the instructions used."""
    return re.sub(r"[^a-z0-9]+", "-", f"{where['processor']} {where['instructions']}".lower())


def chosen(folder: Path, where: dict[str, str]) -> Path:
    """Of the references in a folder, one a platform, that of this platform, or else the first.

    Raises InputError where there is none.
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
    """Hold the results of a run on a platform against that platform's reference in a folder, or else another's.

    Raises InputError where there is no reference, or the run is not finished.
    """
    folder = chosen(folder, where)
    theirs = json.loads((folder / PLATFORM).read_text(encoding="utf-8"))
    same = theirs == where
    found = Findings([f"{results} against {folder}"])
    if same:
        found.lines.append(f"the same platform ({', '.join(where.values())}): every value has to be the same")
    else:
        others = ", ".join(
            f"{key} {where.get(key)}, there {theirs[key]}" for key in theirs if theirs[key] != where.get(key)
        )
        found.lines.append(f"another platform ({others}): values have to be like those of another seed")
    for table in (METRICS, *VERDICTS):
        there, here = gzip.decompress((folder / f"{table}.gz").read_bytes()), _content(results / table)
        if there == here:
            found.say(f"{table}: the same bytes")
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
    """A table of results, all of it text as it stands."""
    return pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False)


def _joined(found: Findings, name: str, there: pd.DataFrame, here: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Rows that both have, the columns of this run with `_here` behind them; rows that one lacks are said."""
    rows = there.merge(here, on=keys, how="outer", suffixes=("", "_here"), indicator=True)
    for side, what, agrees in (("left_only", "missing", False), ("right_only", "more than in the reference", True)):
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
    far = f", at most by {100 * changed['size'].max():.1f} points" if len(changed) else ""
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
    """Rows with `size`, how far the values lie apart, and `inside`, whether each in the other's band; largest first."""
    for table, suffix in ((there, ""), (here, "_here")):
        rows = rows.merge(_bands(table), on=SERIES, suffixes=("", suffix))
    value, value_here = (rows[column].astype(float) for column in ("value", "value_here"))
    inside = value_here.between(rows["least"], rows["most"]) & value.between(rows["least_here"], rows["most_here"])
    return rows.assign(size=(value_here - value).abs(), inside=inside).sort_values(
        "size", ascending=False, kind="stable"
    )


def _bands(table: pd.DataFrame) -> pd.DataFrame:
    """For each row's series the smallest lower and the largest upper limit over its seeds."""
    limits = table[SERIES].assign(least=table["low"].astype(float), most=table["high"].astype(float))
    return limits.groupby(SERIES, as_index=False, sort=False).agg(least=("least", "min"), most=("most", "max"))


def _verdicts(found: Findings, name: str, there: pd.DataFrame, ours: pd.DataFrame, same: bool) -> None:
    keys, verdict = VERDICTS[name]
    rows = _joined(found, name, there, ours, keys)
    other = rows[rows[verdict] != rows[f"{verdict}_here"]]
    found.say(f"{name}: {len(rows) - len(other)} verdicts equal, {len(other)} not", other.empty)
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
    """A row in words: what is not empty among its keys."""
    return " ".join(f"{key} {row[key]}" if key in ("layer", "seed") else row[key] for key in keys if row[key])
