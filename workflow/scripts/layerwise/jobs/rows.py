"""An output file that survives a kill: rows whose key still holds are kept, and only the rest is computed.

`generate` and `judge` write each finished batch to an undeclared `.partial` file beside their output, and the sorted
whole at the end. A later run reads both, so a kill or a power failure costs at most one batch, and the final bytes are
those of an uninterrupted run. A `flock` on the `.partial` file keeps an orphaned process and its successor from writing
at the same time.

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
    """The file that holds the rows of an unfinished output file."""
    return path.with_name(path.name + ".partial")


def set_aside(path: Path) -> None:
    """Remove an output file but leave its rows to the next run, which keeps those whose key still holds."""
    if path.exists():
        with partial_path(path).open("a", encoding="utf-8", newline="\n") as stream:
            stream.write("\n" + path.read_text(encoding="utf-8", errors="replace"))
        path.unlink()


class Rows(Generic[KeyedRecord]):
    """The rows of one output file, by (prompt id, exit layer).

    `keys` maps every wanted row to its key, in the order of computation. Inside the `with`, `kept` holds the rows of an
    earlier run whose key still holds, and `missing` names the others. Rows that are no longer wanted, and lines that
    cannot be read, are dropped: they cost a computation, never an error.
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
        """The `.partial` file; it is open only inside a `with`."""
        assert self._stream is not None, "rows are written inside a `with`"
        return self._stream

    def append(self, rows: Iterable[KeyedRecord]) -> None:
        """Add computed rows and put them on disk at once. Raises InputError if the disk is full."""
        rows = list(rows)
        for row in rows:
            if self.keys.get((row.prompt_id, row.layer)) != row.key:
                raise ValueError(f"row {row.prompt_id} of layer {row.layer} does not have the requested key")
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
        """The `.partial` file, opened for appending once no other process holds it."""
        while True:
            # Unbuffered: on a full disk, a buffer would try to write again when it is closed.
            stream = self.partial.open("ab", buffering=0)
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f"waiting: another process is still writing {self.partial}", file=sys.stderr, flush=True)
                fcntl.flock(stream, fcntl.LOCK_EX)
            # The previous holder may have removed the file: then this lock is on a file without a name.
            if self.partial.exists() and os.path.samestat(os.fstat(stream.fileno()), os.stat(self.partial)):
                return stream
            stream.close()

    def _keep(self, source: Path) -> None:
        """Take over those rows of a file whose key still holds."""
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
        return InputError(f"cannot write {self.partial}: {reason}. Free space or fix the permissions, then run again.")
