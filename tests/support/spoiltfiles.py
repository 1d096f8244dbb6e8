"""Files with one mistake each, and what the message about it must say: the key, and what is allowed."""

import yaml

from conftest import ROOT

HUB = {"kind": "hub", "repo": "owner/name", "revision": "a" * 40}
URL = {"kind": "url", "url": "https://example.org/file.csv", "sha256": "b" * 64}
TRIAL = {
    "title": "Trial",
    "layers": [0, 7],
    "models": [{"id": "organism", "arms": ["broad-none", "broad-default"]}],
    "datasets": ["world-deep", "world-vqa"],
    "judges": ["truth", "refusal", "coherence", "vqa", "one"],
    "outcome": {"truth": "truth"},
    "palette": {"broad-none": "#000000"},
}
GUARD = {"display": "G", "judge": "guard", "source": HUB}
TOXICITY = {"display": "T", "judge": "toxicity", "train": {}}
WORLD = {"display": "W", "builder": "world", "size": 4, "options": {"cue": "deep"}}
XSTEST = {"display": "X", "builder": "xstest", "sources": {"prompts": URL}}
BEHAVIOURS = {"display": "B", "builder": "behaviours", "sources": {"prompts": URL, "images": URL}}
LABELS = {"display": "L", "builder": "refusal_labels", "sources": {"first": URL}}
MODEL = yaml.safe_load((ROOT / "config/models/organism.yaml").read_text())
ASSEMBLED = yaml.safe_load((ROOT / "config/models/dino-smol-135m.yaml").read_text())
PUBLISHED = {"display": "P", "family": "llava", "blocks": 24, "default_layer": 23, "source": HUB}


def changed(values: dict, **changes: object) -> dict:
    """Nested settings with others in their place, named by keys joined with two underscores; None removes one."""
    for place, value in changes.items():
        *above, last = place.split("__")
        values = inner = yaml.safe_load(yaml.safe_dump(values))
        for key in above:
            inner = inner.setdefault(key, {})
        if value is None:
            del inner[last]
        else:
            inner[last] = value
    return values


