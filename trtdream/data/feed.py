"""How batches are made of a source, and what a batch is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from trtdream.data.decoded import OnBad
from trtdream.data.transform import Phase

if TYPE_CHECKING:
    import numpy as np
    import torch


@dataclass(frozen=True)
class Feed:
    """How batches are made of a source."""

    batch: int  # of all ranks together
    phase: Phase = "TRAIN"
    seed: int = 0
    shuffle: bool = True
    rank: int = 0
    world_size: int = 1
    device: str = "cpu"
    threads: int = 2
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    channels_last: bool = False
    cache: Literal["none", "gpu"] = "none"  # gpu: the whole set stays on the device
    on_bad: OnBad = "stop"
    check_files: bool = True  # look at every file's header before the first batch
    classes: int | None = None  # labels must be below
    ahead: int = 2  # finished batches kept ready

    def faults(self) -> list[str]:
        """All that is wrong with these settings; empty when nothing is."""
        checks = {
            f"batch: {self.batch} is no number of samples": self.batch < 1,
            f"batch: {self.batch} cannot be split evenly over {self.world_size} ranks": (
                self.world_size < 1 or self.batch % self.world_size != 0
            ),
            f"rank: {self.rank} of {self.world_size}": not 0 <= self.rank < self.world_size,
            f"threads: {self.threads} is less than 1": self.threads < 1,
            f"ahead: {self.ahead} is less than 1": self.ahead < 1,
        }
        return [fault for fault, present in checks.items() if present]


@dataclass(frozen=True)
class Batch:
    """What data gives train."""

    data: torch.Tensor  # N x C x H x W on the device: (pixel - mean) * scale, BGR
    label: torch.Tensor  # N, int64, on the device
    position: int  # of the first sample of this rank's share in the global stream
    indices: np.ndarray  # N: which samples of the source
