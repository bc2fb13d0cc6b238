"""Torch and ONNX Runtime through one contract."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from tests.export.models import ANY_BATCH, input_layer, random_model
from trtdream.errors import InputRefused, TrtdreamError, UsageError
from trtdream.export.onnx_net import onnx_from_model
from trtdream.runtime.runner import Runner, run_in_batches
from trtdream.runtime.runner_onnx import OnnxRunner
from trtdream.runtime.runner_torch import TorchRunner

NET = input_layer("data", (1, 3, 11, 11)) + (
    'layer { name: "c" type: "Convolution" bottom: "data" top: "c" convolution_param { num_output: 4 kernel_size: 3 } }'
    'layer { name: "r" type: "ReLU" bottom: "c" top: "c" }'
    'layer { name: "p" type: "Pooling" bottom: "c" top: "p" pooling_param { kernel_size: 2 stride: 2 } }'
    'layer { name: "ip" type: "InnerProduct" bottom: "p" top: "ip" inner_product_param { num_output: 5 } }'
    'layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }'
)
MODEL = random_model(NET)


@pytest.fixture(params=["torch", "onnx", "onnx file"])
def runner(request: pytest.FixtureRequest, tmp_path: Path) -> Runner:
    if request.param == "torch":
        return TorchRunner(MODEL)
    made = onnx_from_model(MODEL, ANY_BATCH)
    if request.param == "onnx":
        return OnnxRunner(made, threads=2)
    path = tmp_path / "net.onnx"
    onnx.save(made, path)
    return OnnxRunner(path)


@pytest.mark.parametrize("batch", [1, 3])
def test_runners_agree(runner: Runner, batch: int) -> None:
    data = np.random.default_rng(batch).standard_normal((batch, 3, 11, 11), np.float32)
    module = MODEL.module()
    with torch.inference_mode():
        wanted = module(torch.from_numpy(data), ["prob"])["prob"].numpy()
    with runner as run:
        assert run.inputs == ("data",) and run.outputs == ("prob",)
        of_array = run(data)["prob"]
        of_mapping = run({"data": data})["prob"]
        of_tensor = run(torch.from_numpy(data))["prob"]
    assert isinstance(of_array, np.ndarray) and isinstance(of_tensor, torch.Tensor)
    for found in (of_array, of_mapping, of_tensor.numpy()):
        np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_outputs_outlive_the_runner(runner: Runner) -> None:
    data = torch.randn(2, 3, 11, 11, generator=torch.Generator().manual_seed(0))
    with runner as run:
        first = run(data)["prob"]
        kept = torch.as_tensor(first).clone()
        run(data * 5)
    del run, runner
    torch.testing.assert_close(torch.as_tensor(first), kept)


def test_wrong_input_is_named(runner: Runner) -> None:
    with runner as run, pytest.raises(UsageError, match="images were given, the network takes data"):
        run({"images": np.zeros((1, 3, 11, 11), np.float32)})


def test_a_shape_or_type_that_does_not_fit_is_said_in_a_line() -> None:
    with OnnxRunner(onnx_from_model(MODEL, ANY_BATCH)) as run:
        for data in (np.zeros((1, 3, 11, 12), np.float32), np.zeros((1, 3, 11, 11), np.float64)):
            with pytest.raises(UsageError, match=r"does not run with data of \(1, 3, 11") as caught:
                run(data)
            assert "\n" not in str(caught.value)


def test_running_in_batches(runner: Runner) -> None:
    data = np.random.default_rng(0).standard_normal((7, 3, 11, 11), np.float32)
    with runner as run:
        np.testing.assert_allclose(run_in_batches(run, data, 3)["prob"], run(data)["prob"], atol=1e-6)


def test_torch_in_narrow_types() -> None:
    data = np.random.default_rng(0).standard_normal((2, 3, 11, 11), np.float32)
    with TorchRunner(MODEL) as wide, TorchRunner(MODEL, float_type="bfloat16") as narrow:
        difference = np.abs(np.asarray(wide(data)["prob"]) - np.asarray(narrow(data)["prob"])).max()
    assert 0 < difference < 0.1


def test_truncated_onnx_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(onnx_from_model(MODEL, ANY_BATCH).SerializeToString()[:-100])
    with pytest.raises(InputRefused, match=r"net\.onnx"):
        OnnxRunner(path)


def test_cuda_is_not_replaced_in_silence() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    with pytest.raises(TrtdreamError, match="CUDA"):
        OnnxRunner(onnx_from_model(MODEL, ANY_BATCH), device="cuda")