# What the file `one` of a kind says, and what the message must say: the key, and what is allowed.
JUDGES = {
    "a judge that is not there": (changed(GUARD, judge="gaurd"), ["'judge'", "no judge 'gaurd'", "mean guard?"]),
    "an option misspelt": (
        changed(GUARD, options__treshold=0.3),
        ["unknown key 'options.treshold'", "allowed: batch_size, dtype,", "mean 'threshold'?"],
    ),
    "an option of rules that have none": (
        {"display": "R", "judge": "refusal", "options": {"threshold": 1}},
        ["unknown key 'options.threshold'", "allowed: none."],
    ),
    "a number as text": (
        changed(GUARD, options__threshold="0.5"),
        ["'options.threshold'", "must be a number, without quotes", "'0.5'"],
    ),
    "a truth value for a number": (
        changed(TOXICITY, options__threshold=True),
        ["'options.threshold'", "must be a number", "True"],
    ),
    "a number beyond its range": (
        changed(TOXICITY, options__threshold=50),
        ["'options.threshold'", "less than or equal to 1", "50"],
    ),
    "no number": (changed(TOXICITY, options__threshold=float("nan")), ["'options.threshold'", "finite number"]),
    "a fraction for a whole number": (
        changed(GUARD, options__batch_size=1.5),
        ["'options.batch_size'", "whole number", "1.5"],
    ),
    "no rows a pass": (changed(GUARD, options__batch_size=0), ["'options.batch_size'", "greater than 0"]),
    "a text for a list": (changed(GUARD, options__unsafe="Yes"), ["'options.unsafe'", "list", "[a, b]", "'Yes'"]),
    "a list of truth values": (changed(GUARD, options__unsafe=[True]), ["'options.unsafe.0'", "in quotes", "True"]),
    "an empty list": (changed(GUARD, options__unsafe=[]), ["'options.unsafe'", "at least 1", "[]"]),
    "an empty word": (changed(GUARD, options__safe=[""]), ["'options.safe.0'", "must not be empty"]),
    "a word for both verdicts": (
        changed(GUARD, options__unsafe=["No", "yes"], options__safe=["no", "No"]),
        ["'options.unsafe'", "'No'", "keep it in one list"],
    ),
    "a type that is none": (changed(GUARD, options__dtype="bf16"), ["'options.dtype'", "'bfloat16'", "'bf16'"]),
    "a template without its places": (
        changed(GUARD, options__template="{response} {prompt}"),
        ["'options.template'", "{prompt} and"],
    ),
    "options in a list": (changed(GUARD, options=["threshold"]), ["'options'", "must hold keys and values"]),
    "no weights": (changed(GUARD, source=None), ["'source'", "needs weights: give `source` or `train`"]),
    "weights twice": (changed(GUARD, train={}), ["'source'", "give `source` or `train`, not both"]),
    "weights of rules": (
        {"display": "R", "judge": "refusal", "source": HUB},
        ["'source'", "refusal has no use for it", "it has no weights"],
    ),
    "training that nobody can": (
        {"display": "R", "judge": "relevance", "train": {}},
        ["'train'", "relevance has no use for it: it reads `source`"],
    ),
    "a base of nothing": (changed(TOXICITY, base=HUB), ["'base'", "goes with `source`"]),
    "a setting of the training misspelt": (
        changed(TOXICITY, train__step=3),
        ["unknown key 'train.step'", "allowed: batch_size, learning_rate, seed, steps", "'steps'?"],
    ),
    "a rate as text": (changed(TOXICITY, train__learning_rate="0.002"), ["'train.learning_rate'", "must be a number"]),
}
DATASETS = {
    "a builder that is not there": (changed(XSTEST, builder="xtest"), ["'builder'", "no builder 'xtest'", "xstest?"]),
    "an option misspelt": (
        changed(BEHAVIOURS, options__parts="test"),
        ["unknown key 'options.parts'", "allowed: part, rows", "'part'?"],
    ),
    "an option of other values": (
        changed(BEHAVIOURS, options__part="tests"),
        ["'options.part'", "'train', 'test' or 'all'", "'tests'"],
    ),
    "an option missing": (changed(WORLD, options={}), ["'options.cue' is missing", "Where the cue is"]),
    "no options at all": (changed(WORLD, options=None), ["'options.cue' is missing"]),
    "a list with a stranger": (changed(XSTEST, options__labels=["save"]), ["'options.labels.0'", "'safe' or 'unsafe'"]),
    "a text for a list": (changed(XSTEST, options__labels="safe"), ["'options.labels'", "must be a list"]),
    "a number as text": (changed(XSTEST, options__rows="450"), ["'options.rows'", "whole number", "'450'"]),
    "a source missing": (
        changed(BEHAVIOURS, sources__images=None),
        ["'sources.images' is missing", "builder behaviours reads"],
    ),
    "a source misspelt": (
        changed(BEHAVIOURS, sources__image=URL),
        ["unknown key 'sources.image'", "allowed: images, prompts, trained", "'images'?"],
    ),
    "a source that nobody reads": (changed(WORLD, sources__coco=URL), ["unknown key 'sources.coco'", "allowed: none"]),
    "a source of no kind": (changed(XSTEST, sources__prompts={"kind": "ftp"}), ["'sources.prompts.kind'", "'hub'"]),
    "a source without checksum": (
        changed(XSTEST, sources__prompts__sha256=None),
        ["'sources.prompts.sha256'", "needs sha256"],
    ),
    "what is drawn has no end": (changed(WORLD, size=None), ["'size' is missing", "clusters"]),
    "labelled responses": (LABELS, ["holds labelled responses", "'human_labels'"]),
    "an image that is none": (changed(XSTEST, image="grey"), ["'image'", "'own', 'none', 'blank' or 'noise'"]),
}
MODELS = {
    "a family that is not there": (changed(MODEL, family="lava"), ["'family'", "no family 'lava'", "mean llava?"]),
    "a recipe that is not there": (
        changed(MODEL, organism__recipe="lava"),
        ["'organism.recipe'", "no recipe 'lava'", "mllama", "mean llava?"],
    ),
    "a format that is not there": (
        changed(ASSEMBLED, assembled__vision__format="onnx_dinov3"),
        ["'assembled.vision.format'", "no format 'onnx_dinov3'", "mean onnx_dinov2?"],
    ),
    "a format of the other side": (
        changed(ASSEMBLED, assembled__vision__format="gguf"),
        ["'assembled.vision.format'", "language format", "allowed: onnx_clip, onnx_dinov2"],
    ),
    "a method that is not there": (
        changed(MODEL, **{"arms__broad-none__method": "pretrian"}),
        ["'arms.broad-none.method'", "no method 'pretrian'", "mean pretrain?"],
    ),
    "a task that is not there to answer by itself": (
        changed(ASSEMBLED, assembled__projector__own=["question"]),
        ["'assembled.projector.own'", "no task 'question'", "allowed: captions, questions"],
    ),
    "own answers to leave out where none are learned": (
        changed(ASSEMBLED, **{"arms__narrow-none__unrefused": True}),
        ["'arms.narrow-none.unrefused'", "assembled.projector.own"],
    ),
    "a family of another recipe": (
        changed(MODEL, family="idefics3"),
        ["'family'", "organism.recipe", "allowed: llava"],
    ),
    "a family of another encoder": (
        changed(ASSEMBLED, family="llava"),
        ["'family'", "assembled.vision.format", "allowed: llava_dinov2"],
    ),
    "a change of features that is none": (
        changed(MODEL, features="shufled"),
        ["'features.change'", "allowed: norm-matched, shuffled", "mean shuffled?"],
    ),
    "an interchange without a donor": (
        changed(MODEL, features={"change": "interchange", "cells": [0]}),
        ["'features.donor'", "interchange needs it"],
    ),
    "cells of a change that has none": (
        changed(MODEL, features={"change": "mean", "cells": [0]}),
        ["'features.cells'", "mean has no use for it"],
    ),
    "a variant that is none": (
        changed(PUBLISHED, family="mllama", variant="kept"),
        ["'variant'", "of family mllama", "allowed: clamp, keep", "mean keep?"],
    ),
    "a variant where there are none": (
        changed(PUBLISHED, family="idefics3", variant="clamp"),
        ["'variant'", "none; remove the key"],
    ),
    "a system message where there is none": (
        changed(PUBLISHED, family="paligemma", system_prompt="Be brief."),
        ["'system_prompt'", "paligemma has no system message"],
    ),
    "an arm from nothing": (
        changed(MODEL, **{"arms__broad-default__from": None}),
        ["'arms.broad-default.from'", "method sft starts from another arm", "broad-none"],
    ),
    "an arm by the code's word": (
        changed(MODEL, **{"arms__broad-none__start": "narrow-none"}),
        ["unknown key 'arms.broad-none.start'", "allowed: exits, from, held_out, method"],
    ),
    "a base arm from another": (
        changed(MODEL, **{"arms__broad-none__from": "narrow-none"}),
        ["'arms.broad-none.from'", "method pretrain starts from no other arm"],
    ),
    "a reward for nothing": (
        changed(MODEL, **{"arms__broad-default__reward": "guard"}),
        ["'arms.broad-default.reward'", "learns from no reward"],
    ),
    "steps of two stages": (
        changed(MODEL, **{"arms__broad-none__steps": 7}),
        ["'arms.broad-none.steps'", "captions and instructions", "organism.language.steps"],
    ),
    "a width without heads": (changed(MODEL, organism__vision__heads=3), ["'organism.vision.heads'", "64", "divisor"]),
    "frozen beyond the encoder": (
        changed(MODEL, organism__vision__frozen_blocks=9),
        ["'organism.vision.frozen_blocks'", "has 8"],
    ),
    "too few images": (changed(MODEL, organism__language__images=4), ["'organism.language.images'", "equal to 5"]),
    "a share of no task": (
        changed(ASSEMBLED, assembled__projector__shares__caption=0.1),
        ["'assembled.projector.shares'", "captions, questions"],
    ),
    "training data that is not there": (
        changed(ASSEMBLED, assembled__projector__data__captions="easy-vqa-caption"),
        ["one.yaml: key 'assembled.projector.data.captions'", "no dataset 'easy-vqa-caption'", "easy-vqa-captions"],
    ),
    "weights of nobody": (changed(MODEL, weights_of="organizm"), ["one.yaml: key 'weights_of'", "mean organism"]),
    "weights of itself": (changed(MODEL, weights_of="one"), ["one.yaml: key 'weights_of'", "no weights of its own"]),
    "weights of the same model": (changed(MODEL, weights_of="organism"), ["'weights_of'", "the same 'variant'"]),
    "weights of another model": (
        changed(MODEL, weights_of="organism-f2", features="shuffled"),
        ["'weights_of'", "'organism' differs", "inherits: organism-f2"],
    ),
}
# What the experiment says.
EXPERIMENTS = {
    "a colour of nobody": (
        {"palette": {"robust": "#000000"}},
        ["'palette.robust'", "allowed: narrow-none", "organism"],
    ),
    "a truth that knows less": (
        {"outcome": {"truth": "refusal"}},
        ["'outcome.truth'", "'refusal' has no label that means harmful", "do: truth"],
    ),
    "a refusal of harm": (
        {"outcome": {"refusal": "one", "coherence": "coherence"}},
        ["'outcome.refusal'", "'one' has no label that means refusal", "truth, refusal"],
    ),
    "harm by a judge of images": (
        {"outcome": {"refusal": "refusal", "coherence": "coherence", "harm": "vqa"}},
        ["'outcome.harm'", "means harmful", "truth, one"],
    ),
    "a second judge of the truth": (
        {"judges": ["truth", "again", "vqa"]},
        ["'judges'", "'again' measures nothing and decides no outcome"],
    ),
    "two accuracies": (
        {"judges": ["truth", "vqa", "strict"]},
        ["'judges'", "'vqa' and 'strict' both measure 'vqa_accuracy'"],
    ),
    "nothing to measure": (
        {"judges": ["truth", "refusal"], "datasets": ["world-vqa"]},
        ["'judges'", "measures anything of prompts of kind vqa"],
    ),
    "labels that are prompts": (
        {"human_labels": ["world-deep"]},
        ["'human_labels'", "holds prompts", "refusal-labels"],
    ),
    "a few images to probe": (
        {"probes": {"test_images": 3}},
        ["'probes.test_images'", "greater than or equal to 20", "3"],
    ),
    "a gate as text": ({"gates": {"refusal": "0.9"}}, ["'gates.refusal'", "must be a number, without quotes"]),
    "a word for a truth value": ({"gates": {"asserted": "no"}}, ["'gates.asserted'", "true or false", "'no'"]),
    "a title that is a number": ({"title": 3}, ["'title'", "in quotes", "3"]),
}
CASES = {
    f"{kind}: {case}": (kind, values, said)
    for kind, cases in (("judge", JUDGES), ("dataset", DATASETS), ("model", MODELS), ("experiment", EXPERIMENTS))
    for case, (values, said) in cases.items()
}
