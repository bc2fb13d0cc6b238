"""A training small enough for tests: drawn pictures, packed, and a network with every kind of randomness."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from trtdream.recipe.load import Draft, check
from trtdream.recipe.schema import Recipe
from trtdream.train.metrics import read_metrics
from trtdream.train.snapshot import read_snapshot

NET = """
name: "Small"
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TRAIN }
  data_param { source: "x" batch_size: 1 } }
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TEST }
  data_param { source: "x" batch_size: 1 } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1" param { lr_mult: 1 decay_mult: 1 }
  param { lr_mult: 2 decay_mult: 0 }
  convolution_param { num_output: 8 kernel_size: 5 stride: 2 weight_filler { type: "xavier" } } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "norm1" type: "LRN" bottom: "conv1" top: "norm1" lrn_param { local_size: 3 alpha: 0.001 } }
layer { name: "pool1" type: "Pooling" bottom: "norm1" top: "pool1" pooling_param { kernel_size: 3 stride: 2 } }
layer { name: "drop1" type: "Dropout" bottom: "pool1" top: "pool1" dropout_param { dropout_ratio: 0.3 } }
layer { name: "fc" type: "InnerProduct" bottom: "pool1" top: "fc" param { lr_mult: 1 decay_mult: 1 }
  param { lr_mult: 2 decay_mult: 0 } inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "accuracy" type: "Accuracy" bottom: "fc" bottom: "label" top: "accuracy" include { phase: TEST } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
"""


def small_values(data: Path, folder: Path, **changes: Any) -> dict[str, Any]:
    """A recipe's values; `changes` are called `solver.max_iter` and so on, with `__` for the dot."""
    pictures = {"source": str(data / "packed"), "size": 32, "crop": 28, "mirror": True, "mean_value": [127.0]}
    net = folder.parent / "small.prototxt"
    if not net.exists():
        net.write_text(NET)
    draft = Draft(
        "small",
        folder.parent,
        {
            "net": {"path": str(net)},
            "data": {
                "train": {**pictures, "batch": 10, "scale": 0.02},
                "test": [{**pictures, "mirror": False, "batch": 8, "scale": 0.02, "iterations": 2}],
            },
            "solver": {
                "base_lr": 0.02,
                "lr_policy": "step",
                "gamma": 0.3,
                "stepsize": 25,
                "max_iter": 60,
                "momentum": 0.9,
                "weight_decay": 0.001,
                "display": 7,
                "average_loss": 5,
                "test_interval": 30,
            },
            "run": {"folder": str(folder), "seed": 3},
        },
    )
    for key, value in changes.items():
        draft.set(tuple(int(part) if part.isdigit() else part for part in key.split("__")), value, "test")
    return draft.values


def small_recipe(data: Path, folder: Path, **changes: Any) -> Recipe:
    return check(Draft("small", folder.parent, small_values(data, folder, **changes)))


def losses(folder: Path) -> list[float]:
    """All losses of a run, in order, as its metrics have them."""
    return [loss for line in read_metrics(folder / "metrics.jsonl") for loss in line.losses]


def same_state(one: Path, other: Path) -> None:
    """Assert that two snapshots hold the same bits: weights, solver buffers, random states, position, window."""
    first, second = read_snapshot(one), read_snapshot(other)
    assert first.weights.keys() == second.weights.keys() and first.tensors.keys() == second.tensors.keys()
    for tensors, others in ((first.weights, second.weights), (first.tensors, second.tensors)):
        for name, tensor in tensors.items():
            assert torch.equal(tensor, others[name]), name
    assert first.state.iteration == second.state.iteration
    assert first.state.positions == second.state.positions
    assert first.state.loss_window == second.state.loss_window
    assert first.state.last_test == second.state.last_test
