"""Blobs and gradients of a network, as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch

from trtdream.console import say
from trtdream.errors import InputRefused, UsageError
from trtdream.files import read_file, write_file
from trtdream.net.graph import connect
from trtdream.net.kind import Phase
from trtdream.runtime.image import load_image
from trtdream.runtime.model import Model
from trtdream.runtime.preprocess import preprocess


def load_inputs(source: Path, model: Model, phase: Phase = Phase.TEST) -> dict[str, np.ndarray]:
    """Input blobs by name, float32, from a picture, an .npy (the first input) or an .npz (inputs by key).

    Raises:
        UsageError: no such file, an input that the network has not.
        InputRefused: no readable picture or array.
    """
    names = connect(model.net.for_phase(phase)).inputs
    content = read_file(source)
    if content.startswith(b"\x93NUMPY"):
        array = _numbers(_load(content, source), source)
        return {names[0]: array[None] if array.ndim == 3 else array}
    if not content.startswith(b"PK"):
        if model.assumption:
            say(model.assumption)
        return {names[0]: preprocess(load_image(source), model.pictures)[None]}
    arrays = _load(content, source)
    inputs = {key.replace("|", "/"): _numbers(arrays[key], source) for key in arrays.files}
    if unknown := sorted(set(inputs) - set(names)):
        raise UsageError(f"{source}: {model.net.name} has no input {', '.join(unknown)}; it has {', '.join(names)}")
    return inputs


def compute(
    model: Model,
    inputs: Mapping[str, np.ndarray],
    blobs: Sequence[str],
    gradient_of: str | None = None,
    phase: Phase = Phase.TEST,
    device: str = "cpu",
) -> dict[str, np.ndarray]:
    """Blobs by name, "/" as "|", and the gradient of half the squared norm of the value at a layer.

    The gradient is taken with respect to the first input and stands under "grad|LAYER". It is the value before an
    in-place ReLU if the layer is the convolution, as in the original DeepDream.

    Raises:
        UsageError: no such blob or layer, or an input that is needed and not given.
        InputRefused: the weights or shapes do not fit.
    """
    graph = connect(model.net.for_phase(phase))
    wanted = {name: graph.blob(name) for name in blobs}
    end = graph.at_layer(gradient_of) if gradient_of is not None else None
    until = [*wanted.values(), *([end] if end else [])]
    shapes = {name: tuple(array.shape) for name, array in inputs.items()}
    module = model.module(until, phase, shapes, device)
    tensors = {name: torch.from_numpy(array).to(device) for name, array in inputs.items()}
    data = tensors[graph.inputs[0]] if graph.inputs[0] in tensors else next(iter(tensors.values()))
    data.requires_grad_(end is not None)
    with torch.set_grad_enabled(end is not None):
        values = module(tensors, until)
    found = {name.replace("/", "|"): _array(values[value]) for name, value in wanted.items()}
    if end is not None:
        objective = 0.5 * (values[end] * values[end]).sum()
        if not objective.requires_grad:
            raise UsageError(f"{gradient_of}: does not depend on {graph.inputs[0]}, so it has no gradient to it")
        found[f"grad|{gradient_of}".replace("/", "|")] = _array(torch.autograd.grad(objective, data)[0])
    return found


def save_features(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an .npz, whole or not at all."""
    buffer = BytesIO()
    np.savez(buffer, **dict(arrays))  # type: ignore[arg-type]
    write_file(path, buffer.getvalue())


def _load(content: bytes, source: Path) -> Any:
    """The array of an .npy, or the arrays of an .npz by key."""
    try:
        return np.load(BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, BadZipFile, OSError) as error:
        raise InputRefused(f"{source}: is no readable array file, or is cut short ({error})") from error


def _numbers(array: np.ndarray, source: Path) -> np.ndarray:
    if array.dtype.kind not in "fiub" or array.size == 0:
        raise InputRefused(f"{source}: holds {array.dtype} of shape {array.shape}, numbers are wanted")
    return np.ascontiguousarray(array, np.float32)


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().float().cpu().contiguous().numpy()
