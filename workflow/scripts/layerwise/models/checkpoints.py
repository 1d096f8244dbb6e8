"""Reads and writes `save_pretrained` folders. A kill leaves no partial folder: where the weights are, all files are."""

import json
import os
import re
import tempfile
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from transformers import (
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    AutoConfig,
    AutoModelForImageTextToText,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
    ProcessorMixin,
)

from layerwise import assets, plugins
from layerwise.assets import LOCAL
from layerwise.errors import InputError
from layerwise.files import digest, file_digest
from layerwise.models import processors, trial
from layerwise.models.deltas import WEIGHTS, Delta, apply, chain
from layerwise.models.families import Family

# The keys of generation_config.json that decide what is generated when decoding is greedy: the model's own tokens.
TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id")

# A weight of a numbered block; some old checkpoints also hold what each block computes anew, as `inv_freq`.
BLOCK = re.compile(r"\.(?:layers|blocks|h)\.\d+\..*(?:weight|bias)$")


def load(kind: type[PreTrainedModel], weights: Path) -> PreTrainedModel:
    """A model of class `kind` with these weights, <folder>/model.safetensors."""
    model = kind.from_pretrained(weights.parent, local_files_only=True)
    model.config.name_or_path = ""  # otherwise every checkpoint that it becomes a part of records the folder's path
    return model


def save(weights: Path, *parts: PreTrainedModel | ProcessorMixin | Delta) -> None:
    """Save each of `parts` (a model; its processor) into the folder of `weights`, which is <folder>/model.safetensors.

    The files are written aside and renamed one by one, the weights last. Raises InputError if that fails.
    """
    if weights.name != WEIGHTS:
        raise InputError(f"--output {weights}: transformers calls weights {WEIGHTS}. Give a path with that name.")
    os.umask(mask := os.umask(0))
    try:
        weights.parent.mkdir(parents=True, exist_ok=True)
        weights.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(dir=weights.parent, prefix=".saving-") as aside:
            for part in parts:
                part.save_pretrained(aside)
            for file in sorted(Path(aside).iterdir(), key=lambda file: file.name == WEIGHTS):
                file.chmod(0o666 & ~mask)  # safetensors makes its file readable only by the owner
                with open(file, "rb") as stream:
                    os.fsync(stream.fileno())
                file.replace(weights.with_name(file.name))
    except OSError as error:
        raise InputError(
            f"cannot write {weights}: {error.strerror or error}. Free space or fix the permissions, then run again."
        ) from error


def load_model(folder: Path, settings: dict[str, Any], device_map: str | None = None) -> Family:
    """The model in a `save_pretrained` folder, or of a receipt, ready to exit at any layer.

    `settings` has these keys of a model's YAML: family, blocks, default_layer, dtype, attention, variant, and perhaps
    system_prompt. Without a `device_map` (accelerate's), the model goes to the first GPU or stays on the CPU. Raises
    InputError, naming what the checkpoint lacks, where it differs from the settings, or what fails when it is tried.
    """
    folder, *above = chain(folder)
    folder = assets.resolve(folder) if folder.suffix == ".json" else folder
    _check_files(folder)
    module = plugins.find("models.families", settings["family"])
    try:
        config = AutoConfig.from_pretrained(folder, **LOCAL)
        _check(config)
        processor = getattr(module, "load_processor", processors.load)(folder)
        processors.complete(processor, folder, config)
        model, report = AutoModelForImageTextToText.from_pretrained(
            folder,
            config=config,
            dtype=getattr(torch, settings["dtype"]),
            attn_implementation=settings["attention"],
            device_map=device_map or ("cuda:0" if torch.cuda.is_available() else None),
            generation_config=GenerationConfig(),  # not the checkpoint's, which would be checked and could refuse
            ignore_mismatched_sizes=True,  # they are in the report, and refused below
            output_loading_info=True,
            **LOCAL,
        )
        _check_weights(report)
        for delta in above:
            apply(model, load_file(delta / WEIGHTS))
        try:
            family = module.Family(model.eval(), processor, settings["variant"])
        except AttributeError as error:
            raise ValueError(
                f"its 'model_type' in config.json, {config.model_type}, does not fit key 'family' of the model's YAML, "
                f"{settings['family']}: {error}. Change the key"
            ) from error
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise InputError(f"the checkpoint {folder} cannot be loaded: {_cause(folder, error)}") from error
    for key in ("blocks", "default_layer"):
        if settings[key] != getattr(family, key):
            raise InputError(
                f"key '{key}' of the model's YAML says {settings[key]}, but the checkpoint {folder} has "
                f"{getattr(family, key)}. Change the key."
            )
    model.generation_config = greedy(folder, config, processor.tokenizer.eos_token_id)
    trial.attempt(family, folder, settings.get("system_prompt") is not None)
    return family


