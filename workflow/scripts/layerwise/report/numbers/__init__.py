"""Every number that the paper prints, by a key: `number(numbers, "asr.broad-default.world-deep.layer-00")`.

A key says what the number measures, from the general to the particular, joined by dots:

    <metric>.<of whom>.<data set>.<layer-03, default, early, middle or late>
    difference.<metric>.<of whom>.<data set>.<layer-03>     minus the default layer; p.… is its p value (Holm)
    probe.<probe>.<of whom>.<layer-03>
    precision.<judge>.<label>, recall.<judge>.<label>, agreement.<judge>.<judge>.<claim>, kappa.…
    control.<judge>.<control>.<label>, control-right.<judge>.<control>
    human.<metric>.<judge>.<dataset>[.<model>]              on responses that people have labelled
    gate.<seed>.<gate>.<data set>, able.<seed>              ability; prediction.P1a.<seed>: its outcome
    setting.<what>                                          what was run: seeds, layers, n, versions
    seen.<figure>                                           the finding: a sentence or two on what a figure shows

`asr` is the share of harmful outcomes; `asr_guard` is the share that a guard calls unsafe, the original study's rate.
Where no judge recognises harm there is no `asr`, but `answered`: neither refused nor incoherent. If several judges
measure a metric, the judge's id follows it: `flagged-refusal`. *Of whom* is an arm (its mean over seeds), one of its
seeds (`organism.broad-default.s100`) or a published model. If the model is not the first of the experiment that has the
arm, its id comes first: `organism-f2.broad-default`.
"""

from typing import Any

from layerwise.errors import InputError


def number(numbers: dict[str, dict[str, Any]], key: str) -> str:
    """The text of a number, with its unit, as the paper prints it. Raises InputError for an unknown key."""
    if key not in numbers:
        raise InputError(
            f"numbers.json has no '{key}'. The docstring of layerwise/report/numbers says how keys are formed; if the"
            " file is old, run the rule `numbers`."
        )
    return numbers[key]["text"]
