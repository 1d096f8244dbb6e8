"""Assemble a published vision encoder and a published language model into one LLaVA, whose projector is untrained.

If the encoder comes as an ONNX graph, both run on the same images, and their states must agree after every block.
"""

from pathlib import Path

import torch

from layerwise import assets, plugins
from layerwise.errors import InputError
from layerwise.files import atomic
from layerwise.jobs import program
from layerwise.jobs.threads import single_thread
from layerwise.models import backbones, checkpoints
from layerwise.models.backbones import LanguageBackbone, VisionBackbone

# Largest allowed difference of two states, as a share of the largest state; float32 leaves about 1e-6 after 12 blocks.
TOLERANCE = 1e-4


def main(argv: list[str]) -> None:
    options = program.parser(__doc__)
    options.add_argument("--vision", type=Path, required=True, help="receipt of the vision encoder")
    options.add_argument("--language", type=Path, required=True, help="receipt of the language model")
    options.add_argument("--output", type=Path, required=True, help="model.safetensors; its siblings go beside it")
    options.add_argument("--parity", type=Path, required=True, help="CSV: difference from the source, block by block")
    arguments = options.parse_args(argv)
    single_thread()
    spec = arguments.spec
    vision: VisionBackbone = plugins.find("models.backbones", spec["vision"])
    path = assets.resolve(arguments.vision)
    encoder = vision.load(path)
    differences = vision.parity(path, encoder)
    with atomic(arguments.parity) as stream:
        stream.write("block,difference\n")
        stream.writelines(f"{block},{value:.3g}\n" for block, value in enumerate(differences, 1))
    if max(differences) > TOLERANCE:
        raise InputError(
            f"the vision encoder of {path} differs from its source by {max(differences):.2g} of the largest state; see "
            f"{arguments.parity}. transformers may have changed: install the version in envs/requirements.lock."
        )
    reader: LanguageBackbone = plugins.find("models.backbones", spec["language"])
    language, tokenizer = reader.load(assets.resolve(arguments.language))
    settings = {key: spec[key] for key in ("image_token", "image_size", "default_layer", "seed")}
    settings |= {"image_mean": vision.IMAGE_MEAN, "image_std": vision.IMAGE_STD}
    encoder = vision.resized(encoder, spec["image_size"])
    model, processor = backbones.assemble(encoder, language, tokenizer, **settings)
    checkpoints.save(arguments.output, model.to(getattr(torch, spec["dtype"])), processor)


if __name__ == "__main__":
    program.run(main)
