"""`trtdream export`: a network as an ONNX file and, where TensorRT is, as an engine; both verified."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trtdream.cli import app
from trtdream.cli.options import ForceOption, JsonOption, ListRootOption, OfflineOption, WeightsOption
from trtdream.console import print_json, results, say, table
from trtdream.errors import UsageError

if TYPE_CHECKING:
    from trtdream.export.pipeline import EngineRequest, Request
    from trtdream.export.samples import Samples
    from trtdream.runtime.manifest import Manifest
    from trtdream.runtime.model import Model

_PRECISIONS = ("fp32", "tf32", "fp16", "bf16", "int8", "fp8")


@app.command()
def export(
    net: Annotated[str | None, typer.Argument(metavar="[NET|X.onnx]", help="Zoo name, prototxt, bundle, ONNX.")] = None,
    weights: WeightsOption = None,
    fp32: Annotated[bool, typer.Option("--fp32", help="Single precision (the default).")] = False,
    tf32: Annotated[bool, typer.Option("--tf32", help="Single precision, products in TF32.")] = False,
    fp16: Annotated[bool, typer.Option("--fp16", help="Half precision.")] = False,
    bf16: Annotated[bool, typer.Option("--bf16", help="bfloat16 (opset 22, TensorRT 10 or newer).")] = False,
    int8: Annotated[bool, typer.Option("--int8", help="Explicit int8, calibrated on --calibration.")] = False,
    fp8: Annotated[bool, typer.Option("--fp8", help="Explicit float8 E4M3 (opset 19, TensorRT 10 or newer).")] = False,
    batch: Annotated[str, typer.Option("--batch", help="8, or least:usual:greatest.")] = "1:8:64",
    until: Annotated[list[str] | None, typer.Option("--until", metavar="BLOB", help="End at a blob.")] = None,
    preprocess: Annotated[
        bool, typer.Option("--preprocess", help="Take uint8 pictures N x H x W x 3 RGB; mean and layout in the graph.")
    ] = False,
    dynamic_size: Annotated[bool, typer.Option("--dynamic-size", help="Leave height and width open.")] = False,
    lrn: Annotated[str, typer.Option("--lrn", help="auto, operator or convolution: how LRN is written.")] = "auto",
    calibration: Annotated[
        list[Path] | None, typer.Option("--calibration", metavar="PATH", help="Pictures, folders, lists to calibrate.")
    ] = None,
    images: Annotated[
        list[Path] | None,
        typer.Option("--images", metavar="PATH", help="Pictures to verify on; default: bundled ones."),
    ] = None,
    root: ListRootOption = None,
    keep: Annotated[
        list[str] | None,
        typer.Option("--keep", metavar="LAYER", help="Leave a layer unquantised; default: those that cost too much."),
    ] = None,
    sensitivity: Annotated[
        bool, typer.Option("--sensitivity", help="Only print what quantising each layer costs.")
    ] = False,
    folder: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="Where to write.")] = Path("engines"),
    name: Annotated[str | None, typer.Option("--name", help="The files' name; default: the network's.")] = None,
    onnx_only: Annotated[bool, typer.Option("--onnx-only", help="Build no engine.")] = False,
    target: Annotated[
        str | None, typer.Option("--target", help="sm_89: build ahead of time, with TensorRT-RTX.")
    ] = None,
    workspace: Annotated[float | None, typer.Option("--workspace", help="GiB of GPU memory for the build.")] = None,
    level: Annotated[int | None, typer.Option("--level", min=0, max=5, help="Builder optimisation level.")] = None,
    version_compatible: Annotated[bool, typer.Option("--version-compatible", help="For later TensorRTs too.")] = False,
    hardware_compatible: Annotated[
        bool, typer.Option("--hardware-compatible", help="For other GPUs (Ampere on).")
    ] = False,
    build_time: Annotated[float, typer.Option("--build-time", help="Seconds a build may take.")] = 3600.0,
    build_memory: Annotated[float, typer.Option("--build-memory", help="GiB of memory a build may take.")] = 32.0,
    triton: Annotated[Path | None, typer.Option("--triton", help="Also write a Triton model repository there.")] = None,
    offline: OfflineOption = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a network as ONNX and, where TensorRT is, as an engine, and hold both against torch."""
    flags = zip(_PRECISIONS, (fp32, tf32, fp16, bf16, int8, fp8), strict=True)
    chosen = [flag for flag, given in flags if given]
    if len(chosen) > 1:
        raise UsageError(f"--{' --'.join(chosen)}: one precision at a time")
    from trtdream.export.build import Limits

    engine = None
    if not onnx_only:
        engine = _engine_request(
            target,
            workspace=workspace,
            level=level,
            version_compatible=version_compatible,
            hardware_compatible=hardware_compatible,
            limits=Limits(build_time, build_memory),
        )
    quantised = [name for name, given in (("--keep", keep), ("--calibration", calibration)) if given]
    if quantised and not (int8 or fp8):
        raise UsageError(f"{quantised[0]} goes with --int8 or --fp8")
    if net is not None and net.endswith(".onnx"):
        _export_foreign(Path(net), chosen, engine, folder, batch, force, as_json)
        return
    from trtdream.export.onnx_net import GraphOptions
    from trtdream.export.pipeline import Request
    from trtdream.export.precision import Precision
    from trtdream.export.sizes import Batch
    from trtdream.runtime.open_model import open_model

    if lrn not in ("auto", "operator", "convolution"):
        raise UsageError(f"--lrn {lrn}: auto, operator or convolution")
    precision = Precision(chosen[0] if chosen else "fp32")
    banded = None if lrn == "auto" else lrn == "convolution"
    graph = GraphOptions.for_precision(
        precision, Batch.parse(batch), until or (), dynamic_size, banded, front=preprocess
    )
    model = open_model(net, weights, offline)
    stem = name or "-".join([(net and Path(net).stem) or "googlenet", *(until or ()), *["uint8"] * preprocess])
    request = Request(precision, graph, folder, stem, _command(), tuple(keep or ()), force)
    if dynamic_size and engine is not None:
        say("engines have one size: none is built with --dynamic-size, ONNX Runtime runs the ONNX file")
        engine = None
    calibrating, verifying = _samples(model, calibration, images, root)
    if sensitivity:
        _print_sensitivity(model, request, calibrating, as_json)
        return
    _export(model, request, engine, calibrating, verifying, triton, as_json)


