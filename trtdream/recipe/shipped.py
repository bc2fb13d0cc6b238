"""The recipes that come with trtdream."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

from trtdream.errors import UsageError

_HERE = Path(__file__).resolve().parent
_PLACES = (_HERE / "shipped", _HERE.parents[1] / "recipes")  # in an installed package; in a clone


def shipped_recipes() -> dict[str, Path]:
    """The files of training recipes by name."""
    return _shipped("*.yaml")


def shipped_dreams() -> dict[str, Path]:
    """The files of dream recipes by name."""
    return _shipped("dream/*.yaml")


def find_any(named: str) -> Path:
    """`find_recipe`, of training and dream recipes alike."""
    return find_shipped(named, {**shipped_recipes(), **shipped_dreams()}, "recipe")


def find_recipe(named: str) -> Path:
    """The file that a user means: a path, or the name of a shipped recipe.

    Raises:
        UsageError: neither; the nearest names are offered.
    """
    return find_shipped(named, shipped_recipes(), "recipe")


def find_shipped(named: str, shipped: Mapping[str, Path], what: str) -> Path:
    """The file that a user means: a path, or the name of one of `shipped`.

    Raises:
        UsageError: neither; the nearest names are offered.
    """
    path = Path(named)
    if path.is_file():
        return path
    if path.suffix in ("", ".yaml") and path.stem in shipped:
        return shipped[path.stem]
    near = get_close_matches(path.stem, shipped, n=2)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(shipped)}"
    raise UsageError(f"{named}: neither a file nor a shipped {what}; {hint}")


def _shipped(pattern: str) -> dict[str, Path]:
    folder = next((place for place in _PLACES if place.is_dir()), None)
    return {path.stem: path for path in sorted(folder.glob(pattern))} if folder else {}


def purpose(path: Path) -> str:
    """What a shipped recipe says of itself: its first comment line."""
    with path.open() as file:
        return file.readline().lstrip("# ").strip()
