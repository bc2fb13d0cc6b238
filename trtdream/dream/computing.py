"""On what, and how exactly, a dream is computed: none of it is meant to change the picture to the eye."""

from __future__ import annotations

from dataclasses import dataclass

from trtdream.errors import UsageError

PRECISIONS = {"auto": "", "float32": "", "bf16": "bfloat16", "fp16": "float16"}
"""What may be asked for, and the type in which gradients then go back through convolutions; "" for float32."""


@dataclass(frozen=True)
class Computing:
    """Where and how.

    Attributes:
        device: `cpu`, `cuda` or `cuda:N` (see `trtdream.runtime.device.pick_device`).
        precision: of gradients on their way back through convolutions; what the layers compute, picture and gradient
            are float32 in any case. auto: fp16 on a GPU, whose matrix units are for halves, else float32. See
            `trtdream.net.maths.convolution.conv2d_with_narrow_gradient` for how near that is, and why.
        tile: the longest side, in pixels, of what the network sees at once; 0 for the whole picture.
        memory: bytes that the dream may take; picks the tile. 0 for no limit.
        fast: whether a GPU's steps are recorded once an octave and replayed (the plain path is what this is
            tested against).
    """

    device: str = "cpu"
    precision: str = "auto"
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

    def gradients(self, exactly: bool = False) -> str:
        """The type, by torch's name, in which gradients go back through convolutions; "" for float32.

        Args:
            exactly: the dream is held to numbers; half precision must then be asked for.
        """
        if self.precision == "auto" and self.on_gpu and not exactly:
            return PRECISIONS["fp16"]
        return PRECISIONS[self.precision]


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
