"""A network small enough to dream in milliseconds, whose channels are known by construction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from trtdream.runtime.model import Model
from trtdream.runtime.open_model import open_model
from trtdream.weights.weights import Weights, save_weights

NET = """
name: "tiny"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 32 dim: 32 } } }
layer { name: "colours" type: "Convolution" bottom: "data" top: "colours"
  convolution_param { num_output: 4 kernel_size: 3 pad: 1 } }
layer { name: "relu" type: "ReLU" bottom: "colours" top: "colours" }
layer { name: "edges" type: "Convolution" bottom: "data" top: "edges"
  convolution_param { num_output: 2 kernel_size: 3 pad: 1 } }
layer { name: "both" type: "Concat" bottom: "colours" bottom: "edges" top: "both" }
layer { name: "pool" type: "Pooling" bottom: "both" top: "pool" pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "score" type: "InnerProduct" bottom: "pool" top: "score" inner_product_param { num_output: 3 } }
"""

RED, GREEN, BLUE, DEAD = range(4)  # the channels of "colours"; the last is silent for any picture


def tiny_files(folder: Path) -> tuple[Path, Path]:
    """The network's prototxt and weights in a folder."""
    colours = np.zeros((4, 3, 3, 3), np.float32)
    for channel, blue_green_red in ((RED, (-1, -1, 2)), (GREEN, (-1, 2, -1)), (BLUE, (2, -1, -1)), (DEAD, (1, 1, 1))):
        colours[channel] = np.array(blue_green_red, np.float32)[:, None, None] / 900
    edges = np.zeros((2, 3, 3, 3), np.float32)
    edges[0], edges[1] = np.array([-1, 0, 1]) / 900, np.array([[-1], [0], [1]]) / 900
    score = np.random.default_rng(0).normal(0, 0.01, (3, 6 * 16 * 16)).astype(np.float32)
    layers = {
        "colours": (colours, np.array([0, 0, 0, -10], np.float32)),
        "edges": (edges, np.zeros(2, np.float32)),
        "score": (score, np.zeros(3, np.float32)),
    }
    net, weights = folder / "tiny.prototxt", folder / "tiny.safetensors"
    net.write_text(NET)
    save_weights(weights, Weights(layers, "tiny", ""))
    return net, weights


def tiny_model(folder: Path) -> Model:
    net, weights = tiny_files(folder)
    return open_model(str(net), weights)


def waves(height: int = 40, width: int = 48, phase: float = 0.0) -> np.ndarray:
    """A picture with something in it, H x W x 3 uint8."""
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([rows * 200 / height, columns * 200 / width, 128 + 100 * np.sin(columns / 5 + phase)], -1).astype(
        np.uint8
    )


def save_waves(path: Path, height: int = 40, width: int = 48, phase: float = 0.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(waves(height, width, phase)).save(path)
    return path
