"""A drawing of where a picture bears on what a dream makes grow."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter


def heat(picture: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """The picture, dimmed and grey, under the strength of its pixels, H x W, as heat: black, red, yellow, white.

    Strengths are smoothed over a hundredth of the picture's side, and white is reached at their 99.5th percentile.
    """
    smooth = max(picture.shape[:2]) / 100
    rough = Image.fromarray(np.rint(255 * _stretched(strength)).astype(np.uint8))
    level = _stretched(np.asarray(rough.filter(ImageFilter.GaussianBlur(smooth)), np.float32))[..., None]  # H x W x 1
    colours = (3 * level - np.arange(3)).clip(0, 1) * 255  # red comes first, then green, then blue
    grey = np.asarray(Image.fromarray(picture).convert("L"), np.float32)[..., None]
    drawn: np.ndarray = np.rint(0.35 * grey * (1 - level) + colours).clip(0, 255).astype(np.uint8)
    return drawn


def _stretched(strength: np.ndarray) -> np.ndarray:
    stretched: np.ndarray = (strength / (np.percentile(strength, 99.5) or 1.0)).clip(0, 1)
    return stretched
