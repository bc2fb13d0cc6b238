"""Before and around a run: what is computed on, what is shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.train.small import small_recipe
from trtdream.console import messages
from trtdream.errors import UsageError
from trtdream.net.forms import Forms
from trtdream.plots import Panel, draw_panels
from trtdream.train.compute import Compute, apply_settings, resolve_compute
from trtdream.train.curves import draw_curves
from trtdream.train.interrupts import Wish, listening
from trtdream.train.live import Live
from trtdream.train.log import Entry, iteration_line, output_lines
from trtdream.train.metrics import Metric, Metrics, read_metrics
from trtdream.train.pace import hours
from trtdream.train.run import Watching, train
from trtdream.train.world import World

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


def test_auto_is_what_is_right_for_the_device(drawn: Path, tmp_path: Path) -> None:
    recipe = small_recipe(drawn, tmp_path / "run", precision="auto")
    on_cpu = resolve_compute(recipe, CPU, World())
    assert (on_cpu.dtype, on_cpu.cuda_graph, on_cpu.fused_update) == (torch.float32, False, True)
    assert on_cpu.forms == Forms(merge_branches=True, weight_first=True)
    on_gpu = resolve_compute(recipe, GPU, World())
    assert (on_gpu.dtype, on_gpu.cuda_graph, on_gpu.compile) == (torch.bfloat16, True, False)
    long = small_recipe(drawn, tmp_path / "run", solver__max_iter=450000)
    assert resolve_compute(long, GPU, World()).compile and not resolve_compute(long, CPU, World()).compile
    assert on_gpu.forms == Forms(space_to_depth=True)
    assert not resolve_compute(recipe, GPU, World(0, 2)).cuda_graph
    off = small_recipe(
        drawn,
        tmp_path / "run",
        speed={"fused_update": False, "channels_last": False, "merge_branches": False, "weight_first": False},
    )
    assert resolve_compute(off, CPU, World()).describe() == "cpu, float32"
    on = small_recipe(drawn, tmp_path / "run", speed={"space_to_depth": True, "split_groups": True})
    described = "cpu, float32, channels_last, fused_update, merge_branches, space_to_depth, split_groups, weight_first"
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


def test_tf32_can_be_read_back_by_all_who_ask() -> None:
    """torch.compile asks by the older names, which refuse a mix of both."""
    for tf32 in (True, False):
        apply_settings(Compute(CPU, tf32=tf32), deterministic=False)
        assert torch.backends.cudnn.allow_tf32 is torch.backends.cuda.matmul.allow_tf32 is tf32
        assert (torch.backends.cuda.matmul.fp32_precision == "tf32") is tf32
        assert (torch.backends.cudnn.conv.fp32_precision == "tf32") is tf32  # type: ignore[attr-defined]


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


def test_tensorboard_is_told_the_same(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is an extra")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for start, iterations in ((0, (0, 5, 10)), (7, (10, 15))):
        metrics = Metrics(tmp_path, resumed_at=start)
        for iteration in iterations:
            metrics.write(Metric("train", iteration, {"loss": 9.0}, loss=100.0 * start + iteration, lr=0.1))
            metrics.write(Metric("test", iteration, {"accuracy": 0.5}, set=1))
        metrics.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {"train/loss", "train/lr", "test1/accuracy"}
    losses = [(event.step, event.value) for event in events.Scalars("train/loss")]
    assert losses == [(0, 0.0), (5, 5.0), (10, 710.0), (15, 715.0)]  # what a resumed run does again replaces the old


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
    live.metric(Metric("train", 20, {"loss": 2.5}, 2.5, 0.01, [], 200.0, 0.07, left=40.0))
    with messages.capture() as captured:
        messages.print(live._table())
    for wanted in ("20 / 100", "2.5", "0.01", "200", "5", "7%", "0.625", "40 s"):
        assert wanted in captured.get()
    said: list[str] = []
    monkeypatch.setattr("trtdream.train.live.say", said.append)
    live.line(Entry("a line", is_number=True))
    assert len(said) == 1 and said[0].startswith("I") and said[0].endswith("] a line")  # no terminal: the log's lines


def test_what_will_run_is_said_before_and_how_long_it_takes_soon_after(drawn: Path, tmp_path: Path) -> None:
    said: list[Entry] = []
    recipe = small_recipe(drawn, tmp_path / "run", solver__display=0, run__keep=10**9)
    train(recipe, watching=Watching(line=said.append))
    before = [entry.text for entry in said[: [entry.text for entry in said].index("Solving Small")]]
    for wanted in ("parameters are trained, on cpu", "48 images, 10 an iteration, 60 iterations (12.5 passes)"):
        assert any(wanted in text for text in before), before
    assert any(text.startswith("Test net #0: 16 images of 48 every 30 iterations") for text in before)
    assert any(re.match(r"A snapshot takes \S+ MB, .* at most, .* are free", text) for text in before)
    assert next(entry.text for entry in said if entry.severity == "W").startswith("There is room for one snapshot")
    (expected,) = [entry.text for entry in said if entry.text.startswith("An iteration takes")]
    assert re.search(r"takes \S+ ms \(\S+ images/s\): the remaining 34 take about \d+ s with 2 tests$", expected)


def test_signals_are_taken_note_of_and_the_handlers_come_back() -> None:
    import signal

    before = signal.getsignal(signal.SIGINT)
    with listening() as interrupts:
        signal.raise_signal(signal.SIGHUP)
        assert interrupts.take() is Wish.SNAPSHOT and interrupts.take() is Wish.NOTHING
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)  # as launchers send it, beside the one to the process group
        assert interrupts.wish is Wish.STOP and interrupts.take() is Wish.STOP
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_times_as_people_say_them() -> None:
    assert [hours(s) for s in (40, 130, 7300)] == ["40 s", "2 min", "2.0 h"]
