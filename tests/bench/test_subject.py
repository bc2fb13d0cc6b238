from __future__ import annotations

import pytest
import torch

from tests.bench.slow import slow_net
from trtdream.bench import subject
from trtdream.bench.subject import Setting, Subject, halving, memory_needed, net_for
from trtdream.errors import TrtdreamError, UsageError
from trtdream.net.kind import Phase


def test_zoo_trains_with_losses_and_runs_without() -> None:
    train = {layer.name for layer in net_for("googlenet", Phase.TRAIN).layers}
    assert {"loss1/loss", "loss3/loss3"} <= train
    assert "prob" in {layer.name for layer in net_for("googlenet", Phase.TEST).layers}


def test_batch_and_labels() -> None:
    subject = Subject(net_for("caffenet", Phase.TRAIN), Setting(batch=2))
    assert subject.batch == 2
    values = subject.forward()
    assert set(values) == {"loss"}
    subject.backward(values)
    assert all(parameter.grad is None for parameter in subject.module.parameters())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_precision(precision: str) -> None:
    subject = Subject(slow_net(), Setting(precision=precision))
    values = subject.forward()
    assert {value.dtype for value in values.values()} == {getattr(torch, precision)}


def test_unknown_precision() -> None:
    with pytest.raises(UsageError, match="float32, bfloat16, float16"):
        Subject(slow_net(), Setting(precision="int8"))


def test_halved_until_it_fits(capsys: pytest.CaptureFixture[str]) -> None:
    tried = []

    def work(batch: int) -> int:
        tried.append(batch)
        if batch > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return batch

    assert halving(16, work) == 2
    assert tried == [16, 8, 4, 2]
    assert "batch 4 does not fit into memory, 2 is tried" in capsys.readouterr().err


def test_the_cpu_that_runs_out_of_memory_is_understood() -> None:
    """torch's own error for more memory than there can be."""

    def work(batch: int) -> int:
        return torch.empty(2**50 if batch > 1 else 1, dtype=torch.uint8).numel()

    assert halving(2, work) == 1


def test_what_the_system_would_end_us_for_is_refused_beforehand(monkeypatch: pytest.MonkeyPatch) -> None:
    """CaffeNet's weights and their gradients alone are 488 MB; each picture adds its blobs."""
    layers = Subject(net_for("caffenet", Phase.TRAIN), Setting(batch=2)).layers
    needed = memory_needed(layers, 4)
    assert needed > 2 * 4 * 60_965_224 + 2 * 4 * (96 * 55 * 55 + 256 * 27 * 27)
    monkeypatch.setattr(subject, "available_memory", lambda: needed)
    tried = []

    def work(batch: int) -> int:
        tried.append(batch)
        return Subject(net_for("caffenet", Phase.TRAIN), Setting(batch=batch)).batch

    assert halving(8, work) == 2
    assert tried == [8, 4, 2]


def test_not_even_one_fits() -> None:
    def work(batch: int) -> int:
        raise MemoryError(f"{batch} pictures")

    with pytest.raises(TrtdreamError, match="batch of 1"):
        halving(2, work)


def test_other_errors_are_not_swallowed() -> None:
    def work(batch: int) -> int:
        raise RuntimeError(f"a fault at {batch}")

    with pytest.raises(RuntimeError, match="a fault at 8"):
        halving(8, work)
