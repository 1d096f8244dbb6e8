"""One output file that survives a kill: rows whose key still holds are kept, only the rest is computed.

`generate` and `judge` write each finished batch to an undeclared `.partial` file beside their output, and the sorted
whole at the end. A later run opens both, so a job that was killed, or whose machine lost power, loses at most one
batch, and the bytes in the end are those of a run from nothing. A `flock` on the `.partial` file keeps an orphan and
its heir from writing together.

    with Rows(path, Response, {(prompt_id, layer): key, ...}) as rows:
        for batch in batches(rows.missing):
            rows.append(compute(batch))
        rows.finish()
"""

import fcntl
import json
import os
import sys
from collections.abc import Iterable, Mapping
from io import FileIO
from pathlib import Path
from typing import Generic

from layerwise.errors import InputError
from layerwise.records import KeyedRecord, dumps, write

Cell = tuple[str, int]


def partial_path(path: Path) -> Path:
    """Where the rows of an unfinished output file are."""
    return path.with_name(path.name + ".partial")


def set_aside(path: Path) -> None:
    """Take an output file away, but leave its rows for the next run, which keeps those whose key still holds."""
    if path.exists():
        with partial_path(path).open("a", encoding="utf-8", newline="\n") as stream:
            stream.write("\n" + path.read_text(encoding="utf-8", errors="replace"))
        path.unlink()


class Rows(Generic[KeyedRecord]):
    """The rows of one output file, by (prompt id, exit layer).

    `keys` maps every wanted row to its key, in the order in which rows are to be computed. After entering, `kept`
    holds the rows that an earlier run left and whose key still holds, and `missing` the others' names. Rows that are
    not wanted any more, or whose line cannot be read, are dropped: they cost a computation, never an error.
    """

    def __init__(self, path: Path, record: type[KeyedRecord], keys: Mapping[Cell, str]) -> None:
        self.path = Path(path)
        self.partial = partial_path(self.path)
        self.record: type[KeyedRecord] = record
        self.keys = keys
        self.kept: dict[Cell, KeyedRecord] = {}
        self._stream: FileIO | None = None

    @property
    def missing(self) -> list[Cell]:
        """What is still to be computed."""
        return [cell for cell in self.keys if cell not in self.kept]

    def __enter__(self) -> "Rows[KeyedRecord]":
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = self._locked()
            for source in (self.path, self.partial):
                self._keep(source)
        except OSError as error:
            raise self._unwritable(error) from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._stream.close()

    @property
    def _open(self) -> FileIO:
        """The `.partial` file; there is one inside a `with` alone."""
        assert self._stream is not None, "rows are written inside a `with`"
        return self._stream

    def append(self, rows: Iterable[KeyedRecord]) -> None:
        """Keep computed rows, and put them on disk at once. Raises InputError where the disk is full."""
        rows = list(rows)
        for row in rows:
            if self.keys.get((row.prompt_id, row.layer)) != row.key:
                raise ValueError(f"row {row.prompt_id} of layer {row.layer} does not have the key that was asked for")
        try:
            left = "".join(dumps(row) + "\n" for row in rows).encode()
            while left:
                left = left[self._open.write(left) :]
            os.fsync(self._open.fileno())
        except OSError as error:
            raise self._unwritable(error) from error
        self.kept.update({(row.prompt_id, row.layer): row for row in rows})

    def finish(self) -> None:
        """Write all rows, sorted by layer and prompt id, and remove the `.partial` file."""
        write(self.path, (self.kept[cell] for cell in sorted(self.kept, key=lambda cell: (cell[1], cell[0]))))
        self.partial.unlink()

    def _locked(self) -> FileIO:
        """The `.partial` file, open to append, once no other process holds it."""
        while True:
            # Without a buffer, which would try once more to write to a full disk when it is closed.
            stream = self.partial.open("ab", buffering=0)
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f"waiting: another process is still writing {self.partial}", file=sys.stderr, flush=True)
                fcntl.flock(stream, fcntl.LOCK_EX)
            # Who held the lock may have removed the file: then this is a lock on a file without a name.
            if self.partial.exists() and os.path.samestat(os.fstat(stream.fileno()), os.stat(self.partial)):
                return stream
            stream.close()

    def _keep(self, source: Path) -> None:
        """Take over the rows of a file whose key still holds."""
        if not source.exists():
            return
        text = source.read_text(encoding="utf-8", errors="replace")
        for line in text.split("\n"):
            try:
                row = self.record(**json.loads(line))
            except (json.JSONDecodeError, TypeError):
                continue
            cell = (row.prompt_id, row.layer)
            if self.keys.get(cell) == row.key:
                self.kept[cell] = row
        if source == self.partial and text and not text.endswith("\n"):
            self._open.write(b"\n")

    def _unwritable(self, error: OSError) -> InputError:
        reason = error.strerror or error
        return InputError(f"cannot write {self.partial}: {reason}. Make room or mend the permissions, then run again.")
