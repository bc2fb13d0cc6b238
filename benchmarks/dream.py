"""How long a dream takes: one step at 1024 x 575, plain and as it is done, and the classic dream end to end.

    python benchmarks/dream.py [-o FILE.json] [--image FILE] [--weights FILE] [--runs 10] [--dreams 3]

Without files it takes the small network and the photograph that come with a clone; weights and pixels change no time,
only the number of classes does. GoogLeNet, inception_4c/output, 4 octaves, 10 steps each. The plain step is torch as it
comes: contiguous memory, torch's own LRN, nothing merged, nothing recorded, float32. Times are from blob to blob for a
step, from picture to picture in memory for a dream; no reading of files. Real Caffe takes 1,280 ms for the step on two
cores of another machine (BVLC/caffe 1.0, OpenBLAS).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image

from trtdream.bench.dreaming import time_dream
from trtdream.bench.machine import describe_machine
from trtdream.bench.timing import Repeats, Timing, measure
from trtdream.dream.ascent import Ascent
from trtdream.dream.canvas import Canvas
from trtdream.dream.computing import Computing
from trtdream.dream.dreamer import Dreamer
from trtdream.dream.engine import WholeEngine
from trtdream.dream.objectives import l2
from trtdream.files import write_file
from trtdream.net.forms import Forms
from trtdream.net.maths import lrn
from trtdream.recipe.dream_schema import Settings
from trtdream.runtime.device import pick_device
from trtdream.runtime.image import load_image
from trtdream.runtime.model import Model
from trtdream.runtime.open_model import bundled, open_model

SIZE = (575, 1024)  # height, width
LAYER = "inception_4c/output"
PHOTOGRAPH = Path(__file__).resolve().parents[1] / "scripts/pictures/chelsea.png"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--image", type=Path, default=PHOTOGRAPH)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--runs", type=int, default=10, help="of a step")
    parser.add_argument("--dreams", type=int, default=3)
    options = parser.parse_args()
    device = pick_device(options.device)
    model = open_model("googlenet", options.weights) if options.weights else bundled()
    picture = load_image(options.image)
    if picture.shape[:2] != SIZE:
        picture = np.array(Image.fromarray(picture).resize(SIZE[::-1], Image.Resampling.BICUBIC))
    rows = list(time_all(model, picture, device, options.runs, options.dreams))
    machine = {**describe_machine(), "threads": torch.get_num_threads()}
    made_of = {"picture": options.image.name, "size": list(SIZE), "weights": Path(model.weights.origin).name}
    document = json.dumps({"machine": machine, **made_of, "rows": rows}, indent=1)
    print(document)
    if options.out:
        write_file(options.out, document + "\n")


def time_all(model: Model, picture: np.ndarray, device: str, runs: int, dreams: int) -> Iterator[dict[str, Any]]:
    finish: Callable[[], object] = torch.cuda.synchronize if device.startswith("cuda") else int
    with patch.object(lrn, "across_channels", lrn.across_channels_plain):
        step = plain_step(model, picture, device)
        yield row("plain", "float32", measure(step, runs, warm_up=3, finish=finish), None)
    for precision in precisions(device):
        computing = Computing(device, precision)
        dreamer = Dreamer(model, Settings(), computing)
        ascent = dreamer.ascent(dreamer.canvas.blob(picture), 1.0, None)
        ascent.begin(dreamer.canvas.blob(picture))
        timing = measure(lambda ascent=ascent: ascent.step((7, -5)), runs, warm_up=3, finish=finish)  # type: ignore[misc]
        dream = time_dream(model, picture, Settings(), computing, Repeats(dreams, warm_up=1, seconds=60)).whole
        yield row("as it is done", precision, timing, dream)


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


def row(form: str, precision: str, step: Timing, dream: Timing | None) -> dict[str, Any]:
    print(f"{form}, {precision}: {step.median_ms:.1f} ms a step", file=sys.stderr)
    whole = {"dream": dream.as_document()} if dream else {}
    return {"form": form, "precision": precision, "step": step.as_document(), **whole}


if __name__ == "__main__":
    main()
