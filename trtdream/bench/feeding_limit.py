"""What a batch takes at least, whoever feeds it: its bytes are read and written once, its pictures decoded."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trtdream.bench.limits import Bound, LimitsOf
from trtdream.bench.timing import measure
from trtdream.data.feed import Feed
from trtdream.data.sources import Source
from trtdream.errors import InputRefused

DECODE = "decode"
_LOOKED_AT = 32


@dataclass(frozen=True)
class Least:
    """Of one picture, the mean of some that lie evenly over the source.

    Attributes:
        stored_bytes: as it lies in the source.
        decode_ms: by Pillow's libjpeg-turbo in one thread; 0 for stored pixels.
        limits_of: a device's ceilings.
    """

    stored_bytes: float
    decode_ms: float
    limits_of: LimitsOf

    def bound(self, milliseconds: float, batch_bytes: int, feed: Feed) -> Bound:
        """Hold a batch's time against it; every thread decodes. A GPU's decoder has no ceiling here, only memory."""
        moved = feed.batch * self.stored_bytes + batch_bytes
        where = feed.device if feed.cache == "gpu" else "cpu"  # what is not resident passes through the host's memory
        least = {"memory": moved / self.limits_of(where).bytes_per_s * 1e3}
        if not feed.device.startswith("cuda"):
            least[DECODE] = feed.batch * self.decode_ms / feed.threads
        binding = max(least, key=least.__getitem__)
        return Bound(binding, least[binding] / milliseconds if milliseconds else 0.0)


def least_of(source: Source, limits_of: LimitsOf) -> Least:
    """Looks at some pictures, which are in the page cache afterwards; those that cannot be read are left out."""
    contents = []
    for index in np.linspace(0, len(source) - 1, min(len(source), _LOOKED_AT)).astype(int):
        try:
            contents.append(source.content(int(index))[0])
        except InputRefused:
            continue
    stored = float(np.mean([content.nbytes for content in contents])) if contents else 0.0
    return Least(stored, _decode_ms(contents) if source.stored == "encoded" else 0.0, limits_of)


def _decode_ms(contents: Sequence[np.ndarray]) -> float:
    from PIL import Image, UnidentifiedImageError

    def decode() -> int:
        done = 0
        for content in contents:
            try:
                Image.open(io.BytesIO(content.tobytes())).convert("RGB")
                done += 1
            except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
                continue
        return done

    done = decode()
    return measure(decode, runs=3, warm_up=1).least_ms / done if done else 0.0
