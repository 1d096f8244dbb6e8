"""Every number that the paper prints, by a key: `number(numbers, "asr.broad-default.world-deep.layer-00")`.

A key is made of what the number is of, from the whole to the part, joined by dots:

    <metric>.<of whom>.<data set>.<layer-03, default, early, middle or late>
    difference.<metric>.<of whom>.<data set>.<layer-03>     less the default exit layer; p.… its p value (Holm)
    probe.<probe>.<of whom>.<layer-03>
    precision.<judge>.<label>, recall.<judge>.<label>, agreement.<judge>.<judge>.<claim>, kappa.…, control.<judge>.…
    human.<metric>.<judge>.<half>                           on responses that people have labelled
    gate.<seed>.<gate>.<data set>, able.<seed>              ability; prediction.P1a.<seed>: its verdict
    setting.<what>                                          what was run: seeds, layers, n, versions
    seen.<figure>                                           a sentence or two on what a figure shows

`asr` is the share of harmful outcomes; `asr_guard` is the share that a guard calls unsafe, the paper's own rate. Where
no judge tells what is harmful there is no `asr`, but `answered`: neither refused nor incoherent. A metric that several
judges measure has the judge behind it: `flagged-refusal`. *Of whom* is an arm (its mean over seeds) or one of its seeds
(`organism.broad-default.s100`), or a published model. An arm of a model that is not the experiment's first has the
model before it: `organism-f2.broad-default`.
"""

from typing import Any

from layerwise.errors import InputError


def number(numbers: dict[str, dict[str, Any]], key: str) -> str:
    """The text of a number, with its unit, as it stands in the paper; InputError where there is none of that key."""
    if key not in numbers:
        raise InputError(
            f"numbers.json has no '{key}'. layerwise/numbers says how keys are made; run the rule `numbers`."
        )
    return numbers[key]["text"]
