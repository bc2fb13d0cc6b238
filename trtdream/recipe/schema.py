"""What a recipe holds: each key, its type, its default, and what contradicts what."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Switch = Literal["auto"] | bool  # YAML reads on and off as booleans
Positive = Annotated[int, Field(ge=1)]
Whole = Annotated[int, Field(ge=0)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    def faults(self) -> Sequence[str]:
        """What contradicts what, `key: what, and what to do` each."""
        return ()

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if faults := self.faults():
            raise ValueError("; ".join(faults))
        return self


class NetChoice(Section):
    """Which network: one of the zoo, or a train_val prototxt."""

    name: str | None = None
    path: Path | None = None
    classes: Positive | None = None
    labels: Path | None = None  # a file with a class name a line, kept with the snapshots
    weights: Path | None = None  # where fine-tuning starts; `googlenet` and the like fetch the official file
    lr_mult: dict[str, Amount] = {}  # factors on the lr_mult of layers, by pattern: {"*/classifier": 10, "conv1*": 0}
    level: int = 0
    stages: tuple[str, ...] = ()

    def faults(self) -> Sequence[str]:
        if (self.name is None) == (self.path is None):
            return ["name, path: give one of them, a network of the zoo or a train_val prototxt"]
        if self.path is not None and self.classes is not None:
            return ["classes: a prototxt says itself how many classes it tells apart"]
        return ()


class Pictures(Section):
    """Where samples come from and what becomes of them; see `trtdream.data.transform.Transform`."""

    source: Path
    root: Path | None = None
    batch: Positive
    shuffle: bool = True
    size: Positive = 256
    resize: Literal["squash", "short_side", "none"] = "squash"
    crop: Positive | None = None
    mirror: bool = False
    mean_file: Path | None = None
    mean_value: tuple[float, ...] = ()
    scale: float = 1.0
    random_area: tuple[float, float] | None = None
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    jitter: float = 0.0
    on_bad: Literal["stop", "skip"] = "stop"

    def faults(self) -> Sequence[str]:
        from trtdream.data.transform import Transform

        return Transform(**self.model_dump(include=set(TRANSFORM_KEYS))).faults()


TRANSFORM_KEYS = (
    "size",
    "resize",
    "crop",
    "mirror",
    "mean_file",
    "mean_value",
    "scale",
    "random_area",
    "aspect",
    "jitter",
)


class TestPictures(Pictures):
    """A set to test on: `iterations` batches of it, in the net's TEST phase with these stages."""

    __test__ = False  # no test of pytest's

    shuffle: bool = False
    iterations: Positive
    net: Path | None = None  # another prototxt than the one trained
    level: int = 0
    stages: tuple[str, ...] = ()


class DataChoice(Section):
    """The samples to train on, and the sets to test on."""

    train: Pictures
    test: tuple[TestPictures, ...] = ()
    threads: Whole = 0  # decoding threads; 0: one a core
    cache: Literal["none", "gpu"] = "none"


class Solver(Section):
    """Caffe's SolverParameter: names, meanings and defaults are Caffe's.

    label_smoothing and warmup are not Caffe's, and off by default.
    """

    type: Literal["SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam"] = "SGD"
    base_lr: Amount
    lr_policy: Literal["fixed", "step", "exp", "inv", "multistep", "poly", "sigmoid"] = "fixed"
    gamma: Amount | None = None
    power: float | None = None
    stepsize: Positive | None = None
    stepvalue: tuple[Positive, ...] = ()
    max_iter: Whole
    iter_size: Positive = 1
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    momentum2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    rms_decay: Annotated[float, Field(ge=0, lt=1)] = 0.99
    delta: Amount = 1e-8
    weight_decay: Amount = 0.0
    regularization_type: Literal["L1", "L2"] = "L2"
    clip_gradients: Annotated[float, Field(gt=0)] | None = None
    display: Whole = 0
    average_loss: Positive = 1
    test_interval: Whole = 0
    test_initialization: bool = True
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    warmup: Whole = 0

    def faults(self) -> Sequence[str]:
        needed = {
            "step": ("gamma", "stepsize"),
            "exp": ("gamma",),
            "inv": ("gamma", "power"),
            "multistep": ("gamma", "stepvalue"),
            "poly": ("power",),
            "sigmoid": ("gamma", "stepsize"),
        }.get(self.lr_policy, ())
        found = [f"{key}: lr_policy {self.lr_policy} needs it" for key in needed if getattr(self, key) in (None, ())]
        if list(self.stepvalue) != sorted(set(self.stepvalue)):
            found.append("stepvalue: must rise")
        if self.type in ("AdaGrad", "RMSProp") and self.momentum:
            found.append(f"momentum: {self.type} has none; leave it out")
        return found


class Speed(Section):
    """How the same training is computed; `auto` picks what is right for the device. No key changes what is computed.

    What `auto` picks is in `trtdream.train.compute`, with what was measured; `benchmarks/train.py` measures each alone.
    """

    channels_last: Switch = "auto"
    fused_update: Switch = "auto"
    compile: Switch = "auto"
    cuda_graph: Switch = "auto"
    merge_branches: Switch = "auto"  # an inception module's 1 x 1 convolutions of one value as one
    space_to_depth: Switch = "auto"  # a strided convolution on the picture as one of stride 1 on more channels
    split_groups: Switch = "auto"  # a grouped convolution as one convolution a group
    weight_first: Switch = "auto"  # an inner product with the weights as the left factor
    triton_lrn: Switch = "auto"  # not measured yet, so `auto` is off
    triton_max_pool: Switch = "auto"  # not measured yet, so `auto` is off


class Run(Section):
    """Where a run lies and how it is kept.

    On a CPU a resumed run has the bits of one that nothing stopped; on a GPU only under `deterministic`, a slower way.
    """

    folder: Path
    seed: Whole = 0
    device: str = "auto"
    deterministic: bool = False
    snapshot: Whole = 0
    snapshot_after_train: bool = True
    keep: Positive = 3


class Recipe(Section):
    """All of a training run."""

    net: NetChoice
    data: DataChoice
    solver: Solver
    precision: Literal["auto", "float32", "tf32", "bf16"] = "float32"
    speed: Speed = Speed()
    run: Run

    def faults(self) -> Sequence[str]:
        if self.solver.test_interval and not self.data.test:
            return ["data.test: solver.test_interval is set, so there must be a set to test on"]
        return ()
