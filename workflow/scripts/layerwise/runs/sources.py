"""Whether the sources of an experiment are there, asked without downloading: `make plan CHECK=1`.

Each kind of source knows how to ask (`check` in `assets/<kind>.py`). A source with mirrors can be fetched as long as
one of its places answers.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from layerwise import plugins
from layerwise.assets.cache import Found
from layerwise.errors import InputError
from layerwise.runs.plan import Download, shortened, size_in_words
from layerwise.study.sources import Place, Source

# By how much the declared size may differ from the true one before that is said.
TOLERANCE = 0.1


@dataclass(frozen=True)
class Answer:
    """What one place of a download answers: what it found, or why it does not deliver."""

    download: Download
    place: Place
    found: Found | None
    error: str | None

    def line(self) -> str:
        """The answer as a line for a terminal."""
        name = shortened(self.download.ids)
        what = name if isinstance(self.place, Source) else f"{name} (mirror)"
        if self.found is None:
            return f"  FAILS  {what}: {self.error}"
        size, declared = self.found.size, self.place.size_mb
        notes = [self.place.where, *self.found.remarks]
        if size and declared and abs(size / 1e6 - declared) > max(TOLERANCE * declared, 1):
            notes.append(f"key 'size_mb' says {declared:g}")
        if self.download.done:
            notes.append("fetched before")
        return f"  ok     {what}: {'size not told' if size is None else size_in_words(size)}; {'; '.join(notes)}"


def ask(downloads: Iterable[Download]) -> Iterator[Answer]:
    """The answer of every place of every download, as they come."""
    for download in downloads:
        for place in (download.source, *download.source.mirrors):
            try:
                yield Answer(download, place, plugins.find("assets", place.kind).check(place), None)
            except InputError as error:
                yield Answer(download, place, None, str(error))


def unavailable(answers: Iterable[Answer]) -> list[str]:
    """The names of the downloads that no place delivers."""
    delivered: dict[tuple[str, ...], bool] = {}
    for answer in answers:
        delivered[answer.download.ids] = delivered.get(answer.download.ids, False) or answer.found is not None
    return [shortened(ids) for ids, there in delivered.items() if not there]
