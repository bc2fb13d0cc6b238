"""Reading recipes: YAML or a Caffe solver file, `key=value` on top, all faults at once with their places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from trtdream.errors import UsageError
from trtdream.files import read_file
from trtdream.recipe.schema import Recipe, Section

S = TypeVar("S", bound=Section)

Place = tuple[str | int, ...]
"""Where in a recipe: ("data", "test", 0, "batch")."""


@dataclass
class Draft:
    """A recipe as it was written, not yet checked: values, and where each key came from."""

    origin: str
    folder: Path
    values: dict[str, Any] = field(default_factory=dict)
    places: dict[Place, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def set(self, place: Place, value: Any, where: str) -> None:
        """Set one value, making the sections on the way to it."""
        _set(self.values, place, value)
        self.places[place] = where


def load_recipe(path: Path, overrides: Sequence[str] = (), root: Path | None = None) -> Recipe:
    """A recipe, from a YAML file or a solver.prototxt (what its data layers say becomes the recipe's data).

    Args:
        overrides: `solver.base_lr=0.001`, `data.test.0.batch=10`; values are YAML.
        root: where relative paths start; else they are tried from the working directory, then from the file's folder.

    Raises:
        UsageError: no such file, or a recipe with faults: all of them, each with its place.
        InputRefused: a solver or net file that cannot be read.
    """
    draft = read_draft(path, root)
    for given in overrides:
        override(draft, given)
    return check(draft, root)


def read_draft(path: Path, root: Path | None = None) -> Draft:
    """The file's values, unchecked."""
    if path.suffix == ".prototxt":
        from trtdream.recipe.solver_file import draft_from_solver

        _text(path)
        return draft_from_solver(path, root)
    return read_yaml(path, Recipe)


def read_yaml(path: Path, schema: type[Section]) -> Draft:
    """The values of a YAML file that shall become a `schema`, unchecked."""
    text = _text(path)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict) or node is None:
        raise UsageError(f"{path}: is no recipe: its sections are {', '.join(schema.model_fields)}")
    draft = Draft(str(path), path.parent, values)
    _note_lines(node, (), draft)
    return draft


def check(draft: Draft, root: Path | None = None) -> Recipe:
    """The typed recipe of a draft. Raises UsageError with every fault there is."""
    recipe, faults = validated(draft, Recipe)
    if recipe is None:
        count = f"{len(faults)} faults" if len(faults) > 1 else "a fault"
        raise UsageError("\n  ".join([f"{draft.origin}: {count} in this recipe", *faults]))
    return _with_found_paths(recipe, draft.folder, root)


def validated(draft: Draft, schema: type[S]) -> tuple[S | None, list[str]]:
    """The draft as a `schema`, or None and every fault there is, each with its place."""
    faults, made = set(draft.faults), None
    try:
        made = schema.model_validate(draft.values)
    except ValidationError as error:
        faults |= {f"{_where(draft, place)}{what}" for place, what in _faults(error, schema)}
    return (None if faults else made), sorted(faults)


def find_path(path: Path, folder: Path, root: Path | None) -> Path:
    """Where a file named in a recipe lies: under `root`; else from the working directory, else from `folder`."""
    path = path.expanduser()
    if path.is_absolute():
        return path
    if root is not None:
        return root / path
    return path if path.exists() or not (folder / path).exists() else folder / path


def dump(recipe: BaseModel) -> str:
    """A recipe, to train or to dream by, as YAML: every key that differs from its default."""
    values = recipe.model_dump(mode="json", exclude_defaults=True)
    return yaml.safe_dump(values, sort_keys=False, default_flow_style=None, width=110)


def _text(path: Path) -> str:
    try:
        return read_file(path).decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is no text file, so no recipe") from error


def override(draft: Draft, given: str) -> None:
    """Set what `key=value` says. Raises UsageError if it says nothing, or if there is no such place."""
    key, equals, text = given.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"{given!r}: an override is key=value, as in solver.base_lr=0.001")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"{given!r}: {text!r} is no YAML value") from error
    place = tuple(int(part) if part.isdigit() else part for part in key.strip().split("."))
    try:
        draft.set(place, value, f"command line, {given!r}")
    except (TypeError, IndexError, KeyError) as error:
        raise UsageError(f"{given!r}: {draft.origin} has no such place") from error


