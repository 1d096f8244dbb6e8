"""Write the responses and verdicts of a finished experiment as logs of Inspect, one for each model and exit layer.

`inspect view --log-dir results/<experiment>/inspect` opens them. A sample is a prompt with its response; each judge is
a scorer, with its label as the value and its score in the metadata, and `outcome` is one more. inspect_ai is a
dependency group of its own, which `make inspect` installs apart from everything else.
"""

import argparse
import importlib.util
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from layerwise import records
from layerwise.analysis import metrics
from layerwise.analysis.outcomes import outcomes
from layerwise.errors import InputError
from layerwise.jobs import program
from layerwise.jobs.aggregates import judged
from layerwise.paths import Run
from layerwise.records import Prompt, Response
from layerwise.study import loading
from layerwise.study.study import Study, Subject
from layerwise.vocabulary import OF_OUTCOMES

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample

OUTCOME = "outcome"
STOPPED: Mapping[str, Any] = {"stop": "stop", "length": "max_tokens"}


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiment", default="bench", help="a finished experiment (default: bench)")
    run = Run(parser.parse_args(argv).experiment)
    if importlib.util.find_spec("inspect_ai") is None:
        raise InputError(f"inspect_ai is not installed here. Run: make inspect EXPERIMENT={run.experiment}")
    if not Path(run.complete).exists():
        raise InputError(
            f"{run.complete} is missing: '{run.experiment}' is not finished. "
            f"Run: make reproduce EXPERIMENT={run.experiment}"
        )
    study = loading.load(run.config)
    for path in program.progress(written(study, run), sum(len(one.layers) for one in study.subjects), "logs"):
        assert path.exists()
    print(f"inspect view --log-dir {run.results}/inspect")


def written(study: Study, run: Run) -> Iterator[Path]:
    """Write the log of every cell; yields each path."""
    from inspect_ai.log import write_eval_log

    listed = records.read_prompts(Path(run.prompts(dataset)) for dataset in study.datasets)
    prompts = {prompt.id: prompt for prompt, _ in listed}
    for subject in study.subjects:
        given = metrics.read_verdicts([Path(run.verdicts(judge, subject.name)) for judge in study.judges])
        for layer, place in zip(subject.layers, run.responses(subject.name, subject.layers), strict=True):
            path = Path(run.results, "inspect", subject.name, f"layer-{layer:02d}.eval")
            path.parent.mkdir(parents=True, exist_ok=True)
            cell = given[given["layer"] == layer]
            responses = [row for row in records.read(Path(place), Response) if row.prompt_id in prompts]
            made = datetime.fromtimestamp(Path(place).stat().st_mtime, UTC).isoformat(timespec="seconds")
            write_eval_log(log_of(study, subject, layer, responses, cell, prompts, made), path, format="eval")
            yield path


def log_of(
    study: Study,
    subject: Subject,
    layer: int,
    responses: list[Response],
    verdicts: pd.DataFrame,
    prompts: Mapping[str, Prompt],
    made: str,
) -> "EvalLog":
    """The log of one cell, whose responses were `made` at some time."""
    from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalResults, EvalSpec

    scores = scores_of(study, verdicts, prompts)
    samples = [sample(prompts[row.prompt_id], row, scores.get(row.prompt_id, {})) for row in responses]
    about = {"experiment": study.name, "exit_layer": layer, "default_layer": subject.model.default_layer}
    return EvalLog(
        status="success",
        eval=EvalSpec(
            created=made,
            task=f"{subject.name}-exit-{layer}",
            model=subject.name,
            dataset=EvalDataset(name=study.name, samples=len(samples), sample_ids=[str(one.id) for one in samples]),
            config=EvalConfig(),
            metadata=about | {"arm": subject.arm, "seed": subject.seed, "is_default": layer == about["default_layer"]},
        ),
        results=EvalResults(total_samples=len(samples), completed_samples=len(samples), scores=shares(samples)),
        samples=samples,
    )


def scores_of(study: Study, verdicts: pd.DataFrame, prompts: Mapping[str, Prompt]) -> dict[str, dict[str, Any]]:
    """For each prompt, what each judge said of its response, and the outcome, as Inspect's scores by scorer."""
    from inspect_ai.scorer import Score

    found: dict[str, dict[str, Any]] = {}
    for row in verdicts.itertuples():
        about = ({} if pd.isna(row.score) else {"score": row.score}) | ({"cut": True} if row.cut else {})
        found.setdefault(row.prompt_id, {})[row.judge] = Score(value=row.label, metadata=about or None)
    labels = verdicts.pivot(index="prompt_id", columns="judge", values="label")
    claims = {id: judged(judge.judge, judge.options)["claims"] for id, judge in study.judges.items()}
    decided = outcomes(labels, study.experiment.outcome.model_dump(), claims).dropna()
    for prompt_id, outcome in decided.items():
        if prompts[prompt_id].kind in OF_OUTCOMES:
            found[prompt_id][OUTCOME] = Score(value=outcome)
    return found


def sample(prompt: Prompt, row: Response, scores: dict[str, Any]) -> "EvalSample":
    """A prompt with its response; the image by its path and checksum."""
    from inspect_ai.log import EvalSample
    from inspect_ai.model import ModelOutput

    output = ModelOutput.from_content(row.subject, row.text, stop_reason=STOPPED[row.finish_reason])
    about = {
        **{name: getattr(prompt, name) for name in ("dataset", "kind", "cluster", "image", "image_sha256")},
        **prompt.attributes,
        "tokens": row.num_tokens,
        "margin": row.margin,
    }
    target = prompt.target if prompt.target is not None else ""
    text = EvalSample(id=prompt.id, epoch=1, input=prompt.text, target=target, output=output, metadata=about)
    text.scores = scores
    return text


def shares(samples: list["EvalSample"]) -> list[Any]:
    """Each scorer's share of each of its values, over the samples that it scored."""
    from inspect_ai.log import EvalMetric, EvalScore

    found = []
    for scorer in dict.fromkeys(name for one in samples for name in one.scores or {}):
        values = pd.Series([one.scores[scorer].value for one in samples if one.scores and scorer in one.scores])
        metrics_of = {
            value: EvalMetric(name=value, value=share) for value, share in values.value_counts(normalize=True).items()
        }
        found.append(EvalScore(name=scorer, scorer=scorer, scored_samples=len(values), metrics=metrics_of))
    return found
