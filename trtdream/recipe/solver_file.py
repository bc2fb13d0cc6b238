"""A Caffe solver.prototxt, with the net it trains, as a recipe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trtdream.caffe.prototxt import read_prototxt
from trtdream.caffe.solver import Mode, NetState, SolverFile, read_solver
from trtdream.errors import UsageError
from trtdream.net.kind import Phase
from trtdream.net.kinds.inputs import Data, ImageData
from trtdream.net.net import Layer, Net
from trtdream.net.parameters import Transformation

if TYPE_CHECKING:
    from trtdream.recipe.load import Draft

_SAME = (
    *("base_lr", "lr_policy", "gamma", "power", "stepsize", "stepvalue", "max_iter", "iter_size"),
    *("momentum", "momentum2", "rms_decay", "delta", "weight_decay", "regularization_type"),
    *("display", "average_loss", "test_interval", "test_initialization"),
)


def draft_from_solver(path: Path, root: Path | None) -> Draft:
    """The recipe that a solver file and its net's data layers describe.

    `snapshot_prefix` becomes the run's folder; without a `random_seed` the seed is 0, where Caffe takes the clock's.

    Raises:
        UsageError: no such file or net; nets and test_iter that do not go together.
        InputRefused: a file that cannot be read; data layers that no recipe can feed.
    """
    from trtdream.recipe.load import Draft

    solver, written = read_solver(path)
    nets = _Nets(path, root, solver, written)
    train_path = nets.train
    net = nets.read(train_path)
    state = solver.train_state
    train = _pictures(net.for_phase(Phase.TRAIN, state.level, state.stage), train_path)
    values: dict[str, Any] = {
        "net": {"path": train_path, **_state(state)},
        "data": {"train": train, "test": list(_tests(solver, nets))},
        "solver": _rule(solver),
        "run": _run(solver, path),
    }
    if len(solver.weights) == 1:
        values["net"]["weights"] = solver.weights[0]
    elif solver.weights:
        raise UsageError(f"{path}: weights: one file can be started from, not {len(solver.weights)}")
    return Draft(str(path), path.parent, values)


class _Nets:
    """The nets that a solver names, found and read."""

    def __init__(self, path: Path, root: Path | None, solver: SolverFile, written: Net | None) -> None:
        self._path, self._root, self._solver, self._written = path, root, solver, written

    @property
    def train(self) -> Path:
        named = self._solver.train_net or self._solver.net
        if not named and self._written is None:
            raise UsageError(f"{self._path}: names no net to train (net, train_net or net_param)")
        return self._found(named) if named else self._path

    def tests(self) -> list[Path]:
        """One for each test_iter: Caffe takes those of test_net first, then `net` for the rest."""
        own = [self._found(name) for name in self._solver.test_net]
        common = self._found(self._solver.net) if self._solver.net else self._path if self._written else None
        rest = len(self._solver.test_iter) - len(own)
        if rest < 0 or (rest and common is None):
            raise UsageError(f"{self._path}: {len(self._solver.test_iter)} test_iter for {len(own)} test nets")
        return own + ([common] * rest if common else [])

    def read(self, path: Path) -> Net:
        return self._written if path == self._path and self._written else read_prototxt(path)

    def _found(self, name: str) -> Path:
        from trtdream.recipe.load import find_path

        path = find_path(Path(name), self._path.parent, self._root)
        if not path.exists():
            raise UsageError(f"{self._path}: net {name}: no such file; --root FOLDER says where its paths start")
        return path


def _rule(solver: SolverFile) -> dict[str, Any]:
    values = {key: getattr(solver, key) for key in _SAME}
    values["type"] = solver.rule
    if solver.clip_gradients >= 0:
        values["clip_gradients"] = solver.clip_gradients
    if not solver.test_iter:
        values["test_interval"] = 0
    return {key: value for key, value in values.items() if value is not None and value != ()}


def _run(solver: SolverFile, path: Path) -> dict[str, Any]:
    device = "cpu" if solver.solver_mode is Mode.CPU else "auto" if not solver.device_id else f"cuda:{solver.device_id}"
    return {
        "folder": solver.snapshot_prefix or path.with_suffix(""),
        "seed": max(solver.random_seed, 0),
        "device": device,
        "snapshot": solver.snapshot,
        "snapshot_after_train": solver.snapshot_after_train,
    }


def _tests(solver: SolverFile, nets: _Nets) -> Iterator[dict[str, Any]]:
    for index, (path, iterations) in enumerate(zip(nets.tests(), solver.test_iter, strict=True)):
        state = solver.test_state[index] if index < len(solver.test_state) else NetState()
        net = nets.read(path).for_phase(Phase.TEST, state.level, state.stage)
        own = {} if path == nets.train else {"net": path}
        yield {**_pictures(net, path), "iterations": iterations, **_state(state), **own}


def _state(state: NetState) -> dict[str, Any]:
    stages = [stage for stage in state.stage if stage]
    return ({"level": state.level} if state.level else {}) | ({"stages": stages} if stages else {})


def _pictures(net: Net, path: Path) -> dict[str, Any]:
    """The data section of the one data layer of a net of one phase."""
    layer = data_layer(net.layers, str(path))
    kind = layer.kind
    assert isinstance(kind, Data | ImageData)
    if kind.transform.force_gray or (isinstance(kind, ImageData) and not kind.is_color):
        raise UsageError(f"{path}: {layer}: pictures are not made grey here: give it a database made with -gray")
    values: dict[str, Any] = {"source": kind.source, "batch": kind.batch_size, "resize": "none"}
    if isinstance(kind, ImageData):
        values |= {"shuffle": kind.shuffle, "root": kind.root_folder or "."}  # Caffe's lists start where it runs
        if kind.new_height != kind.new_width:
            raise UsageError(f"{path}: {layer}: new_height and new_width differ: pictures are resized to squares here")
        if kind.new_height:
            values |= {"resize": "squash", "size": kind.new_height}
    else:
        values["shuffle"] = False
    return {key: value for key, value in {**values, **_transform(kind.transform)}.items() if value is not None}


def data_layer(layers: Sequence[Layer], origin: str) -> Layer:
    """The data layer that gives pictures and labels.

    Raises:
        UsageError: there is none, there are several, or one that a recipe cannot feed.
    """
    sources = [layer for layer in layers if layer.kind.is_input]
    fed = [layer for layer in sources if isinstance(layer.kind, Data | ImageData)]
    if len(sources) != 1 or len(fed) != 1:
        found = ", ".join(f"{layer.name} ({layer.kind.type_name})" for layer in sources) or "none"
        raise UsageError(f"{origin}: one Data or ImageData layer for each phase is wanted; there is {found}")
    return fed[0]


def _transform(transform: Transformation) -> dict[str, Any]:
    values: dict[str, Any] = {"mirror": transform.mirror, "scale": transform.scale}
    if transform.crop_size:
        values["crop"] = transform.crop_size
    if transform.mean_file:
        values["mean_file"] = transform.mean_file
    if transform.mean_value:
        values["mean_value"] = list(transform.mean_value)
    return values
