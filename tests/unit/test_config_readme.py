"""config/README.md is in step with the models that check the configuration."""

import re

import pytest
from pydantic import BaseModel

from commands import docs as document_config
from conftest import ROOT
from layerwise import plugins
from layerwise.errors import InputError
from layerwise.study import arms, config, experiment, recipes, settings, sources

PAGE = ROOT / "config" / "README.md"


def settings_of(*modules: object) -> list[type[BaseModel]]:
    """Every model of a YAML file or of a part of one, once; what others are laid over is none by itself."""
    found = [c for module in modules for c in vars(module).values() if isinstance(c, type)]
    found = [c for c in dict.fromkeys(found) if issubclass(c, settings.Settings)]
    return [c for c in found if not any(c in other.__mro__[1:] for other in found)]


SETTINGS = settings_of(arms, config, experiment, recipes, sources)


def test_the_page_is_up_to_date() -> None:
    document_config.main(["--check"])


def test_a_page_out_of_date_says_what_to_run(tmp_path, monkeypatch) -> None:
    old = tmp_path / "README.md"
    old.write_text(PAGE.read_text().replace("`limit`", "`limits`"))
    monkeypatch.setattr(document_config, "PAGE", old)
    monkeypatch.setattr(document_config, "SCHEMAS", tmp_path)
    with pytest.raises(InputError, match="make docs"):
        document_config.main(["--check"])
    document_config.main([])
    assert old.read_text() == PAGE.read_text()


@pytest.mark.parametrize("settings", SETTINGS)
def test_every_key_has_a_row_and_a_description(settings: type[BaseModel]) -> None:
    keys = set(re.findall(r"^\| `(?:[\w\[\]]+\.)*(\w+)` \|", PAGE.read_text(), re.MULTILINE))
    for field_name, field in settings.model_fields.items():
        name = field.alias or field_name
        assert field.description, f"{settings.__name__}.{name} has no description"
        nested = field.annotation in SETTINGS or {*getattr(field.annotation, "__args__", ())} & {*SETTINGS}
        assert name in keys or nested, f"{settings.__name__}.{name} is not on the page"


def test_every_method_of_training_is_explained() -> None:
    section = PAGE.read_text().split("\n## An arm\n")[1].split("\n## ")[0]
    for name in plugins.names("training.methods"):
        assert f"- `{name}` (" in section


def test_limits_and_defaults_are_said_in_words() -> None:
    page = PAGE.read_text()
    assert "| `decoding.batch_size` | whole number > 0 | `16` |" in page
    assert "| `gates.vqa_accuracy` | number from 0 to 1 | `0.9` |" in page
    assert "| `layers` | `all` or list of whole numbers ≥ 0 | `all` |" in page
    assert "| `models[].id` | id | required |" in page
    assert "| `image` | `own`, `none`, `blank`, `noise` | `own` |" in page