def _set(values: Any, place: Place, value: Any) -> None:
    for part in place[:-1]:
        if isinstance(values, dict) and values.get(part) is None:
            values[part] = {}
        values = values[part]
    if not isinstance(values, dict | list):
        raise TypeError(place)
    values[place[-1]] = value  # type: ignore[index]


def _note_lines(node: yaml.Node, place: Place, draft: Draft) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner, line = (*place, key.value), f"line {key.start_mark.line + 1}"
            if inner in draft.places:
                draft.faults.append(f"{line}: {'.'.join(map(str, inner))}: is there already, on {draft.places[inner]}")
            draft.places[inner] = line
            _note_lines(value, inner, draft)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            draft.places[(*place, index)] = f"line {value.start_mark.line + 1}"
            _note_lines(value, (*place, index), draft)


def _faults(error: ValidationError, schema: type[Section]) -> list[tuple[Place, str]]:
    found: list[tuple[Place, str]] = []
    for entry in error.errors():
        place, kind = entry["loc"], entry["type"]
        if kind == "extra_forbidden":
            found.append((place, f"unknown key{_nearest(place, schema)}"))
        elif kind == "value_error":
            for fault in str(entry["ctx"]["error"]).split("; "):
                key, _, rest = fault.partition(": ")
                deeper = rest and key.replace(".", "").replace("_", "").isalnum()
                found.append(((*place, *key.split(".")), rest) if deeper else (place, fault))
        elif kind == "missing":
            found.append((place, "is missing"))
        else:
            found.append((place, f"{_lower(entry['msg'])}, not {entry['input']!r}"))
    return found


def _nearest(place: Place, schema: type[Section]) -> str:
    """The keys that the section has, those most like the unknown one first."""
    section: Any = schema
    for part in place[:-1]:
        if isinstance(part, str):
            section = _section_of(section.model_fields[part].annotation)
    near = get_close_matches(str(place[-1]), section.model_fields, n=2, cutoff=0.6)
    return f" (did you mean {' or '.join(near)}?)" if near else f" (there are {', '.join(section.model_fields)})"


def _section_of(annotation: Any) -> Any:
    arguments = getattr(annotation, "__args__", ())
    return next((arm for arm in (annotation, *arguments) if isinstance(arm, type) and issubclass(arm, BaseModel)), None)


def _where(draft: Draft, place: Place) -> str:
    key = ".".join(map(str, place))
    for end in range(len(place), 0, -1):
        if place[:end] in draft.places:
            return f"{draft.places[place[:end]]}: {key}: "
    return f"{key}: "


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]


def _with_found_paths(recipe: Recipe, folder: Path, root: Path | None) -> Recipe:
    """The recipe with the paths of its inputs found; `run.folder`, an output, is from the working directory."""
    run = recipe.run.model_copy(update={"folder": recipe.run.folder.expanduser()})
    recipe = recipe.model_copy(update={"run": run})

    def section(model: BaseModel, skip: tuple[str, ...] = ()) -> BaseModel:
        found: dict[str, Any] = {}
        for key in type(model).model_fields:
            value = getattr(model, key)
            if isinstance(value, BaseModel) and key not in skip:
                found[key] = section(value)
            elif isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
                found[key] = tuple(section(each) for each in value)
            elif isinstance(value, Path) and not _is_name(key, value):
                found[key] = find_path(value, folder, root)
        return model.model_copy(update=found)

    return section(recipe, skip=("run",))  # type: ignore[return-value]


def _is_name(key: str, value: Path) -> bool:
    """Whether `net.weights` is the name of official weights, which are fetched, and no file."""
    from trtdream.weights.official import OFFICIAL

    return key == "weights" and str(value) in {file.name for file in OFFICIAL}


def missing_files(recipe: Recipe) -> Mapping[str, Path]:
    """Files that the recipe names and that are not there, by key."""
    named: dict[str, Path | None] = {"net.path": recipe.net.path, "net.labels": recipe.net.labels}
    if recipe.net.weights is not None and not _is_name("weights", recipe.net.weights):
        named["net.weights"] = recipe.net.weights
    sets = {"data.train": recipe.data.train, **{f"data.test.{i}": each for i, each in enumerate(recipe.data.test)}}
    for key, each in sets.items():
        named |= {f"{key}.{name}": getattr(each, name) for name in ("source", "root", "mean_file")}
    return {key: path for key, path in named.items() if path is not None and not path.exists()}
