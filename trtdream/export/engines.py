"""The folder of exported files: what is in it, and the fastest of it for a model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from trtdream.console import say
from trtdream.errors import InputRefused, TrtdreamError, UsageError
from trtdream.export.front import IMAGES
from trtdream.export.onnx_net import GraphOptions, onnx_from_model
from trtdream.export.sizes import Batch
from trtdream.runtime.cuda import ask_cuda
from trtdream.runtime.engine_trust import NO_MANIFEST, misfit
from trtdream.runtime.manifest import Manifest, check_file, manifest_path, read_manifest
from trtdream.runtime.model import Model
from trtdream.runtime.runner import Classifier, Runner
from trtdream.runtime.runner_onnx import OnnxRunner

ENGINES = Path("engines")
"""Where exports lie, in the folder the command runs in."""

_BATCH = 8
_FASTEST_FIRST = ("int8", "fp8", "fp16", "bf16", "tf32", "fp32")


def list_engines(folder: Path = ENGINES) -> list[Manifest]:
    """The manifests of a folder, by name; one that cannot be read is said and left out."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(read_manifest(path))
        except (InputRefused, UsageError) as error:
            say(f"{error}")
    return found


def find_engine(name: str, folder: Path = ENGINES) -> tuple[Path, Manifest]:
    """An exported file by its path, its name in the folder, or a part of it that only one has.

    Raises:
        UsageError: none or several.
        InputRefused: a file without a manifest.
    """
    direct = Path(name)
    if direct.is_file():
        if not manifest_path(direct).is_file():
            raise InputRefused(f"{direct}: {NO_MANIFEST}")
        return direct.parent, read_manifest(direct)
    matching = [one for one in list_engines(folder) if name in one.file]
    exact = [one for one in matching if name in (one.file, one.file.rpartition(".")[0])]
    if len(exact or matching) != 1:
        names = ", ".join(one.file for one in matching) or "`trtdream engines ls` shows what there is"
        raise UsageError(f"{name}: {'several are' if matching else 'nothing in engines/ is'} called so: {names}")
    return folder, (exact or matching)[0]


def fastest_classifier(
    model: Model, folder: Path = ENGINES, device: str = "cpu", precision: str | None = None
) -> Classifier:
    """What classifies fastest here: an engine of this network and these weights, else ONNX Runtime, else torch.

    For ONNX Runtime the graph is written from the network in a moment, with the LRN that CPUs are fast at. A file of
    lower precision is used only if it is an engine, or if its precision is asked for.

    Args:
        device: "cpu", "cuda" or "cuda:N"; engines run on the first GPU.
        precision: only a verified file of this precision, as `int8`.

    Raises:
        UsageError: no verified file of the precision asked for.
        InputRefused: the network is no classifier, or the file was changed.
    """
    model.probabilities()
    fitting = [one for one in list_engines(folder) if _is_of(one, model) and precision in (None, one.precision)]
    fitting.sort(key=lambda one: _FASTEST_FIRST.index(one.precision))
    if device.startswith("cuda") and (classifier := _from_engine(folder, fitting)):
        return classifier
    if precision is None:
        return replace(_from_network(model, device), instead=_why_no_engine(folder, device))
    for one in fitting:
        if not one.is_engine:
            check_file(folder / one.file, one)
            return _classifier(OnnxRunner(folder / one.file), one)
    raise UsageError(f"no verified {precision} export of this network in {folder}: trtdream export --{precision} first")


def chosen_classifier(model: Model, folder: Path, one: Manifest) -> Classifier:
    """An exported file that a person chose, engine or ONNX, verified or not.

    Raises:
        UsageError: it is of another network, or takes no blobs.
        InputRefused: it was changed, or is not for this machine.
    """
    if (one.network, one.weights_sha256) != (model.net.name, model.weights.sha256):
        raise UsageError(f"{one.file}: came from {one.network} with {one.weights}; give those with --net and --weights")
    if IMAGES in one.inputs or len(one.inputs) != 1:
        raise UsageError(f"{one.file}: takes {', '.join(one.inputs)}; `trtdream classify` prepares pictures itself")
    if not one.passed:
        say(f"{one.file}: has not been verified; `trtdream verify {folder / one.file}` does it")
    if one.is_engine:
        from trtdream.runtime.runner_tensorrt import TensorRTRunner

        return _classifier(TensorRTRunner(folder / one.file), one)
    check_file(folder / one.file, one)
    return _classifier(OnnxRunner(folder / one.file), one)


def _is_of(one: Manifest, model: Model) -> bool:
    same = one.network == model.net.name and one.weights_sha256 == model.weights.sha256
    return same and one.passed and IMAGES not in one.inputs and one.outputs in ((model.probabilities()[0],), ("prob",))


def _from_engine(folder: Path, fitting: list[Manifest]) -> Classifier | None:
    gpus = ask_cuda().gpus
    for one in fitting:
        if one.is_engine and (fault := misfit(one, gpus)):
            say(f"{one.file} is not used: {fault}; again: {one.command}")
        elif one.is_engine:
            from trtdream.runtime.runner_tensorrt import TensorRTRunner

            return _classifier(TensorRTRunner(folder / one.file), one)
    return None


def _why_no_engine(folder: Path, device: str) -> str:
    if device.startswith("cuda"):
        return f"no engine of this network in {folder}: `trtdream export --fp16` makes one"
    return "" if ask_cuda().gpus else "no GPU here for an engine"


def _classifier(runner: Runner, one: Manifest) -> Classifier:
    least, usual, greatest = one.batch
    return Classifier(runner, one.outputs[0], usual, fixed=least == greatest)


def _from_network(model: Model, device: str) -> Classifier:
    runner: Runner
    try:
        graph = onnx_from_model(model, GraphOptions(Batch(1, _BATCH, _BATCH), lrn_as_convolution=True))
        runner = OnnxRunner(graph, device)
    except TrtdreamError as error:
        from trtdream.runtime.runner_torch import TorchRunner

        say(f"torch classifies, ONNX Runtime does not: {error}")
        runner = TorchRunner(model, device=device)
    return Classifier(runner, runner.outputs[0], _BATCH)


def remove(folder: Path, manifest: Manifest) -> list[Path]:
    """Delete an exported file, its manifest and what lies beside it for it alone; gives what was deleted."""
    file = folder / manifest.file
    beside = [file.with_name(f"{file.name}.data"), file.with_name(f"{file.stem}.mean.npy")]
    gone = [path for path in (file, *(beside if not manifest.is_engine else []), manifest_path(file)) if path.exists()]
    for path in gone:
        path.unlink()
    return gone
