"""Plans that trtdream did not build, which a person says may be run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trtdream import __version__
from trtdream.console import say
from trtdream.errors import InputRefused
from trtdream.files import sha256
from trtdream.runtime.cuda import ask_cuda
from trtdream.runtime.manifest import Built, Manifest, manifest_path, write_manifest
from trtdream.runtime.model import Model
from trtdream.runtime.tensorrt import this_platform

if TYPE_CHECKING:
    from trtdream.runtime.runner_tensorrt import EngineTensor


def trust_plan(path: Path, model: Model) -> None:
    """Load a plan without a manifest, and write one: its hash, what it takes, where it may run, who vouches for it.

    A plan with a manifest is left to that; one that was changed since is not trusted again.

    Raises:
        InputRefused: it does not load here, or is no form of the network.
        TrtdreamError: no GPU, no TensorRT.
    """
    if manifest_path(path).exists():
        return
    from trtdream.runtime.runner_tensorrt import TensorRTRunner, first_library

    with TensorRTRunner(path, trust=True) as run:
        library, gpu = first_library(path), ask_cuda().gpus[0]
        built = Built(library.name, library.version, gpu.name, gpu.capability, this_platform(), trusted=True)
        write_manifest(path.parent, trusted_manifest(path, run.tensors, model, built))
    say(f"{path.name}: trusted; its SHA-256, {library.name} {library.version} and {gpu.name} are in its manifest now")


def trusted_manifest(path: Path, tensors: Sequence[EngineTensor], model: Model, built: Built) -> Manifest:
    """The manifest of a plan with these inputs and outputs, of a model that a person says it is a form of.

    Raises:
        InputRefused: it takes no batch of images or other blobs.
    """
    inputs = [tensor for tensor in tensors if tensor.is_input]
    if not inputs or not all(tensor.shape for tensor in inputs):
        raise InputRefused(f"{path}: has no input, or one without a batch axis")
    first = inputs[0]
    return Manifest(
        file=path.name,
        sha256=sha256(path),
        onnx="",
        onnx_sha256="",
        network=model.net.name,
        weights=Path(model.weights.origin).name,
        weights_sha256=model.weights.sha256,
        precision="own",
        batch=(first.least[0], first.usual[0], first.greatest[0]),
        inputs={tensor.name: _shape(tensor) for tensor in inputs},
        outputs=tuple(tensor.name for tensor in tensors if not tensor.is_input),
        output_shapes={tensor.name: _shape(tensor) for tensor in tensors if not tensor.is_input},
        preprocess=None,
        labels=model.labels,
        command="trtdream export (it was built elsewhere)",
        trtdream=__version__,
        built=built,
    )


def _shape(tensor: EngineTensor) -> str:
    return "x".join("N" if size < 0 else str(size) for size in tensor.shape)
