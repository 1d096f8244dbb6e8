"""The JSON schemas that editors read: every file of the project passes, and a slip of the pen is marked where it is."""

import json

import jsonschema
import pytest
import yaml

from conftest import ROOT

CONFIG = ROOT / "config"
FILES = sorted(path.relative_to(CONFIG) for path in CONFIG.rglob("*.yaml"))
KINDS = {"models": "model", "datasets": "dataset", "judges": "judge"}


def kind(path) -> str:
    return KINDS.get(path.parts[0], "experiment")


def marked(name: str, values: object) -> list[str]:
    """The places that a schema marks, as dotted keys; that of an unknown key is the mapping that holds it."""
    schema = json.loads((CONFIG / "schema" / f"{name}.json").read_text(encoding="utf-8"))
    return [
        ".".join(map(str, error.absolute_path)) for error in jsonschema.Draft202012Validator(schema).iter_errors(values)
    ]


@pytest.mark.parametrize("path", FILES, ids=str)
def test_each_file_names_its_schema_and_passes(path):
    text = (CONFIG / path).read_text(encoding="utf-8")
    above = "../" * (len(path.parts) - 1)
    assert f"# yaml-language-server: $schema={above}schema/{kind(path)}.json\n" in text
    assert marked(kind(path), yaml.safe_load(text)) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "place"),
    [
        ("smoke.yaml", "seeds:", "seed:", ""),
        ("smoke.yaml", "batch_size: 32", "batch_size: -1", "decoding.batch_size"),
        ("smoke.yaml", "asserted: false", "asserted: perhaps", "gates.asserted"),
        ("models/organism.yaml", "family: llava", "family: lava", "family"),
        ("models/organism.yaml", "method: sft", "method: stf", "arms.narrow-default.method"),
        ("models/organism-f2.yaml", "frozen_blocks", "frozen_block", "organism"),
        ("datasets/xstest.yaml", "builder: xstest", "builder: xtest", "builder"),
        ("judges/refusal.yaml", "judge: refusal", "judge: refusol", "judge"),
        ("judges/guard.yaml", "batch_size: 32}", "batch_sizes: 32}", ""),
    ],
)
def test_a_slip_of_the_pen_is_marked(file, old, new, place):
    text = (CONFIG / file).read_text(encoding="utf-8")
    assert old in text
    found = marked(kind((CONFIG / file).relative_to(CONFIG)), yaml.safe_load(text.replace(old, new)))
    assert any(where.startswith(place) for where in found), found