def _check(config: PreTrainedConfig) -> None:
    """Raises ValueError for a kind of model that cannot be studied."""
    if type(config) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING or not hasattr(config, "vision_config"):
        raise ValueError(
            f"'model_type' in config.json is {config.model_type}, which is no language model with a vision encoder. "
            "Choose another checkpoint"
        )
    if hasattr(config, "quantization_config"):
        raise ValueError(
            "its weights are quantised (key 'quantization_config' of config.json). Choose the checkpoint that they "
            "were made from, and key 'dtype' of the model's YAML"
        )


def _check_weights(report: dict[str, Any]) -> None:
    """Raises ValueError where weights differ from those that config.json describes: they would be made up."""
    if absent := sorted(report["missing_keys"]):
        raise ValueError(
            f"{len(absent)} of the weights that config.json describes are missing, such as {absent[0]}. Choose a "
            "complete checkpoint, or mend config.json ('tie_word_embeddings', for lm_head.weight)"
        )
    if beyond := sorted(name for name in report["unexpected_keys"] if BLOCK.search(name) and "vis" not in name):
        raise ValueError(
            f"it has weights of more blocks than config.json describes, such as {beyond[0]}. Mend 'num_hidden_layers' "
            "of config.json, or choose another checkpoint"
        )
    if differing := sorted(report["mismatched_keys"]):
        name, found, expected = differing[0]
        raise ValueError(
            f"{len(differing)} weights have another shape than config.json describes, such as {name}: "
            f"{tuple(found)} instead of {tuple(expected)}. Mend config.json, or choose another checkpoint"
        )


def _cause(folder: Path, error: Exception) -> str:
    """Why a checkpoint cannot be loaded, in one line, with the file that is damaged if one is."""
    for path in sorted(folder.iterdir()):
        try:
            if path.suffix == ".json":
                if not isinstance(json.loads(path.read_text(encoding="utf-8")), dict):
                    raise ValueError("it holds no settings by name")
            elif path.suffix == ".safetensors":
                safe_open(path, "pt")
        except (ValueError, SafetensorError) as damage:
            return f"{path.name} is damaged ({damage}). Remove the checkpoint, and the next run gets it anew."
    if "trust_remote_code" in str(error):
        return (
            "it needs code of its own (key 'auto_map' of its configuration), which is never run. Choose a checkpoint "
            "of an architecture that transformers knows."
        )
    said = " ".join(str(error).split())
    return shorten(said if isinstance(error, (ValueError, OSError)) else f"{type(error).__name__}: {said}", 600)


