"""The documents say what is there: columns, files, make targets, links."""

import ast
import re

import pytest
import yaml

from conftest import ROOT

RESULTS = (ROOT / "results" / "README.md").read_text(encoding="utf-8")
LIBRARY = ROOT / "workflow" / "scripts" / "layerwise"
PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "config/README.md", "results/README.md", "figures/README.md"]
PAGES += ["docs/elsewhere.md"]
# The columns of each file are a constant of the module that makes it; read, not imported, since some import torch.
COLUMNS = {
    "`metrics.csv`": (LIBRARY / "analysis" / "metrics.py", "COLUMNS"),
    "`paired.csv`": (LIBRARY / "analysis" / "paired.py", "COLUMNS"),
    "Probes": (LIBRARY / "analysis" / "probing.py", "COLUMNS"),
    "gates.csv": (LIBRARY / "analysis" / "gates.py", "COLUMNS"),
    "predictions.csv": (LIBRARY / "analysis" / "predictions" / "__init__.py", "COLUMNS"),
    "validity.csv": (LIBRARY / "analysis" / "judge_validity.py", "VALIDITY"),
    "agreement.csv": (LIBRARY / "analysis" / "judge_validity.py", "AGREEMENT"),
    "controls.csv": (LIBRARY / "analysis" / "judge_validity.py", "CONTROLS"),
    "`human_labels.csv`": (LIBRARY / "analysis" / "human_labels.py", "COLUMNS"),
}
RECORDS = {"Prompts": "Prompt", "Responses": "Response", "Verdicts": "Verdict", "Controls": "Control"}


def tree(path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def constant(path, name: str) -> list[str]:
    """All texts in the value that a module gives a name."""
    for node in tree(path).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == name:
            return [part.value for part in ast.walk(node.value) if isinstance(part, ast.Constant)]
    raise AssertionError(f"{path} has no {name}: mend this test")


def described(start: str) -> set[str]:
    """The names in the first column of the first table after some text of results/README.md."""
    table = RESULTS[RESULTS.index(start) :].split("| --- |", 1)[1].split("\n\n")[0]
    first_cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| ")]
    return {name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)}


@pytest.mark.parametrize("heading", RECORDS)
def test_every_field_of_a_record_is_described(heading: str) -> None:
    (record,) = [n for n in tree(LIBRARY / "records.py").body if getattr(n, "name", "") == RECORDS[heading]]
    fields = {node.target.id for node in record.body if isinstance(node, ast.AnnAssign)}
    assert described(f"## {heading}\n") == fields


@pytest.mark.parametrize("file", COLUMNS)
def test_every_column_of_a_table_is_described(file: str) -> None:
    start = f"## {file}\n" if f"## {file}\n" in RESULTS else f"| column of `{file}` |"
    assert described(start) == set(constant(*COLUMNS[file]))


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    text = re.sub(r"<!--.*?-->", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = {re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in text.splitlines()}
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings, target
        elif "://" not in target:
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_that_are_named_exist(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", (ROOT / page).read_text(), re.MULTILINE)) <= targets


def test_every_experiment_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in (ROOT / "config").glob("*.yaml"):
        assert f"| `{path.stem}`" in text, f"{path.stem} is not in the README's table of experiments"


def test_every_figure_is_in_its_readme() -> None:
    text = (ROOT / "figures" / "README.md").read_text(encoding="utf-8")
    for path in (LIBRARY / "report" / "figures").glob("*.py"):
        if any(isinstance(n, ast.FunctionDef) and n.name == "draw" for n in tree(path).body):
            assert f"| `{path.stem.replace('_', '-')}` |" in text


def test_the_versions_agree() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{cited["version"]}"' in project
    assert f"## {cited['version']}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
