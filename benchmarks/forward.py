"""ms of a batch forward, and forward with the gradient to the picture, beside real Caffe on the CPU.

    python benchmarks/forward.py [-o FILE.json] [--device cuda] [--caffe BINARY]

Random weights, random picture, float32, eager torch in channels_last. Forward is the whole network to `prob`;
backward is the gradient of half the squared norm of the scores to `data`, what a dream needs. No copies and no image
loading are included. Caffe's numbers: `caffe time` of the same networks with force_backward (its backward computes the
weights' gradients too), by the binary given, with as many threads as torch.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import document
import torch
from caffe_time import RealCaffe, add_option, rows_of_caffe, with_inputs

from trtdream.bench.limits import Limits, bound_of_all, limits_of
from trtdream.bench.results import Row, per_image
from trtdream.bench.subject import Setting, input_shapes
from trtdream.bench.timing import measure
from trtdream.bench.work import BOTH, dreaming_works
from trtdream.net import zoo
from trtdream.net.graph import connect
from trtdream.net.kind import Phase
from trtdream.net.shapes import infer_shapes
from trtdream.net.torch_module import TorchNet
from trtdream.runtime.device import pick_device

CASES = (("googlenet", 1), ("googlenet", 10), ("caffenet", 1), ("caffenet", 10))
SCORES = {"googlenet": "loss3/classifier", "caffenet": "fc8"}
PARTS = ("forward", BOTH)  # Caffe's and ours


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--runs", type=int, default=30)
    add_option(parser)
    options = parser.parse_args()
    device = pick_device(options.device)
    caffe = RealCaffe(options.caffe, torch.get_num_threads()) if options.caffe else None
    settings = {"device": device, "precision": "float32", "to": "the picture"}
    document.measure("forward", settings, device, lambda: time_all(device, options.runs, caffe), options.out)


def time_all(device: str, runs: int, caffe: RealCaffe | None) -> Iterator[Row]:
    for network, batch in CASES:
        yield from time_network(network, batch, device, runs, limits_of(device))
        net = replace(with_inputs(zoo.build(network), {"data": shape_of(network, batch)}), force_backward=True)
        parts = dict(zip(PARTS, PARTS, strict=True))
        yield from rows_of_caffe(f"{network}, batch {batch}", net, Phase.TEST, parts, caffe)


def time_network(network: str, batch: int, device: str, runs: int, limits: Limits) -> Iterator[Row]:
    torch.manual_seed(0)
    module = TorchNet(zoo.build(network)).requires_grad_(False).to(device)
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = 50 * torch.randn(shape_of(network, batch), device=device).contiguous(memory_format=torch.channels_last)
    end = module.graph.at_layer(SCORES[network])

    def forward() -> None:
        with torch.inference_mode():
            module(x)

    def forward_and_gradient() -> None:
        data = x.clone().requires_grad_()
        scores = module(data, [end])[end]
        torch.autograd.grad(0.5 * (scores * scores).sum(), data)

    layers = infer_shapes(module.graph, {"data": tuple(x.shape)})
    there, back = dreaming_works(layers, 4)
    works = {"forward": there, BOTH: there + back}
    finish = torch.cuda.synchronize if device != "cpu" else int
    for part, work in zip(PARTS, (forward, forward_and_gradient), strict=True):
        timing = measure(work, runs, finish=finish)
        share = bound_of_all(timing.median_ms, works[part], "float32", limits).as_document()
        yield Row(f"{network}, batch {batch}", part, timing, extra={**per_image(timing, batch), **share})


def shape_of(network: str, batch: int) -> tuple[int, ...]:
    return input_shapes(connect(zoo.build(network)), Setting(batch=batch))["data"]


if __name__ == "__main__":
    main()
