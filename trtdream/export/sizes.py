"""The batch sizes an export is for."""

from __future__ import annotations

from dataclasses import dataclass

from trtdream.errors import UsageError


@dataclass(frozen=True)
class Batch:
    """The least, the usual and the greatest batch; the axis is dynamic if they differ."""

    least: int
    usual: int
    greatest: int

    @property
    def dynamic(self) -> bool:
        return self.least != self.greatest

    def __str__(self) -> str:
        return f"{self.least}-{self.usual}-{self.greatest}" if self.dynamic else str(self.usual)

    @classmethod
    def parse(cls, text: str) -> Batch:
        """`8`, or `1:64:256`.

        Raises:
            UsageError: it is neither, or the sizes do not rise.
        """
        parts = text.split(":")
        if len(parts) not in (1, 3) or not all(part.isdigit() for part in parts):
            raise UsageError(f"--batch {text}: one size (8) or least:usual:greatest (1:64:256) is wanted")
        sizes = [int(part) for part in parts] * (3 if len(parts) == 1 else 1)
        if not 1 <= sizes[0] <= sizes[1] <= sizes[2]:
            raise UsageError(f"--batch {text}: the sizes must be positive and rise")
        return cls(*sizes)
