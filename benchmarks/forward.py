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

import torch
from caffe_time import RealCaffe, add_option, rows_of_caffe, with_inputs
from document import write

from trtdream.bench.results import Result, Row, per_image
from trtdream.bench.subject import Setting, input_shapes
from trtdream.bench.timing import measure
from trtdream.net import zoo
from trtdream.net.graph import connect
from trtdream.net.kind import Phase
from trtdream.net.torch_module import TorchNet
from trtdream.runtime.device import pick_device

CASES = (("googlenet", 1), ("googlenet", 10), ("caffenet", 1), ("caffenet", 10))
SCORES = {"googlenet": "loss3/classifier", "caffenet": "fc8"}
PARTS = ("forward", "forward + backward")  # Caffe's and ours


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--runs", type=int, default=30)
    add_option(parser)
    options = parser.parse_args()
    device = pick_device(options.device)
    caffe = RealCaffe(options.caffe, torch.get_num_threads()) if options.caffe else None
    rows: list[Row] = []
    for network, batch in CASES:
        rows += time_network(network, batch, device, options.runs)
        net = replace(with_inputs(zoo.build(network), {"data": shape_of(network, batch)}), force_backward=True)
        rows += rows_of_caffe(f"{network}, batch {batch}", net, Phase.TEST, dict(zip(PARTS, PARTS, strict=True)), caffe)
    settings = {"device": device, "precision": "float32", "to": "the picture"}
    write(Result("benchmarks/forward", settings, rows), options.out)


def time_network(network: str, batch: int, device: str, runs: int) -> Iterator[Row]:
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

    finish = torch.cuda.synchronize if device != "cpu" else int
    for part, work in zip(PARTS, (forward, forward_and_gradient), strict=True):
        timing = measure(work, runs, finish=finish)
        yield Row(f"{network}, batch {batch}", part, timing, extra=per_image(timing, batch))


def shape_of(network: str, batch: int) -> tuple[int, ...]:
    return input_shapes(connect(zoo.build(network)), Setting(batch=batch))["data"]


if __name__ == "__main__":
    main()
