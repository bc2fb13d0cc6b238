"""Before and around a run: what is computed on, what is shown."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.train.small import small_recipe
from trtdream.console import messages
from trtdream.errors import UsageError
from trtdream.net.forms import Forms
from trtdream.plots import Panel, draw_panels
from trtdream.train.compute import resolve_compute
from trtdream.train.curves import draw_curves
from trtdream.train.interrupts import Wish, listening
from trtdream.train.live import Live
from trtdream.train.log import iteration_line, output_lines
from trtdream.train.loop import hours
from trtdream.train.metrics import Metric, Metrics, read_metrics
from trtdream.train.world import World

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


def test_auto_is_what_is_right_for_the_device(drawn: Path, tmp_path: Path) -> None:
    recipe = small_recipe(drawn, tmp_path / "run", precision="auto")
    on_cpu = resolve_compute(recipe, CPU, World())
    assert (on_cpu.dtype, on_cpu.cuda_graph, on_cpu.fused_update) == (torch.float32, False, True)
    assert on_cpu.forms == Forms(merge_branches=True)
    on_gpu = resolve_compute(recipe, GPU, World())
    assert (on_gpu.dtype, on_gpu.cuda_graph, on_gpu.compile) == (torch.bfloat16, True, False)
    long = small_recipe(drawn, tmp_path / "run", solver__max_iter=450000)
    assert resolve_compute(long, GPU, World()).compile and not resolve_compute(long, CPU, World()).compile
    assert on_gpu.forms == Forms(space_to_depth=True)
    assert not resolve_compute(recipe, GPU, World(0, 2)).cuda_graph
    off = small_recipe(
        drawn, tmp_path / "run", speed={"fused_update": False, "channels_last": False, "merge_branches": False}
    )
    assert resolve_compute(off, CPU, World()).describe() == "cpu, float32"
    on = small_recipe(drawn, tmp_path / "run", speed={"space_to_depth": True, "split_groups": True})
    described = "cpu, float32, channels_last, fused_update, merge_branches, space_to_depth, split_groups"
    assert resolve_compute(on, CPU, World()).describe() == described


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"precision": "tf32"}, "precision: needs a GPU"),
        ({"speed__cuda_graph": True}, "speed.cuda_graph: needs a GPU"),
        ({"speed__triton_lrn": True}, "speed.triton_lrn: needs a GPU"),
        ({"speed__triton_max_pool": True}, "speed.triton_max_pool: needs a GPU"),
    ],
)
def test_what_the_device_cannot_do(drawn: Path, tmp_path: Path, changes: dict[str, object], wanted: str) -> None:
    with pytest.raises(UsageError, match=wanted):
        resolve_compute(small_recipe(drawn, tmp_path / "run", **changes), CPU, World())


def test_lines_are_caffes() -> None:
    """As real Caffe printed them (caffe-truth/logs, FACTS section 5)."""
    assert iteration_line(20, 6.9, 16.2, 20) == "Iteration 20 (1.23457 iter/s, 16.2s/20 iters), loss = 6.9"
    assert iteration_line(40, 1.104141, 0, 0) == "Iteration 40, loss = 1.10414"
    assert output_lines("Test", {"loss": [6.907755], "accuracy": [0.001]}, {"loss": 1.0}) == [
        "    Test net output #0: accuracy = 0.001",
        "    Test net output #1: loss = 6.90775 (* 1 = 6.90775 loss)",
    ]
    assert output_lines("Train", {"loss1/loss1": [2.0]}, {"loss1/loss1": 0.3}) == [
        "    Train net output #0: loss1/loss1 = 2 (* 0.3 = 0.6 loss)"
    ]


def test_metrics_beyond_the_resumed_iteration_are_dropped(tmp_path: Path) -> None:
    """And a last line that a kill cut short."""
    first = Metrics(tmp_path)
    for iteration in (0, 5, 10):
        first.write(Metric("train", iteration, {"loss": 1.0}, loss=1.0, lr=0.1, losses=[1.0]))
    first.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "tr')
    assert [line.iteration for line in read_metrics(tmp_path / "metrics.jsonl")] == [0, 5, 10]
    again = Metrics(tmp_path, resumed_at=7)
    again.write(Metric("test", 7, {"accuracy": 0.5}))
    again.close()
    assert [line.iteration for line in read_metrics(tmp_path / "metrics.jsonl")] == [0, 5, 7]


def test_curves_hold_what_was_measured(tmp_path: Path) -> None:
    """A steeply falling loss is drawn differently from a flat one; numbers that are none are left out."""

    def draw(name: str, losses: list[float]) -> Image.Image:
        train = [Metric("train", i, {"loss": x}, loss=x, lr=0.1) for i, x in enumerate(losses)]
        tests = [Metric("test", 2, {"loss": 1.0, "accuracy": 0.5})]
        draw_curves(tmp_path / name, [*train, *tests], "net", {"loss"})
        return Image.open(tmp_path / name).convert("L")

    falling, flat, broken = draw("a.png", [3, 2, 1]), draw("b.png", [1, 1, 1]), draw("c.png", [1, 1, float("nan")])
    assert falling.size == flat.size and falling.tobytes() != flat.tobytes()
    assert broken.size == flat.size
    draw_panels(tmp_path / "d.png", [Panel("x", {"a": ([1, 2], [1, 100])}, logarithmic=True)], "title", "x")
    assert Image.open(tmp_path / "d.png").height < falling.height


def test_the_live_table_shows_the_last_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    live = Live(100)
    live.metric(Metric("test", 20, {"accuracy": 0.625}))
    live.metric(Metric("train", 20, {"loss": 2.5}, 2.5, 0.01, [], 200.0, 0.07, 10.0))
    with messages.capture() as captured:
        messages.print(live._table())
    for wanted in ("20 / 100", "2.5", "0.01", "200", "5", "7%", "0.625", "40 s"):
        assert wanted in captured.get()
    said: list[str] = []
    monkeypatch.setattr("trtdream.train.live.say", said.append)
    live.line("I1123 a line")
    assert said == ["I1123 a line"]  # no terminal: the log's lines


def test_signals_are_taken_note_of_and_the_handlers_come_back() -> None:
    import signal

    before = signal.getsignal(signal.SIGINT)
    with listening() as interrupts:
        signal.raise_signal(signal.SIGHUP)
        assert interrupts.take() is Wish.SNAPSHOT and interrupts.take() is Wish.NOTHING
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGTERM)
        assert interrupts.take() is Wish.STOP
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_times_as_people_say_them() -> None:
    assert [hours(s) for s in (40, 130, 7300)] == ["40 s", "2 min", "2.0 h"]
