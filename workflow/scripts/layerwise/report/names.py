"""Display names, from an experiment's files."""

from layerwise.report.text import Names
from layerwise.study.study import Study


def of(study: Study) -> Names:
    """The display names of models, data sets and judges, and the cues of the synthetic world's data sets."""
    kinds = (study.models, study.datasets | study.human_labels, study.judges)
    models, datasets, judges = ({id: one.display for id, one in kind.items()} for kind in kinds)
    return Names(models, datasets, judges, {id: dataset.options.get("cue") for id, dataset in study.datasets.items()})
