"""How long a dream takes: one step at 1024 x 575, plain and as it is done, and the classic dream end to end.

    python benchmarks/dream.py [-o FILE.json] [--image FILE] [--weights FILE] [--runs 10] [--dreams 3] [--caffe BINARY]

Without files it takes the small network and the photograph that come with a clone; weights and pixels change no time,
only the number of classes does. GoogLeNet, inception_4c/output, 4 octaves, 10 steps each. The plain step is torch as it
comes: contiguous memory, torch's own LRN, nothing merged, nothing recorded, float32. Times are from blob to blob for a
step, from picture to picture in memory for a dream; no reading of files. Real Caffe's step is `caffe time` of the
network up to that layer with force_backward, on the CPU with as many threads as torch: without jitter, normalising and
update, but with the weights' gradients, which it computes in a dream too.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import document
import numpy as np
import torch
from caffe_time import RealCaffe, add_option, rows_of_caffe, with_inputs
from PIL import Image

from trtdream.bench.dreaming import bound_of_step, rows_of_dream, step_works, time_dream
from trtdream.bench.limits import Limits, limits_of
from trtdream.bench.results import Row
from trtdream.bench.timing import Repeats, Timing, measure
from trtdream.dream.ascent import Ascent
from trtdream.dream.canvas import Canvas
from trtdream.dream.computing import Computing
from trtdream.dream.dreamer import Dreamer
from trtdream.dream.engine import WholeEngine
from trtdream.dream.objectives import l2
from trtdream.net.forms import Forms
from trtdream.net.kind import Phase
from trtdream.net.maths import lrn
from trtdream.recipe.dream_schema import Settings
from trtdream.runtime.device import pick_device
from trtdream.runtime.image import load_image
from trtdream.runtime.model import Model
from trtdream.runtime.open_model import bundled, open_model

SIZE = (575, 1024)  # height, width
LAYER = "inception_4c/output"
AS_IT_IS = "as it is done"
PHOTOGRAPH = Path(__file__).resolve().parents[1] / "scripts/pictures/chelsea.png"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--image", type=Path, default=PHOTOGRAPH)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--runs", type=int, default=10, help="of a step")
    parser.add_argument("--dreams", type=int, default=3)
    add_option(parser)
    options = parser.parse_args()
    device = pick_device(options.device)
    caffe = RealCaffe(options.caffe, torch.get_num_threads()) if options.caffe else None
    model = open_model("googlenet", options.weights) if options.weights else bundled()
    picture = load_image(options.image)
    if picture.shape[:2] != SIZE:
        picture = np.array(Image.fromarray(picture).resize(SIZE[::-1], Image.Resampling.BICUBIC))
    made_of = {"picture": options.image.name, "weights": Path(model.weights.origin).name}
    asked = {"device": device, "layer": LAYER, "size": f"{SIZE[1]} x {SIZE[0]}", "octaves": 4, "iterations": 10}

    def rows() -> Iterator[Row]:
        yield from time_all(model, picture, limits_of(device), device, options.runs, options.dreams)
        yield from caffes_step(model, caffe)

    document.measure("dream", {**made_of, **asked}, device, rows, options.out)


def time_all(model: Model, picture: np.ndarray, limits: Limits, device: str, runs: int, dreams: int) -> Iterator[Row]:
    finish: Callable[[], object] = torch.cuda.synchronize if device.startswith("cuda") else int

    def a_step(form: str, computing: Computing, work: Callable[[], object]) -> Row:
        timing = measure(work, runs, warm_up=3, finish=finish)
        bound = bound_of_step(timing.median_ms, step_works(model, Settings(), SIZE), computing, limits)
        return row(form, computing, "step", timing, bound.as_document())

    with patch.object(lrn, "across_channels", lrn.across_channels_plain):
        yield a_step("plain", Computing(device, "float32"), plain_step(model, picture, device))
    for precision in precisions(device):
        computing = Computing(device, precision)
        dreamer = Dreamer(model, Settings(), computing)
        ascent = dreamer.ascent(dreamer.canvas.blob(picture), 1.0, None)
        ascent.begin(dreamer.canvas.blob(picture))
        yield a_step(AS_IT_IS, computing, lambda ascent=ascent: ascent.step((7, -5)))  # type: ignore[misc]
        warm = Repeats(dreams, warm_up=0 if device == "cpu" else 1)  # by its steps; a GPU's are recorded once more
        times = time_dream(model, picture, Settings(), computing, warm)
        whole = rows_of_dream(times, SIZE, model, Settings(), computing, limits)[-1]
        yield row(AS_IT_IS, computing, "dream", times.whole, whole.extra)


def caffes_step(model: Model, caffe: RealCaffe | None) -> list[Row]:
    net = model.net.for_phase(Phase.TEST)
    upto = with_inputs(net, {model.graph.inputs[0]: (1, 3, *SIZE)}, [model.graph.at_layer(LAYER)])
    return rows_of_caffe("dream", replace(upto, force_backward=True), Phase.TEST, {"forward + backward": "step"}, caffe)


def plain_step(model: Model, picture: np.ndarray, device: str) -> Callable[[], object]:
    module = model.module([LAYER], device=device)
    module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    module.forms = Forms()
    canvas = Canvas(model.pictures, device)
    data = canvas.blob(picture)
    ascent = Ascent(WholeEngine(module, l2(LAYER)), data, Settings(), 1.5, canvas.bounds())
    ascent.data = data.contiguous()
    return lambda: ascent.step((7, -5))


def precisions(device: str) -> list[str]:
    """Those that the device computes in; a processor without bfloat16 would only imitate it, several times slower."""
    if device.startswith("cuda"):
        return ["float32", "bf16", "fp16"]
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return ["float32", "bf16"] if "avx512_bf16" in flags or "amx_bf16" in flags else ["float32"]


def row(form: str, computing: Computing, part: str, timing: Timing, share: Mapping[str, Any]) -> Row:
    print(f"{form}, {computing.precision}: {timing.median_ms:.1f} ms a {part}", file=sys.stderr)
    extra = {"form": form, "precision": computing.precision, **share}
    return Row(f"{form}, {computing.precision}", part, timing, extra=extra)


if __name__ == "__main__":
    main()
