"""The recipes that come with trtdream."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from trtdream.errors import UsageError

_HERE = Path(__file__).resolve().parent
_PLACES = (_HERE / "shipped", _HERE.parents[1] / "recipes")  # in an installed package; in a clone


def shipped_recipes() -> dict[str, Path]:
    """Their files by name."""
    folder = next((place for place in _PLACES if place.is_dir()), None)
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))} if folder else {}


def find_recipe(named: str) -> Path:
    """The file that a user means: a path, or the name of a shipped recipe.

    Raises:
        UsageError: neither; the nearest names are offered.
    """
    path = Path(named)
    if path.is_file():
        return path
    shipped = shipped_recipes()
    if path.suffix in ("", ".yaml") and path.stem in shipped:
        return shipped[path.stem]
    near = get_close_matches(path.stem, shipped, n=2)
    hint = f"did you mean {' or '.join(near)}?" if near else "`trtdream recipe ls` lists those that are shipped"
    raise UsageError(f"{named}: neither a file nor a shipped recipe; {hint}")


def purpose(path: Path) -> str:
    """What a shipped recipe says of itself: its first comment line."""
    with path.open() as file:
        return file.readline().lstrip("# ").strip()
