"""CLIP's image tower, read from an ONNX graph that was exported from transformers and quantised to int8.

Quantisation (onnxruntime's `quantize_dynamic`) left convolution, positions, norms and biases as floats, under the key
names of transformers. Each linear weight became a matrix of int8 with a scale and a zero point; the node that
multiplies by it still has the name of its module. The graph also rounds activations to int8 when it runs, this encoder
does not: `parity` compares it with the graph freed of that rounding.
"""

import re
from pathlib import Path

import numpy as np
import onnx
import torch
from transformers import CLIPVisionConfig, CLIPVisionModel

from layerwise.errors import InputError
from layerwise.models import onnx_graphs

PART = "vision"
FAMILIES = ("llava",)
IMAGE_MEAN, IMAGE_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # CLIP's own
PREFIX = "vision_model"
HEAD = 64  # the width of a head in every published CLIP; the graph only has the width of all heads together


def load(path: Path) -> CLIPVisionModel:
    """The encoder, without the projection behind it. Raises InputError for a graph that holds another architecture."""
    graph = onnx.load(path).graph
    arrays = onnx_graphs.initializers(graph)
    state = {name: array for name, array in arrays.items() if name.startswith(f"{PREFIX}.")}
    for node in _quantised(graph):
        if node.name.startswith(f"/{PREFIX}/"):
            module = node.name.removeprefix("/").rpartition("/")[0].replace("/", ".")
            state[f"{module}.weight"] = _floats(arrays, node).T
    state = {name.removeprefix(f"{PREFIX}."): torch.from_numpy(array.copy()) for name, array in state.items()}
    try:
        encoder = CLIPVisionModel(_config(state))
    except (KeyError, ValueError) as error:
        raise _other(path, f"no weights {error}") from error
    wanted = encoder.state_dict()
    wrong = [key for key in wanted if key not in state or state[key].shape != wanted[key].shape]
    if wrong or set(state) - set(wanted):
        raise _other(path, f"missing or misshapen {wrong[:3]}, unknown {sorted(set(state) - set(wanted))[:3]}")
    encoder.load_state_dict(state)
    return encoder.eval()


def parity(path: Path, encoder: CLIPVisionModel) -> list[float]:
    """How far the encoder differs from the graph with float activations, run by onnxruntime, block by block.

    For each block: the largest absolute difference between states on images of noise, as a share of the largest state.
    """
    model = onnx.load(path)
    _free_activations(model.graph)
    pixel_values, theirs = onnx_graphs.states(model, _block_outputs(model.graph, encoder.config.num_hidden_layers))
    with torch.no_grad():
        ours = encoder(pixel_values, output_hidden_states=True).hidden_states[1:]
    return onnx_graphs.differences(theirs, ours)


def resized(encoder: CLIPVisionModel, size: int) -> CLIPVisionModel:
    """The encoder for images of `size` pixels per side, its positions interpolated as transformers does at run time."""
    if size == encoder.config.image_size:
        return encoder
    state, embeddings = encoder.state_dict(), encoder.embeddings
    patches = torch.zeros(1, (size // encoder.config.patch_size) ** 2 + 1, encoder.config.hidden_size)
    state["embeddings.position_embedding.weight"] = embeddings.interpolate_pos_encoding(patches, size, size)[0]
    other = CLIPVisionModel(CLIPVisionConfig(**encoder.config.to_dict() | {"image_size": size}))
    other.load_state_dict(state)
    return other.eval()


def _other(path: Path, what: str) -> InputError:
    return InputError(
        f"{path}: not a CLIP image tower exported by transformers and quantised by onnxruntime: {what}. Name another "
        "file in key 'assembled.vision.source'."
    )


def _quantised(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The nodes that multiply by a matrix of int8."""
    return [node for node in graph.node if node.op_type == "MatMulInteger"]


def _floats(arrays: dict[str, np.ndarray], node: onnx.NodeProto) -> np.ndarray:
    """The float matrix (in, out) that such a node multiplies by."""
    name = node.input[1].removesuffix("_quantized")
    matrix, zero, scale = (arrays[each] for each in (node.input[1], f"{name}_zero_point", f"{name}_scale"))
    return (matrix.astype(np.float32) - zero.astype(np.float32)) * scale


def _free_activations(graph: onnx.GraphProto) -> None:
    """Let each quantised product multiply its unrounded input by the float matrix instead."""
    arrays = onnx_graphs.initializers(graph)
    rounds = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "DynamicQuantizeLinear"}
    reads = {name: node for node in graph.node for name in node.input}
    for node in _quantised(graph):
        scaled = reads[reads[node.output[0]].output[0]]  # behind the cast to float
        matrix = onnx.numpy_helper.from_array(_floats(arrays, node), f"{node.input[1]}_float")
        graph.initializer.append(matrix)
        product = onnx.helper.make_node("MatMul", [rounds[node.input[0]], matrix.name], [scaled.output[0]])
        graph.node.remove(scaled)
        graph.node.insert(list(graph.node).index(node), product)


def _config(state: dict[str, torch.Tensor]) -> CLIPVisionConfig:
    """The configuration, with sizes read off the weights."""
    width, _, patch, _ = state["embeddings.patch_embedding.weight"].shape
    side = int((len(state["embeddings.position_embedding.weight"]) - 1) ** 0.5)
    blocks = 1 + max(int(found[1]) for name in state if (found := re.match(r"encoder\.layers\.(\d+)\.", name)))
    return CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=len(state["encoder.layers.0.mlp.fc1.bias"]),
        num_hidden_layers=blocks,
        num_attention_heads=width // HEAD,
        image_size=side * patch,
        patch_size=patch,
    )


def _block_outputs(graph: onnx.GraphProto, blocks: int) -> list[str]:
    """Names of the states after each block: each comes last in its scope."""
    scopes = [f"/{PREFIX}/encoder/layers.{block}/" for block in range(blocks)]
    return [[node.output[0] for node in graph.node if node.name.startswith(scope)][-1] for scope in scopes]
