"""Each kind of work pins what its scripts import, directly or not, and envs/ is written from the pins."""

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from commands import lock
from layerwise import plugins
from layerwise.errors import InputError
from layerwise.jobs import fingerprint

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "workflow/scripts"
# Distributions whose name differs from the module's.
DISTRIBUTIONS = {"PIL": "pillow", "yaml": "pyyaml"}


def rules():
    """Script, kind of work and environment of each rule."""
    text = "".join((SCRIPTS / f"layerwise/jobs/{module}.py").read_text() for module in ("specs", "aggregates"))
    named = dict(re.findall(r'(?:spec|aggregate)\(\s*"(\w+)",\s*(?:kind=)?"(\w+)"', text))
    for path in sorted((ROOT / "workflow/rules").glob("*.smk")):
        for block in re.split(r"(?m)^\s*rule\b", path.read_text())[1:]:
            environment = re.search(r'envs/(\w+)\.yaml"', block)
            script = re.search(r'python "\$LAYERWISE_SCRIPTS"/(\w+)\.py', block)
            if environment and script:
                kind = (
                    "analysis"
                    if re.search(r"SPECS\.(aggregate|assess|figure|table)\(", block)
                    else named.get(script[1])
                )
                # Two rules whose specs hold no code.
                kind = {"fetch": "downloading", "try_judges": "judging"}.get(script[1], kind)
                yield script[1], kind, environment[1]


def rooms(tree):
    """The rooms in which a module finds things by a name at run time."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    finds = [call.args[0] for call in calls if ast.unparse(call.func) == "plugins.find"]
    return {room.value for room in finds if isinstance(room, ast.Constant)}


def imported(script):
    """Names of the third-party distributions that a script needs, whatever it finds by a name at run time."""
    waiting, seen, found = [script], set(), set()
    while waiting:
        name = waiting.pop()
        path = fingerprint._module_file(name)
        if path is None or name in seen:
            continue
        seen.add(name)
        tree = ast.parse(path.read_text())
        waiting.extend(fingerprint._imports(tree, name.rpartition(".")[0]))
        # Who only resolves an asset needs nothing of what fetches it.
        if name != "layerwise.assets" or script == "fetch":
            waiting.extend(plugins.module(room, thing) for room in rooms(tree) for thing in plugins.names(room))
        for node in ast.walk(tree):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                modules = [node.module]
            found |= {module.split(".")[0] for module in modules}
    third_party = found - set(sys.stdlib_module_names) - {"layerwise"}
    return {DISTRIBUTIONS.get(name, name) for name in third_party}


@pytest.mark.parametrize("script, kind, environment", sorted(set(rules())))
def test_the_kind_of_work_of_a_rule_pins_what_it_imports(script, kind, environment):
    there = {lock.normal(pin).split("==")[0] for pin in fingerprint.group(kind)}
    needed = {lock.normal(name) for name in imported(script)}
    assert needed <= there, f"pyproject.toml: group '{kind}' lacks {sorted(needed - there)}"
    assert kind in fingerprint.project()["tool"]["layerwise"]["environments"][environment]


def test_every_rule_is_looked_at():
    assert len(set(rules())) >= 15


def test_each_pin_is_exact_and_written_once():
    parts = [part for group in fingerprint.project()["dependency-groups"].values() for part in group]
    pins = [part for part in parts if isinstance(part, str)]
    assert all(re.fullmatch(r"[a-z0-9_-]+==[0-9a-z.]+", pin) for pin in pins)
    names = [pin.split("==")[0] for pin in pins]
    assert sorted(names) == sorted(set(names))


def test_what_is_written_from_the_pins_is_up_to_date():
    lock.main(["--check"])
    locked = (ROOT / "envs/requirements.lock").read_text()
    # torch needs setuptools, which pip does not list where it came with Python.
    assert "setuptools==" in locked and "+" not in locked and not re.search("nvidia|triton|cuda-", locked)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A copy of the pins and of what is written from them, that a test may edit."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "envs", tmp_path / "envs")
    monkeypatch.setattr(fingerprint, "PROJECT", tmp_path / "pyproject.toml")
    return tmp_path


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    "path, old, new, named",
    [
        ("pyproject.toml", "detoxify==0.5.4", "detoxify==0.5.3", "models.yaml, requirements.lock"),
        ("pyproject.toml", "pytest==9.2.0", "pytest==9.2.1", "requirements.lock"),
        (
            "pyproject.toml",
            'paper = ["paper", "provenance"]',
            'print = ["paper", "provenance"]',
            "paper.yaml, print.yaml",
        ),
        ("envs/models.yaml", "torch==", "torch==1", "models.yaml"),
        ("envs/requirements.lock", "\ntorch==", "\ntorch==1", "requirements.lock"),
    ],
)
def test_what_is_out_of_date_is_named(project, path, old, new, named):
    edit(project / path, old, new)
    with pytest.raises(InputError, match=rf"envs/ is out of date: {named}\. Run: make lock"):
        lock.main(["--check"])


def test_the_lock_keeps_what_is_not_pinned_and_is_all_that_the_machine_does_not_decide(project, monkeypatch):
    asked = []

    def pip(command, **_):
        asked.append((command, Path(command[command.index("--constraint") + 1]).read_text().splitlines()))
        found = {"torch": "2.13.0+cu130", "nvidia-cublas": "13.1", "cuda-bindings": "13.0", "triton": "3.7"}
        found |= {"setuptools": "84.2.1", "detoxify": "0.5.3", "PyYAML": "6.0.4"}
        report = {"install": [{"metadata": {"name": name, "version": version}} for name, version in found.items()]}
        return subprocess.CompletedProcess(command, 0, json.dumps(report))

    monkeypatch.setattr(subprocess, "run", pip)
    edit(project / "pyproject.toml", "detoxify==0.5.4", "detoxify==0.5.3")
    (project / "envs/old.yaml").write_text("")
    lock.main([])
    (command, kept), text = asked.pop(), (project / "envs/requirements.lock").read_text()
    assert "detoxify==0.5.3" in command and "regex==2026.11.19" in kept
    assert not {"detoxify==0.5.4", "PyYAML==6.0.4", "huggingface_hub==2.4.0"} & set(kept)
    lines = [line for line in text.splitlines() if line[0] != "#"]
    assert lines == ["detoxify==0.5.3", "PyYAML==6.0.4", "setuptools==84.2.1", "torch==2.13.0"]
    assert "      - detoxify==0.5.3\n" in (project / "envs/models.yaml").read_text()
    assert not (project / "envs/old.yaml").exists()
    lock.main(["--upgrade"])
    assert asked.pop()[1] == []


def test_what_pip_cannot_resolve_leaves_everything_as_it_is(project, monkeypatch):
    before = {path: path.read_text() for path in (project / "envs").iterdir()}
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 1, ""))
    edit(project / "pyproject.toml", "detoxify==0.5.4", "detoxify==0.5.3")
    with pytest.raises(InputError, match="lock --upgrade"):
        lock.main([])
    assert {path: path.read_text() for path in (project / "envs").iterdir()} == before
