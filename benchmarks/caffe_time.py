"""Real Caffe on this machine, by its own `caffe time`: what stands beside our numbers where a binary of it is given."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from trtdream.bench.results import Row
from trtdream.bench.timing import Timing, timing_of
from trtdream.caffe.prototxt import text_from_net
from trtdream.errors import InputRefused, TrtdreamError
from trtdream.net.graph import connect
from trtdream.net.kind import Phase, Shape
from trtdream.net.kinds.inputs import Input
from trtdream.net.net import Net
from trtdream.net.parameters import BlobShape
from trtdream.net.shapes import needed_steps

PARTS = ("forward", "backward", "forward + backward")
ELSEWHERE_MS = {  # `caffe time` of BVLC/caffe 1.0 with OpenBLAS on two cores of another machine
    ("googlenet, batch 1", "forward"): 49.8,
    ("googlenet, batch 1", "forward + backward"): 109.7,
    ("googlenet, batch 10", "forward"): 496.6,
    ("googlenet, batch 10", "forward + backward"): 1097.8,
    ("caffenet, batch 1", "forward"): 34.6,
    ("caffenet, batch 1", "forward + backward"): 89.6,
    ("caffenet, batch 10", "forward"): 153.7,
    ("caffenet, batch 10", "forward + backward"): 409.5,
    ("dream", "step"): 1280.0,
}
CAFFE = "real Caffe"
_PROCESSES = 3
_AVERAGE = re.compile(r"Average (Forward|Backward) pass: (\S+) ms\.")


@dataclass(frozen=True)
class RealCaffe:
    """A binary of real Caffe for the CPU (BVLC/caffe 1.0), and how to ask it: so many iterations, so many threads."""

    binary: Path
    threads: int
    iterations: int = 3

    def time(self, net: Net, phase: Phase) -> dict[str, Timing]:
        """Milliseconds of PARTS.

        Caffe tells averages only: each sample is that of a process, after one pass forward and back that it leaves out.
        Its backward computes the gradients of the weights too. Its inputs are zeros.

        Raises:
            TrtdreamError: it failed; the message has its last line.
        """
        with tempfile.TemporaryDirectory() as folder:
            model = Path(folder) / "net.prototxt"
            model.write_text(text_from_net(net))
            runs = [self._once(model, phase) for _ in range(_PROCESSES)]
        return {part: timing_of([run[part] for run in runs], warm_up=1) for part in PARTS}

    def _once(self, model: Path, phase: Phase) -> dict[str, float]:
        command = [str(self.binary), "time", "-model", str(model), "-phase", phase, "-iterations", str(self.iterations)]
        threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), str(self.threads))
        ran = subprocess.run(command, env={**os.environ, **threads}, capture_output=True, text=True, check=False)
        if ran.returncode:
            fatal = [line for line in ran.stderr.splitlines() if re.match(r"F\d+ ", line)]
            last = (fatal or ran.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise TrtdreamError(f"{self.binary} time: exit code {ran.returncode}: {last[:300]}")
        return read_averages(ran.stderr)


def read_averages(log: str) -> dict[str, float]:
    """Milliseconds of PARTS, from what `caffe time` writes to stderr.

    Their sum, for Caffe's own "Average Forward-Backward" is of whole milliseconds.

    Raises:
        InputRefused: the log has no averages.
    """
    found = {name.lower(): float(value) for name, value in _AVERAGE.findall(log)}
    if set(found) != set(PARTS[:2]):
        raise InputRefused("the log of `caffe time` has no line of the form 'Average Forward pass: 8.4922 ms.'")
    return {**found, PARTS[2]: sum(found.values())}


def with_inputs(net: Net, shapes: Mapping[str, Shape], until: Sequence[str] | None = None) -> Net:
    """The network of one phase, fed by Input layers of these shapes; with `until` only what those values need."""
    layers = []
    for step in needed_steps(connect(net), until):
        layer = step.layer
        if layer.kind.is_input:
            layer = replace(layer, kind=Input(tuple(BlobShape(shapes[top]) for top in layer.tops)))
        layers.append(layer)
    return replace(net, layers=tuple(layers))


def rows_of_caffe(name: str, net: Net, phase: Phase, parts: Mapping[str, str], caffe: RealCaffe | None) -> list[Row]:
    """What stands beside the rows of that name: Caffe's, or why there are none, with what another machine took.

    Args:
        net: of one phase, with Input layers.
        parts: some of PARTS, with what our rows call them.
    """
    names = {ours: f"{ours}, {CAFFE}" for ours in parts.values()}
    if caffe is None:
        return [Row(name, part, None, _no_caffe(name, ours)) for ours, part in names.items()]
    try:
        times = caffe.time(net, phase)
    except TrtdreamError as error:
        return [Row(name, part, None, str(error)) for part in names.values()]
    extra = {"threads": caffe.threads}
    return [Row(name, names[ours], times[theirs], extra=extra) for theirs, ours in parts.items()]


def _no_caffe(name: str, part: str) -> str:
    known = ELSEWHERE_MS.get((name, part))
    return "no --caffe BINARY was given" + (f"; two cores of another machine took {known:g} ms" if known else "")


def add_option(parser: argparse.ArgumentParser) -> None:
    """--caffe BINARY, refused at once where it is none."""
    parser.add_argument("--caffe", type=_binary, metavar="BINARY", help="real Caffe, to be measured beside it (CPU)")


def _binary(text: str) -> Path:
    path = Path(text).resolve()
    if not (path.is_file() and os.access(path, os.X_OK)):
        raise argparse.ArgumentTypeError(f"{text}: is no program; Caffe's build calls it build/tools/caffe")
    return path
