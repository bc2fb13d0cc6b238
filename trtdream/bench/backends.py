"""A network's inference in each backend that is here; each that is not is a row that says why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from trtdream.bench.clock import clock_for
from trtdream.bench.graphs import LIMITS_NAMES, graph_of, input_shape, noise, number_bytes, random_model
from trtdream.bench.limits import Limits, bound_of_all
from trtdream.bench.results import UNMEASURED, Row, per_image, reason
from trtdream.bench.timing import Repeats, Timing, repeat
from trtdream.bench.work import forward_work
from trtdream.errors import TrtdreamError
from trtdream.export.precision import Precision
from trtdream.net.net import Net
from trtdream.net.shapes import infer_shapes
from trtdream.runtime.model import Model
from trtdream.runtime.runner import Runner

if TYPE_CHECKING:
    from trtdream.runtime.runner import Array

TORCH, ONNX_RUNTIME, TENSORRT = "torch", "ONNX Runtime", "TensorRT"


def inference_rows(
    name: str,
    net: Net,
    batch: int,
    device: str,
    repeats: Repeats,
    limits: Limits,
    on_part: Callable[[str], None] = lambda _: None,
) -> Iterator[Row]:
    """A row for each backend and precision, in the order of age.

    Args:
        name: what to call the network.
        on_part: told what is measured next.
    """
    model = random_model(net)
    data = noise(input_shape(model, batch))
    on_gpu = device.startswith("cuda")
    for backend, precision in _CANDIDATES:
        part = f"inference, {backend}, {precision}"
        on_part(f"{name}, {part}")
        try:
            with TemporaryDirectory() as folder, _open(model, backend, precision, batch, device, Path(folder)) as run:
                timing = _time(run, data, device, repeats)
        except UNMEASURED as error:
            yield Row(name, part, None, reason(error))
            continue
        about: dict[str, Any] = {"precision": str(precision), "backend": backend}
        yield Row(
            name,
            part,
            timing,
            extra={**per_image(timing, batch), **about, **share_of_limit(model, batch, precision, timing, limits)},
        )
    if not on_gpu:
        yield Row(name, "inference on a GPU", None, "no GPU here, or --device cpu")


_CANDIDATES = (
    (TORCH, Precision.FP32),
    (ONNX_RUNTIME, Precision.FP32),
    (ONNX_RUNTIME, Precision.INT8),
    (TENSORRT, Precision.FP16),
)


def _open(model: Model, backend: str, precision: Precision, batch: int, device: str, folder: Path) -> Runner:
    if backend == TORCH:
        from trtdream.runtime.runner_torch import TorchRunner

        return TorchRunner(model, device=device)
    if backend == ONNX_RUNTIME:
        from trtdream.runtime.runner_onnx import OnnxRunner

        return OnnxRunner(graph_of(model, precision, batch), device)
    from trtdream.bench.tensorrt_profile import build_here, tensorrt_here

    library = tensorrt_here()
    if device == "cpu":
        raise TrtdreamError("--device cpu was asked for")
    from trtdream.runtime.runner_tensorrt import TensorRTRunner

    return TensorRTRunner(build_here(graph_of(model, precision, batch), precision, library, folder), trust=True)


def _time(run: Runner, data: Any, device: str, repeats: Repeats) -> Timing:
    """Without copies: on a GPU the batch lies there already, and the outputs stay there."""
    given: Mapping[str, Array] = {run.inputs[0]: data}
    if device.startswith("cuda"):
        import torch

        given = {run.inputs[0]: torch.from_numpy(data).to(device)}
    clock = clock_for(device)

    def once() -> dict[str, float]:
        clock.wait()
        start = clock.mark()
        run(given)
        end = clock.mark()
        clock.wait()
        return {"": clock.between(start, end)}

    return repeat(once, repeats)[""]


def share_of_limit(model: Model, batch: int, precision: Precision, timing: Timing, limits: Limits) -> dict[str, Any]:
    """How near a network's inference comes to the machine's ceilings; nothing for a precision without one."""
    name = LIMITS_NAMES[precision]
    if name not in limits.flops_per_s:
        return {}
    layers = infer_shapes(model.graph, {model.graph.inputs[0]: input_shape(model, batch)})
    works = [forward_work(shapes, number_bytes(precision)) for shapes in layers if not shapes.step.layer.kind.is_input]
    return bound_of_all(timing.median_ms, works, name, limits).as_document()
