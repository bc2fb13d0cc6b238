"""ms of one training iteration, and per image: forward, forward + backward, whole step, in every mode.

    python benchmarks/train.py [-o FILE.json] [--device cuda] [--nets caffenet googlenet] [--batch 256] [--packed SET]

The networks train as BVLC's recipes say (SGD with momentum and decay; GoogLeNet with both auxiliary classifiers), with
dropout, from random weights. Synthetic: one batch that lies on the device already. Packed: from a packed set of
256 x 256 pictures through the loader, with crops, mirrors and the mean, whole step only. Beside them, per image: a K40
in 2014 with CaffeNet (2 ms forward, 5.2 ms forward + backward; Caffe's examples/imagenet) and `caffe time` of CaffeNet
with batch 10 on two CPU cores (410 ms forward + backward).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from trtdream.bench.machine import describe_machine
from trtdream.bench.timing import Timing, measure
from trtdream.data.feed import Feed
from trtdream.data.loader import Loader
from trtdream.data.sources import open_source
from trtdream.data.transform import Transform
from trtdream.files import write_file
from trtdream.net.kind import Phase
from trtdream.net.torch_module import TorchNet
from trtdream.net.zoo import build
from trtdream.recipe.schema import Solver
from trtdream.runtime.device import pick_device
from trtdream.train.compute import Compute, apply_settings
from trtdream.train.feeding import Feeding
from trtdream.train.fused import FusedUpdate
from trtdream.train.graph import GraphStep
from trtdream.train.rules import Update, learned_weights
from trtdream.train.step import Inputs, Step

SIDES = {"caffenet": 227, "googlenet": 224}
K40_MS_PER_IMAGE = {"caffenet": {"forward": 2.0, "forward_backward": 5.2}}
RATE = 1e-4


@dataclass(frozen=True)
class Mode:
    """A way to compute the same step."""

    name: str
    dtype: torch.dtype = torch.float32
    tf32: bool = False
    channels_last: bool = True
    fused: bool = True
    compile: bool = False
    graph: bool = False


MODES = (
    Mode("plain float32", channels_last=False, fused=False),
    Mode("float32"),
    Mode("bf16", torch.bfloat16),
    Mode("float32 compiled", compile=True),
    Mode("bf16 compiled", torch.bfloat16, compile=True),
)
GPU_MODES = (
    Mode("tf32", tf32=True),
    Mode("tf32 graph", tf32=True, graph=True),
    Mode("bf16 graph", torch.bfloat16, graph=True),
    Mode("bf16 compiled graph", torch.bfloat16, compile=True, graph=True),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--nets", nargs="+", default=list(SIDES), choices=list(SIDES))
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--modes", nargs="+", help="names; default: all that the device can do, compiled ones on a GPU")
    parser.add_argument("--packed", type=Path, help="a packed set of 256 x 256 pictures")
    parser.add_argument("--runs", type=int, default=20)
    options = parser.parse_args()
    device = torch.device(pick_device(options.device))
    rows = []
    for net in options.nets:
        for mode in chosen(options.modes, device):
            row = time_mode(net, mode, options.batch, device, options.runs, options.packed)
            print(json.dumps(row), flush=True)
            rows.append(row)
    document = {
        "machine": describe_machine(),
        "threads": torch.get_num_threads(),
        "k40": K40_MS_PER_IMAGE,
        "rows": rows,
    }
    if options.out:
        write_file(options.out, json.dumps(document, indent=2) + "\n")


def chosen(names: list[str] | None, device: torch.device) -> list[Mode]:
    on_gpu = device.type == "cuda"
    every = [*MODES, *(GPU_MODES if on_gpu else ())]
    if names:
        return [mode for mode in every if mode.name in names]
    return [mode for mode in every if on_gpu or not mode.compile]


def time_mode(
    name: str, mode: Mode, batch: int, device: torch.device, runs: int, packed: Path | None
) -> dict[str, Any]:
    torch.manual_seed(0)
    compute = Compute(device, mode.dtype, tf32=mode.tf32, channels_last=mode.channels_last)
    apply_settings(compute, deterministic=False)
    step = make_step(name, mode, batch, device)
    inputs = synthetic(name, mode, batch, device)
    finish: Callable[[], object] = torch.cuda.synchronize if device.type == "cuda" else int
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    row: dict[str, Any] = {"network": name, "mode": mode.name, "batch": batch}
    if not mode.graph:  # a graph is the whole step
        row["forward"] = document(measure(lambda: forward(step, inputs), runs, finish=finish), batch)
        row["forward_backward"] = document(measure(lambda: both(step, inputs), runs, finish=finish), batch)
    row["step"] = document(measure(lambda: step.run([inputs], RATE), runs, finish=finish), batch)
    if packed is not None:
        row["step_from_packed"] = document(from_packed(step, name, mode, batch, device, runs, packed, finish), batch)
    if device.type == "cuda":
        row["peak_memory_bytes"] = torch.cuda.max_memory_allocated(device)
    return row


def make_step(name: str, mode: Mode, batch: int, device: torch.device) -> Step:
    side = SIDES[name]
    shapes = {"data": (batch, 3, side, side), "label": (batch,)}
    net = TorchNet(build(name, deploy=False), Phase.TRAIN, shapes, generator=torch.Generator().manual_seed(0))
    layout = torch.channels_last if mode.channels_last else torch.preserve_format
    net.to(device=device, memory_format=layout)  # type: ignore[call-overload]
    net.compute_dtype = None if mode.dtype == torch.float32 else mode.dtype
    solver = Solver(base_lr=RATE, max_iter=1, momentum=0.9, weight_decay=0.0005)
    update = (FusedUpdate if mode.fused else Update)(solver, learned_weights(net))
    return GraphStep(net, update, mode.compile) if mode.graph else Step(net, update, compiled=mode.compile)


def synthetic(name: str, mode: Mode, batch: int, device: torch.device) -> Inputs:
    side = SIDES[name]
    data = 50 * torch.randn(batch, 3, side, side, device=device, dtype=mode.dtype)
    if mode.channels_last:
        data = data.contiguous(memory_format=torch.channels_last)
    return Inputs({"data": data, "label": torch.randint(0, 1000, (batch,), device=device)})


def forward(step: Step, inputs: Inputs) -> None:
    step.loss(inputs)


def both(step: Step, inputs: Inputs) -> None:
    step.update.forget_gradients()
    step.forward_backward([inputs])


def from_packed(
    step: Step,
    name: str,
    mode: Mode,
    batch: int,
    device: torch.device,
    runs: int,
    packed: Path,
    finish: Callable[[], object],
) -> Timing:
    transform = Transform(resize="none", crop=SIDES[name], mirror=True, mean_value=(104, 117, 123))
    dtype = "bfloat16" if mode.dtype == torch.bfloat16 else "float32"
    feed = Feed(batch, device=str(device), threads=8, dtype=dtype, channels_last=mode.channels_last)  # type: ignore[arg-type]
    with Loader(open_source(packed), transform, feed) as loader:
        graph = step.net.graph
        return measure(lambda: step.run([Feeding.inputs(next(loader), graph)], RATE), runs, finish=finish)


def document(timing: Timing, batch: int) -> dict[str, Any]:
    return {**timing.as_document(), "ms_per_image": timing.as_document()["median_ms"] / batch}


if __name__ == "__main__":
    main()