def _export(
    model: Model,
    request: Request,
    engine: EngineRequest | None,
    calibrating: Samples | None,
    verifying: Samples,
    triton: Path | None,
    as_json: bool,
) -> None:
    from trtdream.export.pipeline import export_engine, export_onnx, write_graph

    made = [export_onnx(model, request, write_graph(model, request, calibrating), verifying)]
    if engine is not None:
        made.append(export_engine(model, request, engine, made[0], verifying))
    if triton is not None:
        from trtdream.export.triton import write_repository
        from trtdream.export.triton_jpeg import write_ensemble

        home = write_repository(triton, request.folder, made[-1], request.force)
        homes = [home, *write_ensemble(triton, home.name, made[-1], model.preprocess)]
        say(f"Triton model repository {triton}: {', '.join(one.name for one in homes)}")
    _show(request.folder, made, as_json)


def _samples(
    model: Model, calibration: list[Path] | None, images: list[Path] | None, root: Path | None
) -> tuple[Samples | None, Samples]:
    """Pictures to calibrate with, and others to verify on."""
    from trtdream.export.samples import bundled_samples, check_disjoint, load_samples, split_samples

    if calibration and images:
        check_disjoint(calibration, images, root)
    calibrating = load_samples(model, calibration, root, "calibration pictures") if calibration else None
    if images:
        return calibrating, load_samples(model, images, root, "pictures")
    if calibrating is not None:
        return split_samples(calibrating)
    return None, bundled_samples(model)


def _engine_request(target: str | None, **options: Any) -> EngineRequest | None:
    """What to build with; None, and one line that says why, where nothing can."""
    from trtdream.export.pipeline import EngineRequest
    from trtdream.runtime.cuda import ask_cuda
    from trtdream.runtime.tensorrt import installed, library_for

    cuda = ask_cuda()
    if target is not None and not (target.startswith("sm_") and target[3:].isdigit() and len(target) > 4):
        raise UsageError(f"--target {target}: sm_89 and the like are wanted")
    capability = f"{target[3:-1]}.{target[-1]}" if target else None
    library = library_for(cuda.gpus, capability)
    if library is not None and library.is_rtx and (options["version_compatible"] or options["hardware_compatible"]):
        raise UsageError("TensorRT-RTX builds for one version and the GPUs named with --target: no compatible engines")
    if library is not None:
        gpu = None if capability else cuda.gpus[0]
        return EngineRequest(library, gpu, capability or cuda.gpus[0].capability, **options)
    rtx = any(one.is_rtx for one in installed())
    what = "no TensorRT" if cuda.gpus else f"no GPU ({cuda.trouble})"
    ahead = "; TensorRT-RTX builds ahead of time with --target sm_89" if rtx else ""
    say(f"{what} here: no engine is built, ONNX Runtime runs the ONNX file{ahead}")
    return None


def _export_foreign(
    path: Path, chosen: list[str], engine: EngineRequest | None, folder: Path, batch: str, force: bool, as_json: bool
) -> None:
    from trtdream.export.foreign import compile_foreign
    from trtdream.export.sizes import Batch

    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    if chosen:
        raise UsageError(f"{path}: is compiled in the types it has; --{chosen[0]} goes with networks")
    if engine is None:
        raise UsageError(f"{path}: is ONNX already, and there is nothing here that makes an engine of it")
    _show(folder, [compile_foreign(path, engine, folder, Batch.parse(batch), _command(), force)], as_json)


def _print_sensitivity(model: Model, request: Request, calibrating: Samples | None, as_json: bool) -> None:
    from trtdream.export.calibrate import sensitivity
    from trtdream.export.onnx_net import onnx_from_model
    from trtdream.export.precision import FORMS

    kind = FORMS[request.precision].quantised
    if kind is None or calibrating is None:
        raise UsageError("--sensitivity goes with --int8 or --fp8, and with --calibration")
    found = sensitivity(onnx_from_model(model, request.graph), kind, calibrating.blobs)
    if as_json:
        print_json([vars(one) for one in found])
        return
    listed = table("layer quantised alone", "cosine", "relative error", right=("cosine", "relative error"))
    for one in found:
        listed.add_row(one.layer, f"{one.cosine:.6f}", f"{one.relative_error:.1e}")
    results.print(listed)


def _show(folder: Path, made: list[Manifest], as_json: bool) -> None:
    if as_json:
        from dataclasses import asdict

        print_json([asdict(one) | {"folder": str(folder)} for one in made])
        return
    for one in made:
        types = ", ".join(f"{count} {name}" for name, count in one.layer_types.items())
        results.print(f"{folder / one.file}  ({types})", markup=False)


def _command() -> str:
    """The command line as it was given, for the manifest."""
    return shlex.join(["trtdream", *sys.argv[1:], *([] if "--force" in sys.argv else ["--force"])])
