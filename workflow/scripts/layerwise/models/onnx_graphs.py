"""ONNX graphs of vision encoders: their weights, and their states, which an encoder made of them is compared with."""

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper
from torch import Tensor

IMAGES = 2  # to compare an encoder with its graph on


def initializers(graph: onnx.GraphProto) -> dict[str, np.ndarray]:
    """The graph's stored arrays by name."""
    return {item.name: numpy_helper.to_array(item) for item in graph.initializer}


def states(model: onnx.ModelProto, outputs: Sequence[str]) -> tuple[Tensor, list[np.ndarray]]:
    """Images of noise (IMAGES, 3, height, width), in the one size that the graph accepts, and what it makes of them."""
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in outputs)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (image,) = session.get_inputs()
    pixel_values = torch.randn(IMAGES, *image.shape[1:], generator=torch.Generator().manual_seed(0))
    return pixel_values, session.run(list(outputs), {image.name: pixel_values.numpy()})


def differences(theirs: Sequence[np.ndarray], ours: Sequence[Tensor]) -> list[float]:
    """The largest absolute difference of each pair of states, as a share of the largest absolute state."""
    return [float(np.abs(a - b.numpy()).max() / np.abs(a).max()) for a, b in zip(theirs, ours, strict=True)]
