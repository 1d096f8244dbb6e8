"""What an experiment has, in the words that the `WHEN` of a figure or a table may use.

These are every metric it can measure, and `organisms`, `trained` (organisms or assembled models), `adapted` (arms of
published models beside those themselves), `variants` (controls of the features), `doses` (organisms of several depths),
`probed`, `images` (prompts with an image), `human labels`.
"""

from layerwise.study.study import Study


def facts(study: Study) -> frozenset[str]:
    """Every fact that holds for an experiment."""
    models = study.models.values()
    depths = {model.organism.vision.frozen_blocks for model in models if model.organism}
    true = {
        "organisms": bool(depths),
        "trained": any(model.trained for model in models),
        "adapted": any(study.adapted_from(subject) for subject in study.subjects),
        "variants": any(model.weights_of for model in models),
        "doses": len(depths) > 1,
        "probed": bool(study.probed),
        "images": any(dataset.image != "none" for dataset in study.datasets.values()),
        "human labels": bool(study.human_labels),
    }
    return frozenset(study.measured) | {fact for fact, holds in true.items() if holds}
