"""The classic DeepDream (google/deepdream, 2015), and what grew from it."""

from __future__ import annotations

import numpy as np

from trtdream.dream.computing import Computing
from trtdream.dream.dreamer import Dreamer
from trtdream.dream.watch import Dream, Watch
from trtdream.recipe.dream_schema import Settings
from trtdream.runtime.model import Model


def dream(
    model: Model,
    picture: np.ndarray,
    settings: Settings,
    computing: Computing | None = None,
    watch: Watch | None = None,
) -> Dream:
    """Let a network dream into one picture (H x W x 3 uint8 RGB, of any size); for several, keep a `Dreamer`.

    Raises: as `Dreamer` and `Dreamer.dream`.
    """
    return Dreamer(model, settings, computing).dream(picture, watch)
