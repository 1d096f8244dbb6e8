"""A vision transformer of DINOv2's architecture, read from an ONNX graph that was exported from transformers.

The graph's named weights have the key names of older versions of transformers. The linear weights have no names; the
node that multiplies by a weight tells which one it is. The positions were folded into constants: the class token's
enters the concatenation with the patches'. Only `mask_token` is not in the graph; no forward pass reads it.
"""

import re
from pathlib import Path

import numpy as np
import onnx
import torch
from transformers import Dinov2Config, Dinov2Model

from layerwise.errors import InputError
from layerwise.models import onnx_graphs

PART = "vision"
FAMILIES = ("llava_dinov2",)
IMAGE_MEAN, IMAGE_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, which DINOv2 was trained with
PREFIX = "backbone"
# Older key names, and those of transformers 5.
RENAMED = {f"attention.attention.{name}.": f"attention.{name[0]}_proj." for name in ("query", "key", "value")}
RENAMED["attention.output.dense."] = "attention.o_proj."
HEADS = 6  # DINOv2-small's; the graph only has the width of all heads together


def load(path: Path) -> Dinov2Model:
    """The encoder, without its saliency decoder. Raises InputError for a graph that holds another architecture."""
    graph = onnx.load(path).graph
    weights = onnx_graphs.initializers(graph)
    state = {name.removeprefix(f"{PREFIX}."): value for name, value in weights.items() if name.startswith(PREFIX)}
    for node in graph.node:
        if node.op_type == "MatMul" and node.name.startswith(f"/{PREFIX}/") and node.input[1] in weights:
            module = node.name.removeprefix(f"/{PREFIX}/").removesuffix("/MatMul").replace("/", ".")
            state[f"{module}.weight"] = weights[node.input[1]].T
    state["embeddings.position_embeddings"] = np.concatenate(_positions(graph, weights, path), axis=1)
    encoder = Dinov2Model(_config(state))
    wanted = encoder.state_dict()
    found = {_key(name): torch.from_numpy(value.copy()) for name, value in state.items()}
    wrong = [key for key in wanted if key not in found or found[key].shape != wanted[key].shape]
    if wrong != ["embeddings.mask_token"] or set(found) - set(wanted):
        raise InputError(
            f"{path}: not a Dinov2Model exported by transformers: missing or misshapen {wrong[:3]}, "
            f"unknown {sorted(set(found) - set(wanted))[:3]}. Name another member in key 'assembled.vision.source'."
        )
    encoder.load_state_dict(found, strict=False)
    return encoder.eval()


def parity(path: Path, encoder: Dinov2Model) -> list[float]:
    """How far the encoder differs from the graph, run by onnxruntime, block by block, on images of noise.

    For each block, and finally for the last layer norm: the largest absolute difference between states, as a share of
    the largest absolute state. The graph accepts images of one size only.
    """
    model = onnx.load(path)
    pixel_values, theirs = onnx_graphs.states(model, _block_outputs(model.graph, encoder.config.num_hidden_layers))
    with torch.no_grad():
        said = encoder(pixel_values, output_hidden_states=True)
    return onnx_graphs.differences(theirs, [*said.hidden_states[1:], said.last_hidden_state])


def resized(encoder: Dinov2Model, size: int) -> Dinov2Model:
    """The encoder itself: DINOv2 interpolates its positions to the size of an image whenever it sees one."""
    return encoder


def _positions(graph: onnx.GraphProto, weights: dict[str, np.ndarray], path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The positions of the class token (1, 1, width) and of the patches (1, patches, width)."""
    inside = [node for node in graph.node if node.name.startswith(f"/{PREFIX}/embeddings/")]
    for concat in (node for node in inside if node.op_type == "Concat" and node.input[0] in weights):
        for reshape in (node for node in inside if node.op_type == "Reshape" and node.input[0] in weights):
            return weights[concat.input[0]], weights[reshape.input[0]]
    raise InputError(f"{path}: no constants of position embeddings. Name another member in 'assembled.vision.source'.")


def _config(state: dict[str, np.ndarray]) -> Dinov2Config:
    """The configuration, with sizes read off the weights."""
    width, _, patch, _ = state["embeddings.patch_embeddings.projection.weight"].shape
    side = int((state["embeddings.position_embeddings"].shape[1] - 1) ** 0.5)
    blocks = 1 + max(int(found[1]) for name in state if (found := re.match(r"encoder\.layer\.(\d+)\.", name)))
    return Dinov2Config(
        hidden_size=width,
        num_hidden_layers=blocks,
        num_attention_heads=HEADS,
        mlp_ratio=state["encoder.layer.0.mlp.fc1.bias"].shape[0] // width,
        image_size=side * patch,
        patch_size=patch,
    )


def _key(name: str) -> str:
    for old, new in RENAMED.items():
        name = name.replace(old, new)
    return name


def _block_outputs(graph: onnx.GraphProto, blocks: int) -> list[str]:
    """Names of the states after each block, and after the final layer norm: each comes last in its scope."""
    scopes = [f"/{PREFIX}/encoder/layer.{block}/" for block in range(blocks)] + [f"/{PREFIX}/layernorm/"]
    return [[node.output[0] for node in graph.node if node.name.startswith(scope)][-1] for scope in scopes]
