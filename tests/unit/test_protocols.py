"""What is found by the name of its file keeps to the protocol of its room: mypy says so, as it would of a new one."""

import subprocess
import sys

from conftest import ROOT
from layerwise import plugins

PROTOCOLS = {
    "models.families": "type[models.families.Family] = {}.Family",
    "models.organisms": "models.organisms.Recipe = {}",
    "training.methods": "training.methods.Method = {}",
    "judging.judges": "type[judging.judges.Judge] = {}.Judge",
}


def claims():
    """An assignment for each thing, which is well typed where the thing keeps to its protocol."""
    for room, claim in PROTOCOLS.items():
        yield from (claim.format(f"{room}.{name}") for name in plugins.names(room))
    for name in plugins.names("models.backbones"):
        # What can be compared with its source is a vision encoder's format.
        kind = "Vision" if hasattr(plugins.find("models.backbones", name), "parity") else "Language"
        yield f"models.backbones.{kind}Backbone = models.backbones.{name}"


def mypy(tmp_path, lines):
    """What mypy says of lines of Python."""
    names = {f"layerwise.{room}.{name}" for room in (*PROTOCOLS, "models.backbones") for name in plugins.names(room)}
    heads = [*(f"import {name}" for name in sorted(names)), "from layerwise import judging, models, training"]
    (tmp_path / "claims.py").write_text("\n".join([*heads, *lines, ""]))
    command = [sys.executable, "-m", "mypy", "--config-file", ROOT / "pyproject.toml", tmp_path / "claims.py"]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT).stdout


def test_each_thing_keeps_to_the_protocol_of_its_room(tmp_path):
    lines = [f"claim_{number}: {claim}" for number, claim in enumerate(claims())]
    assert len(lines) >= 15
    assert mypy(tmp_path, lines).startswith("Success")


def test_what_does_not_keep_to_it_is_named(tmp_path):
    said = mypy(tmp_path, ["claim: models.organisms.Recipe = models.backbones.gguf"])
    assert 'expression has type Module, variable has type "Recipe"' in said
