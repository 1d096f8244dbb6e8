"""Judging: finds the responses that are new and judges each distinct one once.

Responses with the same text, to prompts that look the same to the judge, share a verdict: their row keys are equal, so
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
from layerwise.records import Answer, Prompt, Response, Verdict

Pair = tuple[Prompt, Response]


def row_keys(judge: Judge, determinants: object, pairs: Mapping[Cell, Pair]) -> dict[Cell, str]:
    """The key of each row: the sha256 of everything its verdict depends on.

    `determinants` is what all rows share: the spec and the hash of the weights.
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
    """Update the verdicts on one subject. `known` holds the judge's answers by row key; new ones are added to it."""
    with Rows(path, Verdict, keys) as rows:
        known.update({row.key: Answer(row.label, row.score, row.cut) for row in rows.kept.values()})
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
    """A judge's answers, checked. Raises InputError naming the judge and the response it fails on."""
    try:
        answers = [Answer(*answer) for answer in judge(pairs)]
    except Exception as error:
        if len(pairs) == 1:
            raise InputError(f"{_named(id, pairs[0])}: {type(error).__name__}: {error}") from error
        for pair in pairs:
            ask(judge, id, [pair])
        raise InputError(
            f"judge '{id}' can judge each of {len(pairs)} responses alone but not all together "
            f"({type(error).__name__}: {error}). Lower its batch size in config/judges/{id}.yaml."
        ) from error
    if len(answers) != len(pairs):
        raise InputError(
            f"judge '{id}' gave {len(answers)} answers to {len(pairs)} responses. Fix its file in judging/judges/."
        )
    for pair, (label, score, _) in zip(pairs, answers, strict=True):
        low, high = getattr(judge, "bounds", (0, 1))
        if label not in judge.labels or not (score is None or (math.isfinite(score) and low <= score <= high)):
            raise InputError(f"{_named(id, pair)}: it does not declare the verdict {label!r} with score {score}.")
    return answers


def _verdict(id: str, response: Response, key: str, answer: Answer) -> Verdict:
    return Verdict(key, response.prompt_id, response.subject, response.layer, id, *answer)


def _named(id: str, pair: Pair) -> str:
    response = pair[1]
    return f"judge '{id}' fails on subject '{response.subject}', prompt '{response.prompt_id}', layer {response.layer}"


def _batches(items: list, size: int) -> Iterator[list]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
