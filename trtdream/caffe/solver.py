"""Caffe's solver files: a frozen dataclass is the schema of SolverParameter."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from trtdream.caffe.prototxt import net_from_text
from trtdream.caffe.schema import fault, read_message
from trtdream.caffe.text import Field, Message, format_text, parse_text
from trtdream.errors import InputRefused
from trtdream.files import read_file
from trtdream.net.net import Net
from trtdream.net.parameters import Signed


class Mode(StrEnum):
    CPU = "CPU"
    GPU = "GPU"


class SnapshotFormat(StrEnum):
    HDF5 = "HDF5"
    BINARYPROTO = "BINARYPROTO"


class LegacyType(StrEnum):
    """`solver_type`, which older files have in place of `type`."""

    SGD = "SGD"
    NESTEROV = "Nesterov"
    ADAGRAD = "AdaGrad"
    RMSPROP = "RMSProp"
    ADADELTA = "AdaDelta"
    ADAM = "Adam"


@dataclass(frozen=True)
class NetState:
    """`train_state` and `test_state`: what the rules of a net's layers may ask about."""

    level: Signed = 0
    stage: tuple[str, ...] = ()


@dataclass(frozen=True)
class SolverFile:
    """SolverParameter, but for nets written into it (see `read_solver`)."""

    net: str = ""
    train_net: str = ""
    test_net: tuple[str, ...] = ()
    train_state: NetState = NetState()
    test_state: tuple[NetState, ...] = ()
    test_iter: tuple[int, ...] = ()
    test_interval: int = 0
    test_compute_loss: bool = False
    test_initialization: bool = True
    base_lr: float = 0.0
    display: int = 0
    average_loss: int = 1
    max_iter: int = 0
    iter_size: int = 1
    lr_policy: str = ""
    gamma: float | None = None
    power: float | None = None
    momentum: float = 0.0
    weight_decay: float = 0.0
    regularization_type: str = "L2"
    stepsize: int | None = None
    stepvalue: tuple[int, ...] = ()
    clip_gradients: float = -1.0
    snapshot: int = 0
    snapshot_prefix: str = ""
    snapshot_diff: bool = False
    snapshot_format: SnapshotFormat = SnapshotFormat.BINARYPROTO
    solver_mode: Mode = Mode.GPU
    device_id: int = 0
    random_seed: Signed = -1
    type: str = "SGD"
    solver_type: LegacyType | None = None
    delta: float = 1e-8
    momentum2: float = 0.999
    rms_decay: float = 0.99
    debug_info: bool = False
    snapshot_after_train: bool = True
    layer_wise_reduce: bool = True
    weights: tuple[str, ...] = ()

    @property
    def rule(self) -> str:
        """The solver's name: `type`, or what the older `solver_type` means."""
        return str(self.solver_type.value) if self.solver_type else self.type


_NETS = ("net_param", "train_net_param", "test_net_param")


def read_solver(path: Path) -> tuple[SolverFile, Net | None]:
    """A solver file, and the net that is written into it as `net_param` or `train_net_param`, if any.

    Raises:
        UsageError: no such file.
        InputRefused: a syntax error, an unknown field or value, named with its line.
    """
    try:
        text = read_file(path).decode()
    except UnicodeDecodeError as error:
        raise InputRefused(f"{path}: is no text file, so no solver") from error
    origin = str(path)
    message = parse_text(text, origin)
    rest = tuple(entry for entry in message.fields if entry.name not in _NETS)
    solver = read_message(SolverFile, Message(rest), origin)
    return solver, _written_net(message, origin)


def _written_net(message: Message, origin: str) -> Net | None:
    found = [entry for name in _NETS for entry in message.all(name)]
    if not found:
        return None
    if len(found) > 1 or found[0].name == "test_net_param":
        raise fault(origin, found[-1], f"{found[-1].name}: one net may be written into a solver file, for both phases")
    return net_from_text(_text_of(found[0], origin), origin)


def _text_of(entry: Field, origin: str) -> str:
    if not isinstance(entry.value, Message):
        raise fault(origin, entry, f"{entry.name!r} is a message: {entry.name} {{ ... }}")
    return format_text(entry.value)
