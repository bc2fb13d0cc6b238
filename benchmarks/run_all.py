"""What this machine can measure, in under ten minutes: benchmarks/results/NAME.json.

    python benchmarks/run_all.py [-o FOLDER] [--seconds 600] [--only NAME ...] [--caffe BINARY]

The machine's limits anew, `trtdream bench` and `bench net` for both networks, then the programs in this folder, the
quick ones first; each in a process of its own, with what is left of the time. One that does not end in time, fails, or
has not what it needs is said and left out; the file that an earlier run wrote stays. With a binary of real Caffe, its
times on this machine stand beside ours. The exit code is 1 if nothing was written.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from caffe_time import add_option

ROOT = Path(__file__).resolve().parents[1]
HERE = Path(__file__).resolve().parent


_LAYERS_ON_A_CPU = ("--batch", "4", "--iterations", "5")
_MODES_ON_A_CPU = ("--modes", "float32", "plain float32")
_TRAIN_ON_A_CPU = ("--nets", "caffenet", "--batch", "10", "--runs", "5", *_MODES_ON_A_CPU)
_DREAM_ON_A_CPU = ("--runs", "5", "--dreams", "3")
_FEW_BATCHES = ("--batches", "1", "8")


@dataclass(frozen=True)
class Job:
    """A result's name and the command that writes it to a file, which is put at its end."""

    name: str
    command: Sequence[str]


def jobs(gpu: str | None, caffe: Path | None = None) -> list[Job]:
    """In the order of their worth for the time they take; for a GPU's name, or None for the CPU."""
    on_gpu, place = gpu is not None, place_of(gpu)
    beside = ["--caffe", str(caffe)] if caffe else []
    bench = [sys.executable, "-m", "trtdream", "bench"]
    few = [] if on_gpu else [*_LAYERS_ON_A_CPU]
    return [
        Job("headline", [*bench, "--force", "--json"]),
        *(
            Job(f"layers_{net}_{backend}", [*bench, "net", net, "--backend", backend, *few, "--force", "--json"])
            for backend in ("torch", "onnxruntime", *(("tensorrt",) if on_gpu else ()))
            for net in ("caffenet", "googlenet")
        ),
        Job("forward", _program("forward", "--device", "cuda" if on_gpu else "cpu", "--runs", "10", *beside)),
        Job(f"data_{place}", _program("data", *_data_options(on_gpu))),
        Job(f"train_{place}", _program("train", "--budget", "90", *([] if on_gpu else _TRAIN_ON_A_CPU), *beside)),
        Job("dream", _program("dream", *([] if on_gpu else _DREAM_ON_A_CPU), *beside)),
        Job("inference", _program("inference", "--minutes", "2", "--seconds", "2", *([] if on_gpu else _FEW_BATCHES))),
    ]


def place_of(gpu: str | None) -> str:
    """What results are called after: h100 for "NVIDIA H100 80GB HBM3"."""
    found = re.search(r"[A-Z]+\d{2,}\w*", gpu or "")
    return found[0].lower() if found else "gpu" if gpu else "cpu"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, default=HERE / "results")
    parser.add_argument("--seconds", type=float, default=600.0, help="for all together")
    parser.add_argument("--only", nargs="+", metavar="NAME")
    add_option(parser)
    options = parser.parse_args()
    end = time.monotonic() + options.seconds
    gpu = _gpu()
    known = jobs(gpu, options.caffe)
    chosen = [job for job in known if not options.only or job.name in options.only]
    if not chosen:
        parser.error(f"--only {' '.join(options.only)}: known are {', '.join(job.name for job in known)}")
    options.out.mkdir(parents=True, exist_ok=True)
    for device in ("cpu", *(("cuda",) if gpu else ())):
        say(f"limits of {device}: {'measured' if measure_limits(device, end) else 'not measured anew'}")
    written = [job.name for job in chosen if run(job, options.out / f"{job.name}.json", end)]
    say(f"{len(written)} of {len(chosen)} written to {options.out}: {', '.join(written)}")
    sys.exit(not written)


def run(job: Job, out: Path, end: float) -> bool:
    """Whether the job wrote its file, in the time that is left."""
    left = end - time.monotonic()
    program = Path(job.command[1])
    if left < 1 or (program.suffix == ".py" and not program.exists()):
        say(f"{job.name}: left out, {'no time is left' if left < 1 else f'there is no {program.name}'}")
        return False
    started = time.monotonic()
    try:
        ran = subprocess.run(
            [*job.command, str(out)], cwd=ROOT, timeout=left, capture_output=True, text=True, check=False
        )
    except subprocess.TimeoutExpired:
        say(f"{job.name}: left out, it did not end in the {left:.0f} s that were left")
        return False
    if ran.returncode:
        say(f"{job.name}: failed: {(ran.stderr.strip().splitlines() or ['it said nothing'])[-1][:300]}")
        return False
    say(f"{job.name}: {time.monotonic() - started:.0f} s")
    return True


def measure_limits(device: str, end: float) -> bool:
    """What the results are held against: those that are kept may come from a busier hour."""
    command = [sys.executable, "-m", "trtdream", "bench", "limits", "--again", "--device", device]
    try:
        left = max(end - time.monotonic(), 0)
        return not subprocess.run(command, cwd=ROOT, timeout=left, capture_output=True, check=False).returncode
    except subprocess.TimeoutExpired:
        return False


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _program(name: str, *options: str) -> list[str]:
    return [sys.executable, str(HERE / f"{name}.py"), *options, "-o"]


def _data_options(on_gpu: bool) -> list[str]:
    return (
        ["--device", "cuda", "--threads", str(os.cpu_count() or 1)] if on_gpu else ["--runs", "12", "--images", "500"]
    )


def _gpu() -> str | None:
    from trtdream.runtime.cuda import ask_cuda

    gpus = ask_cuda().gpus
    return gpus[0].name if gpus else None


if __name__ == "__main__":
    main()
