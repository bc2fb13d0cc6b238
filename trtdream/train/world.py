"""Many processes as one: `torchrun` starts them, each takes its share of every batch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor
from torch import distributed as dist

_PATIENCE = timedelta(minutes=30)  # a rank may decode or write for that long while the others wait


@dataclass(frozen=True)
class World:
    """This process among `size`. Alone, nothing is sent anywhere."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @classmethod
    def of_environment(cls) -> World:
        """What torchrun's variables say; alone without them."""
        size = int(os.environ.get("WORLD_SIZE", "1"))
        return cls() if size == 1 else cls(int(os.environ["RANK"]), size, int(os.environ.get("LOCAL_RANK", "0")))

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its mean over the ranks, all in one message."""
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        flat /= self.size
        start = 0
        for tensor in tensors:
            tensor.copy_(flat[start : start + tensor.numel()].view_as(tensor))
            start += tensor.numel()

    def greatest(self, value: int) -> int:
        """The greatest value that any rank has. Between hosts: no GPU is waited for."""
        if self.size == 1:
            return value
        shared = torch.tensor(value)
        dist.all_reduce(shared, dist.ReduceOp.MAX)
        return int(shared)

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """The tensors of all ranks, all of one shape, on the CPU."""
        if self.size == 1:
            return [tensor.cpu()]
        parts = [torch.empty_like(tensor, device="cpu") for _ in range(self.size)]
        dist.all_gather(parts, tensor.cpu())
        return parts

    def wait(self) -> None:
        """Until all ranks are here."""
        self.greatest(0)


@contextmanager
def joined(device_type: str) -> Iterator[World]:
    """The world that torchrun's environment describes; alone without it. NCCL between GPUs, gloo between CPUs."""
    world = World.of_environment()
    if world.size == 1:
        yield world
        return
    on_gpu = device_type == "cuda"
    if on_gpu:
        torch.cuda.set_device(world.local_rank)
    dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo", timeout=_PATIENCE)
    try:
        yield world
    finally:
        dist.destroy_process_group()
