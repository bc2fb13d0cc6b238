"""ONNX Runtime's profile of a GPU's kernels, in a process of its own in which a launch waits for its kernel.

Its profiler notes when a node's call began and returned, which on a GPU is when its kernels were launched; kernels' own
times need a build with CUPTI, which the wheels are not. With CUDA_LAUNCH_BLOCKING=1, read when CUDA starts, a call
returns when its kernels are done. `python -m trtdream.bench.onnx_blocking FILE DEVICE RUNS PROFILE AXIS ...` is that
process; AXIS ... is the input's shape.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from trtdream.bench.onnx_events import read_profile
from trtdream.errors import TrtdreamError

if TYPE_CHECKING:
    import onnx

    from trtdream.net.kind import Shape

BLOCKED = "rows: each kernel was waited for, so that its launch counts too (CUDA_LAUNCH_BLOCKING=1); the whole: not"


def profile_blocking(graph: onnx.ModelProto, shape: Shape, device: str, runs: int) -> list[dict[str, float]]:
    """Milliseconds of each run by kernel.

    Raises:
        TrtdreamError: the process failed; the message has its last line.
    """
    with TemporaryDirectory() as name:
        file, profile = Path(name) / "net.onnx", Path(name) / "profile"
        file.write_bytes(graph.SerializeToString())
        command = [sys.executable, "-m", __name__, str(file), device, str(runs), str(profile), *map(str, shape)]
        environment = {**os.environ, "CUDA_LAUNCH_BLOCKING": "1"}
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if ran.returncode:
            last = (ran.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise TrtdreamError(f"ONNX Runtime's profile: its process failed: {last[:300]}")
        return read_profile(Path(ran.stdout.splitlines()[-1]))


def main() -> None:
    import torch

    from trtdream.bench.graphs import noise
    from trtdream.runtime.runner_onnx import OnnxRunner

    file, device, runs, profile = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])
    data = torch.from_numpy(noise(tuple(map(int, sys.argv[5:])))).to(device)
    with OnnxRunner(file, device, profile=profile) as run:
        for _ in range(runs):
            run(data)
        print(run.end_profiling())


if __name__ == "__main__":
    main()
