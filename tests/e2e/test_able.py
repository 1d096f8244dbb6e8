"""The organism of seed 100 is able: it passes every gate. Nothing here asserts the direction of an effect."""

import pandas as pd
import pytest
import yaml

from project import Project


@pytest.mark.slow
def test_the_organism_passes_its_gates(tmp_path):
    project = Project.new(tmp_path / "project")
    bench = yaml.safe_load((project.folder / "config/bench.yaml").read_text())
    bench |= {"seeds": [100], "models": [{"id": "organism", "arms": ["broad-none", "broad-default"]}]}
    (project.folder / "config/able.yaml").write_text(yaml.safe_dump(bench))
    project.run("--", "results/able/gates.csv", experiment="able")
    gates = pd.read_csv(project.folder / "results/able/gates.csv")
    assert set(gates.arm) == {"broad-none", "broad-default"}
    assert set(gates.gate) >= {
        "vqa_accuracy",
        "refusal",
        "over_refusal",
        "item_probe",
        "deep_probe",
        "deep_probe_early",
    }
    failed = gates[gates.passed != True]  # noqa: E712
    assert failed.empty, failed[["subject", "gate", "dataset", "value", "threshold"]].to_string()
