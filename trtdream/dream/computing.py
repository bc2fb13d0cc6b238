"""On what, and how exactly, a dream is computed: none of it is meant to change the picture to the eye."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trtdream.errors import UsageError

if TYPE_CHECKING:
    import torch

PRECISIONS = ("float32", "bf16", "fp16")

GRADIENT_OFF = {"float32": 0.0, "fp16": 0.1, "bf16": 0.25}
"""How far a step's gradient may be from float32's, as relative L2, of GoogLeNet's layer 68.

Measured on a CPU: 0.055 to 0.069 in fp16, 0.18 to 0.21 in bf16. Max pools choose among rounded numbers: where another
one wins, its whole gradient goes elsewhere.
"""


@dataclass(frozen=True)
class Computing:
    """Where and how.

    Attributes:
        device: `cpu`, `cuda` or `cuda:N` (see `trtdream.runtime.device.pick_device`).
        precision: of the network; picture and gradient are float32 in any case. Halves are faster on a GPU, and only if
            asked for: `note` says how far from float32 they lead.
        tile: the longest side, in pixels, of what the network sees at once; 0 for the whole picture.
        memory: bytes that the dream may take; picks the tile. 0 for no limit.
        fast: whether a GPU's steps are recorded once an octave and replayed (the plain path is what this is
            tested against).
    """

    device: str = "cpu"
    precision: str = "float32"
    tile: int = 0
    memory: int = 0
    fast: bool = True

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise UsageError(f"--precision {self.precision}: is none of {', '.join(PRECISIONS)}")
        if self.precision == "fp16" and not self.on_gpu:
            raise UsageError("--precision fp16: is for GPUs; on a CPU there are float32 and bf16")
        if self.tile < 0 or self.memory < 0:
            raise UsageError("--tile and --memory: must not be negative")

    @property
    def on_gpu(self) -> bool:
        return self.device.startswith("cuda")

    @property
    def dtype(self) -> torch.dtype:
        """The network's."""
        import torch

        return {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[self.precision]

    @property
    def note(self) -> str:
        """What a person should know of a half precision; "" of float32."""
        if not (off := GRADIENT_OFF[self.precision]):
            return ""
        return f"{self.precision}: a step's gradient is within {off:.0%} of float32's; --precision float32 for that"


def parse_memory(text: str) -> int:
    """Bytes of `4G`, `500M` or a number of bytes.

    Raises:
        UsageError: something else.
    """
    number, unit = (text[:-1], text[-1].upper()) if text and text[-1].isalpha() else (text, "")
    try:
        size = int(float(number) * {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}[unit])
    except (ValueError, KeyError, OverflowError) as error:
        raise UsageError(f"--memory {text}: is a size as 4G or 500M") from error
    if size < 1:
        raise UsageError(f"--memory {text}: must be more than nothing")
    return size
