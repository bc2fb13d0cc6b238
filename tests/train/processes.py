"""Trainings in processes of their own, forked from one that has imported everything: to be killed, or short of disk."""

from __future__ import annotations

import multiprocessing
import resource
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from trtdream.recipe.schema import Recipe
from trtdream.train.log import Entry
from trtdream.train.run import Choice, Watching, train

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    ["tests.train.processes", "torch.utils.tensorboard", "matplotlib.figure", "safetensors.torch", "trtdream.net.zoo"]
)


@dataclass(frozen=True)
class Away:
    """A training in another process, and the way its lines come back once it is done."""

    process: BaseProcess
    lines: Connection

    def kill(self) -> None:
        self.process.kill()
        self.process.join()

    def finish(self) -> list[str]:
        """Wait for its end: what it said. Raises EOFError if it failed; its traceback is on stderr."""
        said = self.lines.recv()
        self.process.join()
        return said


def train_away(recipe: Recipe, choice: Choice, largest_file: int | None = None) -> Away:
    """Start a training. A file that grows beyond `largest_file` bytes is refused by the kernel, as by a full disk."""
    receiver, sender = _context.Pipe(duplex=False)
    process = _context.Process(target=_train, args=(recipe, choice, largest_file, sender), daemon=True)
    process.start()
    sender.close()  # the process has its own; so its end is an end of file here
    return Away(process, receiver)


def _train(recipe: Recipe, choice: Choice, largest_file: int | None, sender: Connection) -> None:
    if largest_file is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    said: list[str] = []

    def note(entry: Entry) -> None:
        said.append(entry.text)

    train(recipe, choice, Watching(line=note))
    sender.send(said)
