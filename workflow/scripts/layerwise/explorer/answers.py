"""What was asked and what came back, small: most responses are one of a few words with the same verdicts.

A *state* is a response with its verdicts, without whose it is: kind of prompt, words, tokens, why it ended, and the
label and score of each judge, and whether it judged the response in parts. A cell of an experiment names a state for
each prompt; state 0 is no response.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from layerwise import records
from layerwise.analysis import metrics
from layerwise.analysis.outcomes import outcomes
from layerwise.explorer.tables import Arrays, smallest
from layerwise.files import digest
from layerwise.records import Prompt, Response
from layerwise.vocabulary import KINDS, OF_OUTCOMES, possible

RIGHT, WRONG = "right", "wrong"  # what a response to a visual question is, beside the outcomes of the others
FINISHED = ("stop", "length")
NOT_HERE = 0  # the words of a response that the page leaves out
FIXED, OF_JUDGE = 4, 3  # columns of a state: before those of the judges, and of each judge (label, score, cut)
NO_LABEL = 255


class Answers:
    """All responses of an experiment, a subject at a time. `judges` are those of a spec, `roles` its `outcome`."""

    def __init__(self, prompts: Sequence[Prompt], judges: Mapping[str, dict], roles: Mapping[str, str | None]) -> None:
        self.prompts, self.judges, self.roles = prompts, judges, roles
        self.place = {prompt.id: number for number, prompt in enumerate(prompts)}
        self.kinds = np.array([KINDS.index(prompt.kind) for prompt in prompts])
        self.texts: dict[str | None, int] = {None: NOT_HERE}
        self.states: dict[bytes, int] = {}
        self.cells: list[np.ndarray] = []
        self.margins: list[np.ndarray] = []

    def add(self, layers: Sequence[int], responses: Sequence[Path], verdicts: Sequence[Path]) -> None:
        """Add the responses of one subject, and the verdicts on them."""
        rows = [row for path in responses for row in records.read(path, Response) if row.prompt_id in self.place]
        at = {layer: number for number, layer in enumerate(layers)}
        shape = (len(layers), len(self.prompts))
        where = (
            np.array([at[row.layer] for row in rows], int),
            np.array([self.place[row.prompt_id] for row in rows], int),
        )
        labels = np.full((*shape, len(self.judges)), NO_LABEL, np.int64)
        scores = np.full((*shape, len(self.judges)), np.nan)
        cut = np.zeros((*shape, len(self.judges)), bool)
        given = metrics.read_verdicts(list(verdicts))
        given = given[given["prompt_id"].isin(self.place) & given["layer"].isin(at)]
        for number, (id, judge) in enumerate(self.judges.items()):
            own = given[given["judge"] == id]
            there = (own["layer"].map(at).to_numpy(int), own["prompt_id"].map(self.place).to_numpy(int), number)
            labels[there] = own["label"].map({label: code for code, label in enumerate(judge["labels"])}).to_numpy(int)
            scores[there] = own["score"].to_numpy(float)
            cut[there] = own["cut"].to_numpy(bool)
        found = np.empty((len(rows), FIXED + OF_JUDGE * len(self.judges)), np.int64)
        found[:, 0] = self.kinds[where[1]]
        found[:, 1] = [self.texts.setdefault(row.text, len(self.texts)) for row in rows]
        found[:, 2] = [row.num_tokens for row in rows]
        found[:, 3] = [FINISHED.index(row.finish_reason) for row in rows]
        found[:, FIXED::OF_JUDGE] = labels[where]
        found[:, FIXED + 1 :: OF_JUDGE] = scores[where].view(np.int64)
        found[:, FIXED + 2 :: OF_JUDGE] = cut[where]
        cells = np.zeros(shape, np.int64)
        cells[where] = self._states(found)
        self.cells.append(cells)
        margins = np.full(shape, np.nan, np.float32)
        margins[where] = [np.nan if row.margin is None else row.margin for row in rows]
        self.margins.append(margins)

    def _states(self, found: np.ndarray) -> np.ndarray:
        """The state of each row, new ones added."""
        if not len(found):
            return np.zeros(0, np.int64)
        rows, inverse = np.unique(found, axis=0, return_inverse=True)
        ids = [self.states.setdefault(row.tobytes(), len(self.states) + 1) for row in rows]
        return np.array(ids)[inverse.reshape(-1)]

    def clusters(self) -> list[str]:
        """The clusters of the prompts in the order in which they are kept: by the hash of their names."""
        return sorted({prompt.cluster for prompt in self.prompts}, key=digest)

    def packed(self, kept: frozenset[str], margins: Sequence[bool]) -> tuple[Arrays, list[str | None]]:
        """Everything as arrays, with the texts; words only of the clusters in `kept`, margins of the subjects named."""
        table = np.array([np.frombuffer(row, np.int64) for row in self.states]).reshape(len(self.states), -1)
        cells = np.concatenate([part.reshape(-1) for part in self.cells] or [np.zeros(0, np.int64)])
        inside = np.array([prompt.cluster in kept for prompt in self.prompts], bool)
        away = np.concatenate([np.broadcast_to(~inside, part.shape).reshape(-1) for part in self.cells] or [inside[:0]])
        if away.any():
            table, cells = self._without_words(table, cells, away)
        texts, table[:, 1] = self._used(table[:, 1])
        arrays = Arrays()
        arrays.add("cells", smallest(cells))
        for number, name in enumerate(("kind", "text", "tokens", "finish")):
            arrays.add(name, smallest(table[:, number]))
        arrays.add("mark", self._marks(table))
        for number, id in enumerate(self.judges):
            labels, scores, cut = table[:, FIXED + OF_JUDGE * number :][:, :OF_JUDGE].T
            arrays.add(f"label {id}", labels.astype(np.uint8))
            scores = np.ascontiguousarray(scores).view(np.float64)
            if not np.isnan(scores).all():
                arrays.add(f"score {id}", scores)
            if cut.any():
                arrays.add(f"cut {id}", cut.astype(np.uint8))
        for number, (part, wanted) in enumerate(zip(self.margins, margins, strict=True)):
            if wanted and not np.isnan(part).all():
                arrays.add(f"margin {number}", part)
        return arrays, texts

    def _without_words(self, table: np.ndarray, cells: np.ndarray, away: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """States and cells after the words of some cells are left out; each state that is left is used."""
        bare = table.copy()
        bare[:, 1] = NOT_HERE
        both = np.concatenate([table, bare])
        chosen = np.where(away, cells + len(table), cells)[cells > 0] - 1
        used, inverse = np.unique(both[chosen], axis=0, return_inverse=True)
        cells = cells.copy()
        cells[cells > 0] = inverse.reshape(-1) + 1
        return used, cells

    def _used(self, codes: np.ndarray) -> tuple[list[str | None], np.ndarray]:
        """The texts that are used, None for NOT_HERE first, and the codes in that list."""
        used = np.union1d([NOT_HERE], codes)
        listed = list(self.texts)
        return [listed[code] for code in used], np.searchsorted(used, codes)

    def marks(self) -> list[str]:
        """What a response can be: an outcome, or right or wrong as an answer to a visual question."""
        return [*possible(self.roles), *([RIGHT, WRONG] if self.vision else [])]

    @property
    def vision(self) -> tuple[str, dict[str, Any]] | None:
        """The judge of visual questions and what it measures, if there is one."""
        measures = [(id, one) for id, judge in self.judges.items() for one in judge["measures"]]
        return next(((id, one) for id, one in measures if one["kind"] == "vqa"), None)

    def _marks(self, table: np.ndarray) -> np.ndarray:
        """The mark of each state, a number in `marks`; NO_LABEL where the judges have not decided."""
        words = {}
        for number, (id, judge) in enumerate(self.judges.items()):
            said = dict(enumerate(judge["labels"]))
            words[id] = pd.Series(table[:, FIXED + OF_JUDGE * number]).map(said).astype(object)
        labels = pd.DataFrame(words)
        claims = {id: judge["claims"] for id, judge in self.judges.items()}
        kinds = pd.Series([KINDS[code] for code in table[:, 0]], dtype=object)
        decided = outcomes(labels, self.roles, claims).where(kinds.isin(list(OF_OUTCOMES)))
        if self.vision:
            by, measure = self.vision
            answered = labels[by].eq(measure["label"]).map({True: RIGHT, False: WRONG}).where(labels[by].notna())
            decided = decided.where(kinds != "vqa", answered)
        numbers = {mark: number for number, mark in enumerate(self.marks())}
        return decided.map(numbers).fillna(NO_LABEL).to_numpy().astype(np.uint8)


def of_subjects(
    subjects: Sequence[Mapping[str, Any]], responses: Sequence[Path], verdicts: Sequence[Path]
) -> Iterator[tuple[Mapping[str, Any], list[Path], list[Path]]]:
    """Each subject with its files of responses, in their order, and of verdicts."""
    for subject in subjects:
        name = subject["name"]
        yield (
            subject,
            [path for path in responses if path.parent.name == name],
            [path for path in verdicts if path.name == f"{name}.jsonl"],
        )
