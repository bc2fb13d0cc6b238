"""ms of one image forward, and forward with the gradient to the picture, beside real Caffe on two cores.

    python benchmarks/forward.py [-o FILE.json] [--device cuda]

Random weights, random picture, float32, eager torch in channels_last. Forward is the whole network to `prob`;
backward is the gradient of half the squared norm of the scores to `data`, what a dream needs. No copies and no image
loading are included. Caffe's numbers: `caffe time` of the same networks with force_backward (its backward computes the
weights' gradients too), BVLC/caffe 1.0 with OpenBLAS on 2 cores.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from trtdream.bench.machine import describe_machine
from trtdream.bench.timing import measure
from trtdream.files import write_file
from trtdream.net import zoo
from trtdream.net.torch_module import TorchNet
from trtdream.runtime.device import pick_device

CAFFE_MS = {  # network, batch -> forward, forward + backward with force_backward
    ("googlenet", 1): (49.8, 109.7),
    ("googlenet", 10): (496.6, 1097.8),
    ("caffenet", 1): (34.6, 89.6),
    ("caffenet", 10): (153.7, 409.5),
}
SCORES = {"googlenet": "loss3/classifier", "caffenet": "fc8"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--runs", type=int, default=30)
    options = parser.parse_args()
    device = pick_device(options.device)
    rows = [time_network(name, batch, device, options.runs) for name, batch in CAFFE_MS]
    document = json.dumps({"machine": describe_machine(), "threads": torch.get_num_threads(), "rows": rows}, indent=2)
    print(document)
    if options.out:
        write_file(options.out, document + "\n")


def time_network(name: str, batch: int, device: str, runs: int) -> dict[str, Any]:
    torch.manual_seed(0)
    module = TorchNet(zoo.build(name)).requires_grad_(False).to(device)
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    side = zoo.build(name).layers[0].kind.top_shapes((), 1)[0][-1]
    x = 50 * torch.randn(batch, 3, side, side, device=device).contiguous(memory_format=torch.channels_last)
    end = module.graph.at_layer(SCORES[name])

    def forward() -> None:
        with torch.inference_mode():
            module(x)

    def forward_and_gradient() -> None:
        data = x.clone().requires_grad_()
        scores = module(data, [end])[end]
        torch.autograd.grad(0.5 * (scores * scores).sum(), data)

    finish = torch.cuda.synchronize if device != "cpu" else int
    caffe_forward, caffe_both = CAFFE_MS[name, batch]
    both = measure(forward_and_gradient, runs, finish=finish)
    alone = measure(forward, runs, finish=finish)
    return {
        "network": name,
        "batch": batch,
        "forward": {**alone.as_document(), "caffe_ms": caffe_forward},
        "forward_and_gradient": {**both.as_document(), "caffe_ms": caffe_both},
    }


if __name__ == "__main__":
    main()
