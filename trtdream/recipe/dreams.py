"""Dream recipes: a YAML file or none, options and `key=value` on top, all faults at once with their places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from trtdream.errors import InputRefused, UsageError
from trtdream.files import read_file
from trtdream.recipe.dream_schema import Settings
from trtdream.recipe.load import Draft, find_path, override, read_yaml, validated
from trtdream.recipe.shipped import find_shipped, shipped_dreams


def load_dream(path: Path | None, options: Mapping[str, Any], overrides: Sequence[str] = ()) -> Settings:
    """How to dream.

    Args:
        path: a recipe; None for the defaults.
        options: keys as the command line's options gave them; they win over the recipe.
        overrides: `octaves=3`; values are YAML. They win over both.

    Raises:
        UsageError: no such file, or faults: all of them, each with its place.
    """
    draft = read_yaml(path, Settings) if path else Draft("this dream", Path())
    for key, value in options.items():
        draft.set((key,), value, f"--{key.replace('_', '-')}")
    for given in overrides:
        override(draft, given)
    settings, faults = validated(draft, Settings)
    if settings is None:
        if len(faults) == 1:
            raise UsageError(f"{draft.origin}: {faults[0]}")
        raise UsageError("\n  ".join([f"{draft.origin}: {len(faults)} faults", *faults]))
    files = {key: find_path(file, draft.folder, None) for key in ("guide", "mask") if (file := getattr(settings, key))}
    return settings.model_copy(update=files)


def is_dream(path: Path) -> bool:
    """Whether a file holds a dream's recipe, by its keys: a training's has none of them.

    Raises:
        UsageError: no such file, or no YAML.
    """
    return path.suffix != ".prototxt" and bool(set(Settings.model_fields) & set(read_yaml(path, Settings).values))


def describe_dream(settings: Settings) -> dict[str, str | int]:
    """What a dream makes grow, and its octaves and steps."""
    wanted = [*settings.targets, *settings.classes]
    named = [each.name if each.weight == 1 else f"{each.name}:{each.weight:g}" for each in wanted]
    return {
        "dream": " + ".join(named),
        "octaves": len(settings.sizes) or settings.octaves,
        "iterations": settings.iterations,
    }


def find_dream(named: str) -> Path:
    """The dream recipe that a user means: a path, or the name of a shipped one.

    Raises:
        UsageError: neither; the nearest names are offered.
    """
    return find_shipped(named, shipped_dreams(), "dream recipe")


MOST_CHANNELS = 100_000  # more than any layer has: a slip of the finger is not to fill the memory


def parse_channels(text: str) -> list[int]:
    """`0-31,40` as numbers.

    Raises:
        UsageError: something else, a range that runs backwards, or a number that no layer has a channel of.
    """
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise UsageError(f"--channel {text}: numbers and ranges are wanted, as in 0-31,40")
        begin, end = int(first), int(last or first)
        if not begin <= end < MOST_CHANNELS:
            raise UsageError(f"--channel {text}: rising numbers below {MOST_CHANNELS} are wanted, as in 0-31,40")
        found += range(begin, end + 1)
    return found


def read_direction(path: Path) -> list[float]:
    """The numbers of an .npy file, one for each channel.

    Raises:
        UsageError: no such file.
        InputRefused: it holds something else.
    """
    content = read_file(path)
    try:
        numbers = np.load(BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:  # whose words advise to unpickle it
        raise InputRefused(f"{path}: is no .npy file of numbers; one for each channel is wanted") from error
    if numbers.ndim != 1 or numbers.dtype.kind not in "fiu" or not np.isfinite(numbers).all() or not numbers.any():
        raise InputRefused(f"{path}: holds {numbers.dtype} of shape {numbers.shape}; a vector of numbers is wanted")
    return [float(number) for number in numbers]
