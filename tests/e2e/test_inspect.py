"""The logs for Inspect, read back with its own API."""

import json
import subprocess
from pathlib import Path

import pytest

from project import ROOT

PYTHON = ROOT / ".venv/inspect/bin/python"
READ = """
import json, sys
from inspect_ai.log import list_eval_logs, read_eval_log
for info in list_eval_logs(sys.argv[1]):
    log = read_eval_log(info)
    scores = [{name: score.value for name, score in one.scores.items()} for one in log.samples]
    print(json.dumps([log.eval.model, log.eval.metadata["exit_layer"], log.status,
        [[one.id, one.input, one.output.completion] for one in log.samples], scores,
        {one.name: {name: metric.value for name, metric in one.metrics.items()} for one in log.results.scores}]))
"""


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON.exists(), reason="Inspect's environment is not made: run make inspect")
def test_each_cell_is_a_log_that_inspect_reads(project):
    results = project.folder / "results/smoke"
    command = [str(PYTHON), "workflow/scripts", "inspect", "--experiment", "smoke"]
    subprocess.run(command, cwd=project.folder, check=True, capture_output=True)
    done = subprocess.run(
        [str(PYTHON), "-c", READ, str(results / "inspect")], capture_output=True, text=True, check=True
    )
    logs = [json.loads(line) for line in done.stdout.splitlines()]
    cells = {path: rows(path) for path in (results / "responses").glob("*/*.jsonl")}
    assert len(logs) == len(cells) == 4
    prompts = {row["id"]: row["text"] for path in (results / "prompts").glob("*.jsonl") for row in rows(path)}
    for model, layer, status, samples, scores, shares in logs:
        said = cells[results / f"responses/{model}/layer-{layer:02d}.jsonl"]
        assert status == "success"
        assert samples == [[row["prompt_id"], prompts[row["prompt_id"]], row["text"]] for row in said]
        for judge in ("truth", "refusal", "toxicity"):
            own = [row for row in rows(results / f"verdicts/{judge}/{model}.jsonl") if row["layer"] == layer]
            given = {one[0]: found[judge] for one, found in zip(samples, scores, strict=True) if judge in found}
            assert given == {row["prompt_id"]: row["label"] for row in own}
        assert all(found.get("outcome") == found.get("truth") for found in scores)
        assert sum(shares["outcome"].values()) == pytest.approx(1)


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_without_inspect_it_says_what_to_do(finished):
    done = finished.script("inspect")
    assert done.returncode == 1 and done.stderr.strip().endswith("Run: make inspect EXPERIMENT=smoke")
