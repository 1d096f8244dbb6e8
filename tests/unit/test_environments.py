"""Each rule's conda environment holds what its script imports, directly or through the library."""

import ast
import re
import sys
from pathlib import Path

import pytest

from layerwise import plugins
from layerwise.jobs import fingerprint

ROOT = Path(__file__).resolve().parents[2]
# Distributions whose name differs from the module's.
DISTRIBUTIONS = {"PIL": "pillow", "yaml": "pyyaml"}
# Found by an id at run time, each only where the rule's script asks for its room.
ROOMS = {
    "generate": "models.families",
    "probe": "models.families",
    "judge": "judging.judges",
    "human_labels": "judging.judges",
    "build_prompts": "prompts.builders",
    "figure": "report.figures",
    "fetch": "assets",
}


def rules():
    """Script and environment of each rule."""
    for path in sorted((ROOT / "workflow/rules").glob("*.smk")):
        for block in re.split(r"(?m)^\s*rule\b", path.read_text())[1:]:
            environment = re.search(r'envs/(\w+)\.yaml"', block)
            script = re.search(r"python workflow/scripts/(\w+)\.py", block)
            if environment and script:
                yield script[1], environment[1]


def imported(script):
    """Names of the third-party distributions that a script needs."""
    room = ROOMS.get(script)
    waiting = [script, *(plugins.module(room, name) for name in (plugins.names(room) if room else ()))]
    if script in ("train_vision", "train_base", "align", "probe"):
        waiting.append("layerwise.models.organisms.llava")
    if script == "train_judge":
        waiting += ["layerwise.training.judges.toxicity", "layerwise.training.judges.guard"]
    seen, found = set(), set()
    while waiting:
        name = waiting.pop()
        path = fingerprint._module_file(name)
        if path is None or name in seen:
            continue
        seen.add(name)
        tree = ast.parse(path.read_text())
        waiting.extend(fingerprint._imports(tree))
        for node in ast.walk(tree):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                modules = [node.module]
            found |= {module.split(".")[0] for module in modules}
    third_party = found - set(sys.stdlib_module_names) - {"layerwise"}
    return {DISTRIBUTIONS.get(name, name) for name in third_party}


@pytest.mark.parametrize("script, environment", sorted(set(rules())))
def test_the_environment_of_a_rule_holds_what_it_imports(script, environment):
    there = {re.split("[= ]", pin)[0].lower() for pin in fingerprint.pins(environment)}
    assert imported(script) <= there, f"envs/{environment}.yaml lacks {sorted(imported(script) - there)}"


def test_every_rule_is_looked_at():
    assert len(set(rules())) >= 15
