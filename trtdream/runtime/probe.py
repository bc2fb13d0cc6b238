"""One question about this machine, asked in a process of its own: what crashes here takes nobody along.

    python -m trtdream.runtime.probe cuda
    python -m trtdream.runtime.probe package MODULE
    python -m trtdream.runtime.probe run torch|onnxruntime|tensorrt|tensorrt_rtx_bindings PROVIDER

The last line on stdout is the answer, one JSON object; `trtdream.runtime.doctor` reads it.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import re
import sys
from dataclasses import asdict
from typing import Any

from trtdream.runtime.cuda import ask_cuda

# y = x + x for x of 1 x 4 float32, opset 17; kept as bytes so that the onnx package may be missing
ONE_NODE = (
    b'\x08\x08:D\n\x13\n\x01x\n\x01x\x12\x01y\x1a\x03add"\x03Add\x12\x03oneZ\x13\n\x01x\x12\x0e\n\x0c\x08\x01'
    b"\x12\x08\n\x02\x08\x01\n\x02\x08\x04b\x13\n\x01y\x12\x0e\n\x0c\x08\x01\x12\x08\n\x02\x08\x01\n\x02\x08\x04"
    b"B\x04\n\x00\x10\x11"
)
_X = [0.0, 1.0, -2.5, 1000.0]
_Y = [0.0, 2.0, -5.0, 2000.0]

_CUDA_IN_NAME = {  # module -> the distributions whose name says their CUDA major
    "nvidia.dali": r"nvidia-dali-cuda(\d+)0",
    "tensorrt": r"tensorrt-cu(\d+)",
    "tensorrt_rtx_bindings": r"tensorrt-rtx-cu(\d+)-bindings",
}

Answer = dict[str, Any]


def package(module: str) -> Answer:
    """{status: missing | broken | ok, version, cuda, providers, detail} of an importable package."""
    try:
        imported = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(f"{error.name}.")):
            return {"status": "missing"}
        return _broken(error)
    except Exception as error:  # a broken package raises anything when imported
        return _broken(error)
    answer: Answer = {"status": "ok", "version": str(getattr(imported, "__version__", "unknown"))}
    if module == "torch":
        answer["cuda"] = imported.version.cuda
    elif module == "onnxruntime":
        built = importlib.import_module("onnxruntime.capi.build_and_package_info")
        answer["cuda"] = getattr(built, "cuda_version", None) or None  # none in the wheel for CPUs
        answer["providers"] = imported.get_available_providers()
    elif module in _CUDA_IN_NAME:
        answer["cuda"] = _cuda_in_name(_CUDA_IN_NAME[module])
    return answer


def run(backend: str, provider: str) -> Answer:
    """{status: ok | unusable | broken, detail} of y = x + x, really computed there."""
    try:
        if backend == "torch":
            return _run_torch(provider)
        if backend == "onnxruntime":
            return _run_onnxruntime(provider)
        return _run_tensorrt(backend)
    except Exception as error:  # whatever a broken backend raises is its answer
        return _broken(error)


def _run_torch(device: str) -> Answer:
    import torch

    if device == "cuda" and torch.version.cuda is None:
        return _unusable("this torch was built without CUDA")
    if device == "cuda" and not torch.cuda.is_available():
        trouble = ask_cuda().trouble
        return _unusable(trouble) if trouble else _broken("CUDA sees a GPU, this torch cannot use it")
    x = torch.tensor(_X, device=device)
    return _judge((x + x).tolist())


def _run_onnxruntime(provider: str) -> Answer:
    import numpy as np
    import onnxruntime

    trouble = None if provider == "CPUExecutionProvider" else ask_cuda().trouble
    if provider.startswith(("CUDA", "Tensorrt")) and trouble is None:
        onnxruntime.preload_dlls()  # CUDA's libraries from the wheels that torch brought
    session = onnxruntime.InferenceSession(ONE_NODE, providers=[provider])
    used = session.get_providers()
    if provider not in used:
        reason = trouble or "its libraries do not load: pip install 'onnxruntime-gpu[cuda,cudnn]'"
        reason = f"falls back to {used[0]}: {reason}"
        # TensorRT has its own row; ONNX Runtime's way to it is an extra that nothing here needs
        return _broken(reason) if provider.startswith("CUDA") and trouble is None else _unusable(reason)
    (y,) = session.run(None, {"x": np.array([_X], dtype=np.float32)})
    return _judge(y[0].tolist())


def _run_tensorrt(module: str) -> Answer:
    trouble = ask_cuda().trouble  # first: without a GPU, trt.Runtime takes the process down
    trt = importlib.import_module(module)
    if trouble and module == "tensorrt":
        return _unusable(f"neither builds nor runs here: {trouble}")
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    is_old = module == "tensorrt" and int(trt.__version__.split(".")[0]) < 10
    network = builder.create_network(1 if is_old else 0)  # 8.6: 1 << EXPLICIT_BATCH; later the only way
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(ONE_NODE):
        return _broken(f"cannot parse ONNX: {parser.get_error(0)}")
    engine = builder.build_serialized_network(network, builder.create_builder_config())
    if engine is None:
        return _broken("builds no engine")
    if trouble:
        return {
            "status": "ok",
            "detail": f"builds engines (one of {engine.nbytes} bytes); runs none: {trouble}",
        }
    loaded = trt.Runtime(logger).deserialize_cuda_engine(engine)
    if loaded is None:
        reason = "builds engines, this GPU loads none"
        return _unusable(f"{reason} (TensorRT-RTX is for RTX cards)") if "rtx" in module else _broken(reason)
    return _run_engine(loaded)


def _run_engine(engine: Any) -> Answer:
    import torch

    if not torch.cuda.is_available():
        return {"status": "ok", "detail": "builds and loads engines; running one here takes torch with CUDA"}
    x = torch.tensor([_X], device="cuda")
    y = torch.empty_like(x)
    context = engine.create_execution_context()
    context.set_tensor_address("x", x.data_ptr())
    context.set_tensor_address("y", y.data_ptr())
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    context.execute_async_v3(stream.cuda_stream)
    stream.synchronize()
    return _judge(y[0].tolist())


def _judge(y: list[float]) -> Answer:
    return {"status": "ok", "detail": None} if y == _Y else _broken(f"wrong numbers: {y} instead of {_Y}")


def _unusable(reason: str | None) -> Answer:
    return {"status": "unusable", "detail": reason}


def _broken(reason: Exception | str) -> Answer:
    if isinstance(reason, Exception):
        reason = f"{type(reason).__name__}: {reason}"
    return {"status": "broken", "detail": " ".join(reason.split())[:300]}


def _cuda_in_name(pattern: str) -> str | None:
    for distribution in importlib.metadata.distributions():
        found = re.fullmatch(pattern, (distribution.name or "").lower().replace("_", "-"))
        if found:
            return found.group(1)
    return None


def main() -> None:
    """Answer the question on the command line, after whatever the packages print of their own."""
    answers, sys.stdout = sys.stdout, sys.stderr
    match sys.argv[1:]:
        case ["cuda"]:
            answer: Answer = asdict(ask_cuda())
        case ["package", module]:
            answer = package(module)
        case ["run", backend, provider]:
            answer = run(backend, provider)
        case _:
            sys.exit(__doc__)
    print("\n" + json.dumps(answer), file=answers, flush=True)
    os._exit(0)  # the answer stands; a library that crashes while it is unloaded does not matter


if __name__ == "__main__":
    main()
