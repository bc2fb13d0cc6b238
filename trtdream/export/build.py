"""Building an engine: a process of its own, with progress, a limit on time and memory, and an error message for its
death.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from trtdream.console import progress
from trtdream.errors import TrtdreamError
from trtdream.files import replacing

_POLL = 0.2  # seconds between looks at the process's memory


@dataclass(frozen=True)
class Job:
    """What to build.

    library: "TensorRT" or "TensorRT-RTX". shapes: least, usual and greatest shape of every input. workspace: GiB.
    level: builder optimisation level, 0..5. target: a compute capability to build for ahead of time (RTX).
    inspect: load the engine afterwards to see its layers' types, where there is a GPU.
    """

    library: str
    onnx: str
    engine: str
    precision: str
    shapes: Mapping[str, Sequence[Sequence[int]]] = field(default_factory=dict)
    workspace: float | None = None
    level: int | None = None
    version_compatible: bool = False
    hardware_compatible: bool = False
    target: str | None = None
    timing_cache: str | None = None
    inspect: bool = True


@dataclass(frozen=True)
class Limits:
    """seconds, and GiB of host memory, that a build may take."""

    seconds: float = 3600.0
    memory: float = 32.0


def build_engine(job: Job, limits: Limits) -> dict[str, int]:
    """Build `job.engine`, written whole or not at all.

    Returns:
        How many layers put out each type.

    Raises:
        TrtdreamError: the parser refuses the graph, the build fails, dies, takes too long or too much memory.
    """
    engine = Path(job.engine)
    with replacing(engine) as temporary, TemporaryDirectory() as folder:
        description = Path(folder) / "job.json"
        description.write_text(json.dumps(asdict(job) | {"engine": str(temporary)}))
        result = _run(description, Path(folder) / "log", job, limits)
        if not temporary.stat().st_size:
            raise TrtdreamError(f"{engine.name}: {job.library} wrote an empty engine")
    return dict(result["layer_types"])


def _run(description: Path, log: Path, job: Job, limits: Limits) -> dict[str, Any]:
    command = [sys.executable, "-m", "trtdream.export.build_worker", str(description)]
    with log.open("wb") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, start_new_session=True)
    name = Path(job.engine).name
    try:
        result = _follow(process, name, limits)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if result is None or "error" in result:
        why = result["error"] if result else _death(process.returncode)
        raise TrtdreamError(f"{name}: {job.library} built no engine: {why}{_last_error(log)}")
    return result


def _follow(process: subprocess.Popen[bytes], name: str, limits: Limits) -> dict[str, Any] | None:
    """Read the worker's lines until it ends; its last line, or None if it died without one."""
    assert process.stdout is not None
    started, last, pending = time.monotonic(), None, b""
    os.set_blocking(process.stdout.fileno(), False)
    with selectors.DefaultSelector() as selector, progress() as bar:
        selector.register(process.stdout, selectors.EVENT_READ)
        task = bar.add_task(f"building {name}", total=None)
        while True:
            selector.select(_POLL)
            chunk = process.stdout.read()
            if chunk == b"":
                return last
            pending += chunk or b""
            *lines, pending = pending.split(b"\n")
            for line in lines:
                last = _parse(line) or last
                if last is not None and "phase" in last:
                    bar.update(task, description=last["phase"], total=last["steps"], completed=last["step"])
                    last = None
            _enforce(process.pid, name, time.monotonic() - started, limits)


def _enforce(pid: int, name: str, seconds: float, limits: Limits) -> None:
    if seconds > limits.seconds:
        raise TrtdreamError(f"{name}: the build took longer than {limits.seconds:g} s; give it more with --build-time")
    if (used := _resident(pid)) > limits.memory:
        raise TrtdreamError(
            f"{name}: the build took {used:.1f} GiB of memory, more than {limits.memory:g}; give it more with "
            "--build-memory"
        )


def _parse(line: bytes) -> dict[str, Any] | None:
    """A line of the worker's; what a library prints of its own is none."""
    try:
        document = json.loads(line)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _resident(pid: int) -> float:
    """GiB of memory a process holds; 0 where that cannot be asked."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**30


def _death(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        hint = " (out of memory, as a rule)" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{hint}"
    return f"its process ended with code {code}"


def _last_error(log: Path) -> str:
    """The last thing the library complained of, for the end of a message."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    wanted = [line for line in lines if "[E]" in line or "Error" in line] or lines
    return f" ({wanted[-1][:300]})" if wanted else ""
