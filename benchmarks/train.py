"""ms of one training iteration, and per image: forward, forward + backward, whole step, in every mode.

    python benchmarks/train.py [-o FILE.json] [--device cuda] [--nets caffenet googlenet] [--batch 256]
                               [--packed SET] [--modes NAME ...] [--seconds 5] [--budget 200] [--caffe BINARY]

The networks train as BVLC's recipes say (SGD with momentum and decay; GoogLeNet with both auxiliary classifiers), with
dropout, from random weights. Synthetic: one batch that lies on the device already. Packed: from a packed set of
256 x 256 pictures through the loader, with crops, mirrors and the mean, whole step only; without --packed a small set
is drawn and packed first. With a CUDA graph, forward and forward + backward are replayed from graphs of their own.

A mode that fails is a row with the reason; when the budget (seconds for all) is used up, the rest are rows that say so.
bf16 is left out on a CPU without instructions for it, unless named. Real Caffe, on the CPU, is `caffe time` of the same
training network and batch, with as many threads as torch; it makes no update.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import document
import torch
from caffe_time import RealCaffe, add_option, rows_of_caffe, with_inputs
from train_modes import RATE, SIDES, Mode, chosen, make_step, synthetic

from trtdream.bench.limits import Limits, bound_of_all, limits_of
from trtdream.bench.memory import peak_memory, restart_peak
from trtdream.bench.products import TF32
from trtdream.bench.results import Row, per_image
from trtdream.bench.timing import Timing, measure
from trtdream.bench.work import training_works
from trtdream.data.feed import Feed
from trtdream.data.loader import Loader
from trtdream.data.pack import Packing, pack
from trtdream.data.sources import open_source
from trtdream.data.synth import synthesise
from trtdream.data.transform import Transform
from trtdream.net.kind import Phase
from trtdream.net.shapes import infer_shapes
from trtdream.net.zoo import build
from trtdream.runtime.device import pick_device
from trtdream.train.compute import Compute, apply_settings, computes_bf16
from trtdream.train.feeding import Feeding
from trtdream.train.step import Inputs, Step

FROM_PACKED = "step from a packed set"


@dataclass(frozen=True)
class Settings:
    """How long and from what to measure."""

    device: torch.device
    batch: int
    runs: int
    seconds: float
    packed: Path
    limits: Limits

    def measure(self, work: Callable[[], object]) -> Timing:
        finish: Callable[[], object] = torch.cuda.synchronize if self.device.type == "cuda" else int
        return measure(work, self.runs, finish=finish, seconds=self.seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--nets", nargs="+", default=list(SIDES), choices=list(SIDES))
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--modes", nargs="+", help="names; default: those of the device")
    parser.add_argument("--packed", type=Path, help="a packed set of 256 x 256 pictures")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=5, help="at most, for each number")
    parser.add_argument("--budget", type=float, help="seconds after which no mode is begun; 200 on a GPU, 900 on a CPU")
    add_option(parser)
    options = parser.parse_args()
    device = torch.device(pick_device(options.device))
    caffe = RealCaffe(options.caffe, torch.get_num_threads()) if options.caffe else None
    asked = {"device": device.type, "batch": options.batch, "packed_set": "given" if options.packed else "drawn"}
    settings = {**asked, "bf16_instructions": computes_bf16(device)}
    modes = chosen(options.modes, device)
    document.measure("train", settings, device.type, lambda: rows_of(options, device, modes, caffe), options.out)


def rows_of(
    options: argparse.Namespace, device: torch.device, modes: list[Mode], caffe: RealCaffe | None
) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as scratch:
        packed = options.packed or draw_packed_set(Path(scratch), options.batch)
        settings = Settings(device, options.batch, options.runs, options.seconds, packed, limits_of(device.type))
        budget = options.budget or (200.0 if device.type == "cuda" else 900.0)
        yield from time_all(options.nets, modes, settings, budget, named=bool(options.modes))
    for net in options.nets:
        yield from caffes_rows(net, options.batch, caffe)


def draw_packed_set(folder: Path, batch: int) -> Path:
    """Pictures of 256 x 256, packed: enough for two different batches."""
    synthesise(folder / "pictures", classes=10, images=max(2 * batch, 64), val=10, size=256)
    source = open_source(folder / "pictures" / "train.txt")
    pack(source, folder / "packed", Packing(Transform(size=256)))
    return folder / "packed"


def time_all(nets: list[str], modes: list[Mode], settings: Settings, budget: float, named: bool) -> list[Row]:
    """The rows of each network and mode, printed as they come."""
    ends, rows = time.perf_counter() + budget, []
    for mode in modes:
        for net in (net for net in nets if mode.concerns(net)):
            if time.perf_counter() > ends:
                found = [absent(net, mode, f"the budget of {budget:g} s was used up; --budget raises it")]
            elif mode.dtype == torch.bfloat16 and not computes_bf16(settings.device) and not named:
                found = [absent(net, mode, "this CPU has no instructions for bf16")]
            else:
                found = try_mode(net, mode, settings)
            for row in found:
                print(json.dumps(row.as_document()), file=sys.stderr, flush=True)
            rows += found
    return rows


def absent(net: str, mode: Mode, why: str) -> Row:
    return Row(f"{net}, {mode.name}", "step", None, why)


def try_mode(net: str, mode: Mode, settings: Settings) -> list[Row]:
    """The numbers of a mode, or why it has none."""
    try:
        return time_mode(net, mode, settings)
    except Exception as error:  # whatever it is, the other modes go on
        return [absent(net, mode, f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}")]
    finally:
        gc.collect()
        if settings.device.type == "cuda":
            torch._dynamo.reset()
            torch.cuda.empty_cache()


def time_mode(name: str, mode: Mode, settings: Settings) -> list[Row]:
    torch.manual_seed(0)
    device, batch = settings.device, settings.batch
    apply_settings(Compute(device, mode.dtype, tf32=mode.tf32), deterministic=False)
    step, inputs = make_step(name, mode, batch, device), synthetic(name, mode, batch, device)
    wrap = graphed if mode.graph else _itself
    times = {
        "forward": settings.measure(wrap(lambda: step.loss(inputs), device)),
        "forward + backward": settings.measure(wrap(lambda: forward_backward(step, inputs), device)),
    }
    step.update.forget_gradients()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    restart_peak(device.type)
    times["step"] = settings.measure(lambda: step.run([inputs], RATE))
    peak = peak_memory(device.type)
    if mode.packed:
        times[FROM_PACKED] = from_packed(step, name, mode, settings)
    layers = infer_shapes(step.net.graph, {blob: tuple(x.shape) for blob, x in inputs.blobs.items()})
    works = training_works(layers, mode.dtype.itemsize, force_backward=False)
    ceiling = TF32 if mode.tf32 else str(mode.dtype).removeprefix("torch.")
    rows = []
    for part, timing in times.items():
        share = bound_of_all(timing.median_ms, works.get(part, works["step"]), ceiling, settings.limits).as_document()
        memory = {"peak_bytes": peak} if part == "step" else {}
        extra = {**per_image(timing, batch), "network": name, "form": mode.name, **share, **memory}
        rows.append(Row(f"{name}, {mode.name}", part, timing, extra=extra))
    return rows


def caffes_rows(name: str, batch: int, caffe: RealCaffe | None) -> list[Row]:
    side = SIDES[name]
    shapes = {"data": (batch, 3, side, side), "label": (batch,)}
    net = with_inputs(build(name, deploy=False).for_phase(Phase.TRAIN), shapes)
    parts = ("forward", "forward + backward")
    return rows_of_caffe(f"{name}, batch {batch}", net, Phase.TRAIN, dict(zip(parts, parts, strict=True)), caffe)


def forward_backward(step: Step, inputs: Inputs) -> None:
    step.update.forget_gradients()
    step.forward_backward([inputs])


def graphed(work: Callable[[], object], device: torch.device) -> Callable[[], object]:
    """The work as a CUDA graph; what it allocates stays in the graph's memory."""
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        for _ in range(3):
            work()
    torch.cuda.current_stream(device).wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        work()
    return graph.replay


def _itself(work: Callable[[], object], device: torch.device) -> Callable[[], object]:  # noqa: ARG001
    return work


def from_packed(step: Step, name: str, mode: Mode, settings: Settings) -> Timing:
    transform = Transform(resize="none", crop=SIDES[name], mirror=True, mean_value=(104, 117, 123))
    dtype = "bfloat16" if mode.dtype == torch.bfloat16 else "float32"
    threads = min(8, torch.get_num_threads())
    device = str(settings.device)
    feed = Feed(settings.batch, device=device, threads=threads, dtype=dtype, channels_last=mode.channels_last)  # type: ignore[arg-type]
    with Loader(open_source(settings.packed), transform, feed) as loader:
        graph = step.net.graph
        return settings.measure(lambda: step.run([Feeding.inputs(next(loader), graph)], RATE))


if __name__ == "__main__":
    main()
