"""ONNX files that others wrote, compiled in the types they have."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import onnx

from trtdream import __version__
from trtdream.console import say
from trtdream.errors import InputRefused, VerificationFailed
from trtdream.export.agreement import agreement
from trtdream.export.build import build_engine
from trtdream.export.pipeline import EngineRequest, engine_name, job_for
from trtdream.export.sizes import Batch
from trtdream.files import refuse_overwrite, replacing, sha256
from trtdream.runtime.manifest import Manifest, write_manifest
from trtdream.runtime.onnx_file import external_files, read_onnx
from trtdream.runtime.runner_onnx import OnnxRunner

_LEAST_COSINE = 0.999


def compile_foreign(
    path: Path, engine: EngineRequest, folder: Path, batch: Batch, command: str, force: bool
) -> Manifest:
    """Check a file, build its engine in a process of its own, and hold it against ONNX Runtime if it can run here.

    Raises:
        InputRefused: the file is unfit, or has dynamic sizes besides the batch.
        TrtdreamError: no engine came of it.
        VerificationFailed: the engine computes something else than ONNX Runtime.
    """
    graph = _checked(path)
    inputs = {info.name: _shape(path, info) for info in _inputs(graph)}
    stem = f"{path.stem}_own_b{batch}"
    target = folder / engine_name(stem, engine)
    refuse_overwrite(target, force)
    copied = _copy(path, folder / f"{stem}.onnx", graph)
    manifest = Manifest(
        file=target.name,
        sha256="",
        onnx=copied.name,
        onnx_sha256=sha256(copied),
        network=graph.graph.name or path.stem,
        weights=path.name,
        weights_sha256=sha256(path),
        precision="own",
        batch=(batch.least, batch.usual, batch.greatest),
        inputs=inputs,
        outputs=tuple(info.name for info in graph.graph.output),
        output_shapes={},
        preprocess=None,
        labels=(),
        command=command,
        trtdream=__version__,
        built=engine.built,
    )
    types = build_engine(job_for(engine, copied, target, manifest), engine.limits)
    manifest = replace(manifest, sha256=sha256(target), layer_types=types)
    write_manifest(folder, manifest)
    if engine.gpu is None:
        say(f"{target.name}: built for sm_{engine.capability.replace('.', '')}, not yet held against ONNX Runtime")
        return manifest
    return _verified(manifest, copied, folder)


def _checked(path: Path) -> onnx.ModelProto:
    graph = read_onnx(path)
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise InputRefused(f"{path}: onnx's checker refuses it: {' '.join(str(error).split())[:200]}") from error
    return graph


def _copy(path: Path, target: Path, graph: onnx.ModelProto) -> Path:
    """The file and its external data, beside the engine to be."""
    pairs = [(path, target), *((path.parent / name, target.parent / name) for name in external_files(graph))]
    for source, copy in pairs:
        if copy.resolve() != source.resolve():
            with replacing(copy) as temporary:
                shutil.copyfile(source, temporary)
    return target


def _verified(manifest: Manifest, source: Path, folder: Path) -> Manifest:
    from trtdream.runtime.runner_tensorrt import TensorRTRunner

    random = np.random.default_rng(0)
    graph = read_onnx(source)
    kinds = {
        info.name: onnx.helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type) for info in _inputs(graph)
    }
    given = {
        name: random.standard_normal((manifest.batch[1], *map(int, text.split("x")[1:]))).astype(kinds[name])
        for name, text in manifest.inputs.items()
    }
    with OnnxRunner(source) as reference, TensorRTRunner(folder / manifest.file) as run:
        wanted, got = ({name: np.asarray(value) for name, value in one(given).items()} for one in (reference, run))
        found = agreement(run.description, f"{manifest.batch[1]} random inputs", wanted, got)
    passed = found.cosine >= _LEAST_COSINE
    manifest = replace(manifest, verification=(asdict(found),), passed=passed)
    write_manifest(folder, manifest)
    if not passed:
        raise VerificationFailed(f"{manifest.file}: {found.line}, cosine {_LEAST_COSINE} must be reached")
    say(f"{manifest.file}: {found.line} ({found.inputs})")
    return manifest


def _inputs(graph: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """The inputs that are not initialisers too, as old files have them."""
    constants = {tensor.name for tensor in graph.graph.initializer}
    return [info for info in graph.graph.input if info.name not in constants]


def _shape(path: Path, info: onnx.ValueInfoProto) -> str:
    dims = info.type.tensor_type.shape.dim
    sizes = [str(d.dim_value) if d.HasField("dim_value") and d.dim_value > 0 else d.dim_param or "?" for d in dims]
    if not sizes or not all(size.isdigit() for size in sizes[1:]):
        raise InputRefused(
            f"{path}: input {info.name!r} is {'x'.join(sizes) or 'a scalar'}; only the batch may be open"
        )
    return "x".join(sizes)
