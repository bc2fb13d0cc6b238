"""The small network that real Caffe trained, and what it noted on the way (caffe-truth/train)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from trtdream.caffe.prototxt import read_prototxt
from trtdream.net.kind import Phase
from trtdream.net.torch_module import TorchNet
from trtdream.recipe.schema import Solver
from trtdream.train.step import Inputs

SHAPES = {"data": (16, 3, 48, 48), "label": (16,)}


def mini_net(folder: Path, phase: Phase = Phase.TRAIN) -> TorchNet:
    return TorchNet(read_prototxt(folder / "net.prototxt"), phase, SHAPES)


def mini_solver(weight_decay: float = 0.0005, **changes: object) -> Solver:
    """What solver_it1.prototxt and solver_wd.prototxt say."""
    settings = {
        "base_lr": 0.0005,
        "lr_policy": "step",
        "gamma": 0.1,
        "stepsize": 25,
        "max_iter": 40,
        "momentum": 0.9,
        "weight_decay": weight_decay,
        **changes,
    }
    return Solver.model_validate(settings)


class Images:
    """The images of the truth's LMDB, less their mean."""

    def __init__(self, folder: Path) -> None:
        images = np.load(folder / "images.npz")
        self.data = torch.from_numpy(images["images_bgr_chw_uint8"].astype(np.float32) - images["mean"])
        self.labels = torch.from_numpy(images["labels"])

    def batch(self, indices: np.ndarray) -> Inputs:
        return Inputs({"data": self.data[indices], "label": self.labels[indices]})


def put(net: TorchNet, arrays: dict[str, np.ndarray]) -> None:
    """Set all weights from arrays called `layer.index`."""
    with torch.no_grad():
        for (layer, index), tensor in net.weight_keys():
            tensor.copy_(torch.from_numpy(arrays[f"{layer}.{index}"]))


def at(path: Path, iteration: int) -> dict[str, np.ndarray]:
    """The arrays of a `<run>_weights.npz` or `<run>_momentum.npz` after so many updates."""
    file = np.load(path)
    prefix = f"iter{iteration}/"
    return {key.removeprefix(prefix): file[key] for key in file.files if key.startswith(prefix)}
