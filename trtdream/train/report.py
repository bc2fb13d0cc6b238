"""What a run says while it goes on: to its log, its metrics and curves, and to who watches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from trtdream.errors import TrtdreamError
from trtdream.train.curves import draw_curves
from trtdream.train.evaluate import Tester, flat
from trtdream.train.feeding import Feeding
from trtdream.train.log import Log, Values, iteration_line, output_lines
from trtdream.train.metrics import Metric, Metrics
from trtdream.train.pace import Pace, hours
from trtdream.train.progress import Progress
from trtdream.train.step import Step

_INPUT_BOUND = 0.1


class Report:
    """Log lines from every process, metrics and curves from the first (the others have `metrics` None)."""

    def __init__(
        self,
        log: Log,
        metrics: Metrics | None,
        step: Step,
        tests: list[Tester],
        curves: Path,
        show: Callable[[Metric], None] = lambda _: None,
    ) -> None:
        self.log, self._metrics, self._show = log, metrics, show
        self._net = step.net.graph.net.name
        self._train_weights = step.net.loss_weights()
        self._test_weights = [tester.net.loss_weights() for tester in tests]
        self._curves = curves
        self._warned = False

    def displayed(
        self, progress: Progress, loss: float, rate: float, values: Values, pace: Pace, left: float | None
    ) -> None:
        """The numbers of a displayed iteration: loss smoothed, values of the last batch, seconds left."""
        iteration = progress.iteration
        self.log.number(iteration_line(iteration, loss, pace.seconds, pace.iterations))
        for line in output_lines("Train", values, self._train_weights):
            self.log.number(line)
        self.log.number(f"Iteration {iteration}, lr = {rate:.6g}")
        metric = Metric(
            "train",
            iteration,
            flat(values),
            loss=loss,
            lr=rate,
            losses=list(progress.unwritten_losses),
            images_per_second=pace.images_per_second,
            waiting=pace.waiting,
            left=left,
            seconds=progress.seconds,
        )
        progress.unwritten_losses.clear()
        self._write(metric)

    def testing(self, iteration: int, index: int) -> None:
        self.log.number(f"Iteration {iteration}, Testing net (#{index})")

    def tested(self, iteration: int, index: int, values: Values) -> None:
        """What test net `index` gave."""
        for line in output_lines("Test", values, self._test_weights[index]):
            self.log.number(line)
        self._write(Metric("test", iteration, flat(values), set=index))

    def expect(self, pace: Pace, iterations: int, left: float, tests: int) -> None:
        """How long the rest will take, said once, after a short measurement."""
        each, speed = 1000 * pace.seconds / pace.iterations, pace.images_per_second
        counted = f" with {tests} tests" if tests else ""
        self.log.line(
            f"An iteration takes {each:.3g} ms ({speed:.4g} images/s): the remaining {iterations} take about "
            f"{hours(left)}{counted}"
        )

    def warn_if_input_bound(self, pace: Pace, feeding: Feeding) -> None:
        """Say so once, in words, and what to do."""
        if pace.waiting <= _INPUT_BOUND or self._warned:
            return
        self._warned = True
        if feeding.loader.source.stored == "encoded":
            remedy = "pack the pictures once (trtdream data pack), or give decoding more threads (data.threads)"
        else:
            remedy = "keep the set on the GPU (data.cache=gpu), or lay it on a faster disk"
        self.log.line(f"Input-bound: {pace.waiting:.0%} of the time is spent waiting for data; {remedy}", "W")

    def draw(self) -> None:
        """Write curves.png. A full disk is no reason to end a run."""
        if self._metrics is None:
            return
        losses = {name for weights in self._test_weights for name in weights}
        try:
            draw_curves(self._curves, self._metrics.lines, self._net, losses)
        except TrtdreamError as error:
            self.log.line(str(error), "E")

    def _write(self, metric: Metric) -> None:
        if self._metrics is not None:
            self._metrics.write(metric)
            self._show(metric)