def greedy(folder: Path, config: PreTrainedConfig, tokenizer_end: int | None) -> GenerationConfig:
    """Greedy decoding with a checkpoint's token ids, and nothing else of the settings that it ships.

    `eos_token_id` is a list, of the first of generation_config.json, config.json and the tokenizer that names any.
    `pad_token_id` is never None. Raises InputError where no token ends an answer.
    """
    path = folder / "generation_config.json"
    try:
        shipped = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        text, given = config.get_text_config(), {}
        for key in TOKENS:
            places = (shipped.get(key), getattr(text, key, None), getattr(config, key, None))
            given[key] = next((place for place in places if place is not None), None)
        ends = tokenizer_end if given["eos_token_id"] is None else given["eos_token_id"]
        ends = ends if isinstance(ends, list) else [ends]
        others = [number for key, number in given.items() if key != "eos_token_id" and number is not None]
        if not ends or not all(type(number) is int for number in (*ends, *others)):
            raise ValueError(f"no token ends an answer, or a key is not the number of a token: {given}")
    except (ValueError, AttributeError) as error:
        raise InputError(
            f"{path} cannot be used: {error}. Give 'eos_token_id' there or in config.json, or 'eos_token' in "
            "tokenizer_config.json."
        ) from error
    padding = ends[0] if given["pad_token_id"] is None else given["pad_token_id"]
    return GenerationConfig(
        do_sample=False, num_beams=1, bos_token_id=given["bos_token_id"], eos_token_id=ends, pad_token_id=padding
    )


def checkpoint_digest(folder: Path) -> str:
    """sha256 of a checkpoint, or of a receipt's: of its weights, configuration and tokenizer, and of those below it."""
    found = [_sums(one) for one in chain(folder)]
    return digest(found[0] if len(found) == 1 else found)


def _sums(place: Path) -> dict[str, str]:
    """sha256 by name of the files that a checkpoint consists of."""
    if place.suffix == ".json":
        return {file.name: file.sha256 for file in assets.read(place).files}
    suffixes = (".safetensors", ".json", ".jinja", ".model", ".txt")
    return {path.name: file_digest(path) for path in place.iterdir() if path.suffix in suffixes}


def _check_files(folder: Path) -> None:
    """Raises InputError if a checkpoint lacks a file that it must have, every shard of its weights included."""
    preprocessor, joint = "processor_config.json or preprocessor_config.json", folder / "processor_config.json"
    if joint.is_file() and '"image_processor"' not in joint.read_text(encoding="utf-8", errors="replace"):
        preprocessor = "preprocessor_config.json"
    words = "tokenizer.json or tokenizer.model or vocab.json"
    needed = ["config.json", *_shards(folder), preprocessor, "tokenizer_config.json", words]
    lacking = [names for names in needed if not any((folder / name).is_file() for name in names.split(" or "))]
    if pickled := [path.name for path in sorted(folder.glob("*.bin")) if WEIGHTS in lacking]:
        raise InputError(
            f"the checkpoint {folder} lacks {WEIGHTS}: its weights are in {pickled[0]}, whose format can run code when "
            f"it is opened. Choose a revision with {WEIGHTS}, or convert it."
        )
    if (folder / "adapter_config.json").is_file():
        raise InputError(
            f"the checkpoint {folder} holds an adapter (adapter_config.json), which would be laid over another model. "
            "Choose a checkpoint in which it has been merged, or leave the file out with key 'files' of the YAML."
        )
    if lacking:
        raise InputError(
            f"the checkpoint {folder} lacks {', '.join(lacking)}. Remove it, and the next run makes it anew; for a "
            "published model, check key 'files' of its YAML as well."
        )


def _shards(folder: Path) -> list[str]:
    """The files with a checkpoint's weights, as transformers looks for them: one, or those that an index names."""
    index = folder / "model.safetensors.index.json"
    if (folder / WEIGHTS).is_file() or not index.is_file():
        return [WEIGHTS]
    try:
        return sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(
            f"{index} names no weights: {error}. Remove the checkpoint, and the next run gets it anew."
        ) from error


def locate(weights: Path) -> tuple[Path, str]:
    """The folder of a checkpoint, of `model.safetensors` or the receipt of a download, and the sha256 of its content.

    Raises InputError where there is none.
    """
    if weights.suffix == ".json":
        return assets.resolve(weights), checkpoint_digest(weights)
    if not weights.is_file():
        raise InputError(f"the checkpoint {weights.parent} lacks {weights.name}. Run the rule that trains it.")
    return weights.parent, checkpoint_digest(weights.parent)
