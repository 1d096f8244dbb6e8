"""Judging: which responses are new, each distinct one judged once, and the controls that every judge is tried on.

Two responses with one text, to prompts that look the same to the judge, get one verdict: their row keys are equal, so
the judge is asked once. A model at 25 exit layers says the same thing many times.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from layerwise.errors import InputError
from layerwise.files import canonical, digest
from layerwise.jobs.program import progress
from layerwise.jobs.rows import Cell, Rows
from layerwise.judging.judges import Judge
from layerwise.records import Prompt, Response, Verdict

Pair = tuple[Prompt, Response]
Answer = tuple[str, float | None]


def row_keys(judge: Judge, determinants: object, pairs: Mapping[Cell, Pair]) -> dict[Cell, str]:
    """The key of each row: the sha256 of all that its verdict depends on.

    `determinants` is what all rows share: the spec, and the hash of the weights.
    """
    shared = digest(determinants)
    seen: dict[str, str] = {}
    known: dict[tuple[str, str], str] = {}
    keys = {}
    for cell, (prompt, response) in pairs.items():
        if prompt.id not in seen:
            seen[prompt.id] = canonical({field: getattr(prompt, field) for field in judge.sees})
        row = (seen[prompt.id], response.text)
        if row not in known:
            known[row] = digest([shared, *row])
        keys[cell] = known[row]
    return keys


def judge_rows(
    judge: Judge, id: str, path: Path, keys: Mapping[Cell, str], pairs: Mapping[Cell, Pair], known: dict[str, Answer]
) -> None:
    """Bring one model's verdicts up to date. `known` holds, and gains, the answers by row key."""
    with Rows(path, Verdict, keys) as rows:
        known.update({row.key: (row.label, row.score) for row in rows.kept.values()})
        waiting: dict[str, list[Cell]] = {}
        for cell in rows.missing:
            waiting.setdefault(keys[cell], []).append(cell)

        def settle(answered: Iterable[str]) -> None:
            rows.append(_verdict(id, pairs[cell][1], key, known[key]) for key in answered for cell in waiting[key])

        settle(key for key in waiting if key in known)
        batches = list(_batches([key for key in waiting if key not in known], judge.batch_size))
        for batch in progress(batches, len(batches), f"{id}: batches of {path.stem}"):
            answers = ask(judge, id, [pairs[waiting[key][0]] for key in batch])
            known.update(zip(batch, answers, strict=True))
            settle(batch)
        rows.finish()


def ask(judge: Judge, id: str, pairs: Sequence[Pair]) -> list[Answer]:
    """A judge's answers, checked. Raises InputError naming the judge and the response that it fails on."""
    try:
        answers = judge(pairs)
    except Exception as error:
        if len(pairs) == 1:
            raise InputError(f"{_named(id, pairs[0])}: {type(error).__name__}: {error}") from error
        for pair in pairs:
            ask(judge, id, [pair])
        raise InputError(
            f"judge '{id}' takes each of {len(pairs)} responses alone but not together "
            f"({type(error).__name__}: {error}). Lower its batch size in config/judges/{id}.yaml."
        ) from error
    if len(answers) != len(pairs):
        raise InputError(
            f"judge '{id}' gave {len(answers)} answers to {len(pairs)} responses. Mend its file in judges/."
        )
    for pair, (label, score) in zip(pairs, answers, strict=True):
        if label not in judge.labels or not (score is None or (math.isfinite(score) and 0 <= score <= 1)):
            raise InputError(f"{_named(id, pair)}: its verdict {label!r} with score {score} is none that it may give.")
    return answers


def _verdict(id: str, response: Response, key: str, answer: Answer) -> Verdict:
    return Verdict(key, response.prompt_id, response.subject, response.layer, id, *answer)


def _named(id: str, pair: Pair) -> str:
    response = pair[1]
    return f"judge '{id}' fails on subject '{response.subject}', prompt '{response.prompt_id}', layer {response.layer}"


def _batches(items: list, size: int) -> Iterator[list]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
