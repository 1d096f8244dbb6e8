"""The records of a run: read whole, walked back from a result, and narrowed to what one row is about."""

import pytest

from history import record
from layerwise.errors import InputError
from layerwise.runs import provenance

SPEC = {
    "subjects": [
        {"name": f"o.{arm}.s{seed}", "id": "o", "arm": arm, "seed": seed, "layers": [0, 3]}
        for arm in ("narrow-none", "narrow-default")
        for seed in ("1", "2")
    ],
    "datasets": ["deep", "shallow"],
    "judges": {"truth": "truth", "vqa": "vqa"},
    "outcome": {"truth": "truth"},
}
SUBJECTS = [subject["name"] for subject in SPEC["subjects"]]
PROMPTS = [f"results/x/prompts/{dataset}.jsonl" for dataset in SPEC["datasets"]]


def responses(subject):
    return [f"results/x/responses/{subject}/layer-{layer:02d}.jsonl" for layer in (0, 3)]


def verdicts(judge):
    return [f"results/x/verdicts/{judge}/{subject}.jsonl" for subject in SUBJECTS]


@pytest.fixture
def made(tmp_path):
    """The jobs of a small run."""
    for prompts in PROMPTS:
        record(tmp_path, "build_prompts", [], [prompts])
    for subject in SUBJECTS:
        weights = f"results/x/models/{subject}/model.safetensors"
        base = subject.replace("narrow-default", "narrow-none")
        record(tmp_path, "train", PROMPTS if base == subject else [weights.replace(subject, base)], [weights])
        record(tmp_path, "generate", [weights, *PROMPTS], responses(subject))
    all_responses = [path for subject in SUBJECTS for path in responses(subject)]
    for judge in SPEC["judges"]:
        record(tmp_path, "judge", [*PROMPTS, *all_responses], verdicts(judge))
    record(tmp_path, "metrics", [*PROMPTS, *verdicts("truth"), *verdicts("vqa")], ["results/x/metrics.csv"], SPEC)
    return provenance.jobs(tmp_path)


def row(**cells):
    return {
        "model": "o",
        "arm": "narrow-default",
        "seed": "2",
        "dataset": "deep",
        "layer": "3",
        "judge": "truth",
    } | cells


def files(steps):
    return {path for step in steps for path in step.outputs}


def test_the_outputs_of_one_job_are_one_job(made):
    assert len(set(made.values())) == 2 + 4 + 4 + 2 + 1
    assert made[responses("o.narrow-none.s1")[0]].outputs == tuple(responses("o.narrow-none.s1"))
    assert made["results/x/metrics.csv"].spec == SPEC
    assert made["results/x/metrics.csv"].read[PROMPTS[0]] == PROMPTS[0]


def test_a_long_name_is_read_from_its_pieces(tmp_path):
    long = f"results/x/{'long/' * 80}end.csv"
    record(tmp_path, "metrics", [], [long])
    assert list(provenance.jobs(tmp_path)) == [long]


def test_a_chain_has_every_file_and_each_job_after_those_that_hang_on_it(made):
    steps = provenance.chain(made, [made["results/x/metrics.csv"]])
    assert files(steps) == set(made)
    place = {path: number for number, step in enumerate(steps) for path in step.outputs}
    assert all(place[path] > number for number, step in enumerate(steps) for path in step.inputs)


def test_a_row_hangs_on_its_own_cell_alone(made):
    about = provenance.choices(row(metric="asr"), SPEC)
    assert files(provenance.chain(made, [made["results/x/metrics.csv"]], about)) == {
        "results/x/metrics.csv",
        "results/x/verdicts/truth/o.narrow-default.s2.jsonl",
        "results/x/responses/o.narrow-default.s2/layer-03.jsonl",
        "results/x/models/o.narrow-default.s2/model.safetensors",
        # Of another arm and another data set, but what the weights were tuned from and trained with.
        "results/x/models/o.narrow-none.s2/model.safetensors",
        *PROMPTS,
    }


@pytest.mark.parametrize(
    ("cells", "there"),
    [
        ({"metric": "asr", "seed": "all"}, "results/x/responses/o.narrow-default.s1/layer-03.jsonl"),
        ({"metric": "asr", "layer": ""}, "results/x/responses/o.narrow-default.s2/layer-00.jsonl"),
        ({"metric": "asr", "p_holm": "0.1"}, "results/x/responses/o.narrow-default.s2/layer-00.jsonl"),
        ({"metric": "asr", "judge": "truth+vqa"}, "results/x/verdicts/vqa/o.narrow-default.s2.jsonl"),
        (
            {"metric": "recall", "judge": "vqa", "truth": "harmful"},
            "results/x/verdicts/truth/o.narrow-default.s2.jsonl",
        ),
        ({"prediction": "P3"}, "results/x/responses/o.narrow-none.s1/layer-00.jsonl"),
    ],
)
def test_nothing_is_left_out_that_a_row_hangs_on(made, cells, there):
    about = provenance.choices(row(**cells), SPEC)
    assert there in files(provenance.chain(made, [made["results/x/metrics.csv"]], about))


def test_records_of_another_snakemake_are_refused(tmp_path):
    record(tmp_path, "metrics", [], ["results/x/metrics.csv"], version=provenance.FORMAT + 1)
    with pytest.raises(InputError, match="record_format_version"):
        provenance.jobs(tmp_path)


def test_a_damaged_record_is_named(tmp_path):
    record(tmp_path, "metrics", [], ["results/x/metrics.csv"])
    (path,) = (tmp_path / provenance.FOLDER).iterdir()
    path.write_text("{")
    with pytest.raises(InputError, match=path.name):
        provenance.jobs(tmp_path)
