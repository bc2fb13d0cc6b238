"""The ways to compute a training step that benchmarks/train.py compares."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from trtdream.net.forms import Forms
from trtdream.net.kind import Phase
from trtdream.net.torch_module import TorchNet
from trtdream.net.zoo import build
from trtdream.recipe.schema import Solver
from trtdream.train.fused import FusedUpdate
from trtdream.train.graph import GraphStep
from trtdream.train.rules import Update, learned_weights
from trtdream.train.step import Inputs, Step

SIDES = {"caffenet": 227, "googlenet": 224}
RATE = 1e-4
_BF16 = torch.bfloat16
_LACKING = {"caffenet": {"merge_branches"}, "googlenet": {"split_groups"}}  # what a network has nothing of


@dataclass(frozen=True)
class Mode:
    """A way to compute the same step. `packed`: also measured from a packed set."""

    name: str
    dtype: torch.dtype = torch.float32
    tf32: bool = False
    channels_last: bool = True
    fused: bool = True
    compile: bool = False
    graph: bool = False
    forms: Forms = Forms()  # noqa: RUF009  frozen
    packed: bool = False

    def concerns(self, net: str) -> bool:
        """Whether it differs, on that network, from the mode without its forms."""
        names = set(self.forms.names())
        return not names or bool(names - _LACKING[net])


def _each_alone(base: Mode, forms: tuple[str, ...]) -> list[Mode]:
    return [replace(base, name=f"{base.name}, {form}", forms=_only(form), packed=False) for form in forms]


def _only(form: str) -> Forms:
    on = {form: True}
    return Forms(**on)  # type: ignore[arg-type]  # not all of its fields are switches


_CPU_BASE = Mode("float32", packed=True, forms=Forms(merge_branches=True, weight_first=True))
_CPU_BARE = Mode("channels_last")
CPU_MODES = (
    _CPU_BASE,
    Mode("bf16", _BF16),
    Mode("plain float32", channels_last=False, fused=False),
    _CPU_BARE,
    *_each_alone(_CPU_BARE, ("merge_branches", "weight_first", "space_to_depth", "split_groups")),
)
_GRAPH = Mode("bf16 graph", _BF16, graph=True, packed=True)
_COMPILED = Mode("bf16 compiled graph", _BF16, compile=True, graph=True)
_AUTO = replace(_GRAPH, name="bf16 graph, space_to_depth (auto)", forms=Forms(space_to_depth=True))
_TRITON = Forms(space_to_depth=True, triton_lrn=True, triton_max_pool=True)
GPU_MODES = (
    _AUTO,
    _GRAPH,
    *_each_alone(_GRAPH, ("merge_branches", "split_groups", "triton_lrn", "triton_max_pool")),
    replace(_GRAPH, name="bf16 graph, all but split_groups", forms=replace(_TRITON, merge_branches=True)),
    replace(_COMPILED, name="bf16 compiled graph, space_to_depth", forms=Forms(space_to_depth=True), packed=True),
    replace(_COMPILED, name="bf16 compiled graph, space_to_depth, triton", forms=_TRITON),
    Mode("plain float32", channels_last=False, fused=False),
    Mode("float32"),
    Mode("tf32", tf32=True),
    Mode("tf32 graph", tf32=True, graph=True),
    Mode("bf16", _BF16),
)
EXTRA_MODES = (
    Mode("float32 compiled", compile=True),
    Mode("bf16 compiled", _BF16, compile=True),
    _COMPILED,
    replace(_COMPILED, name="bf16 compiled graph, all but split_groups", forms=replace(_TRITON, merge_branches=True)),
)
"""Measured where named: each compiles for up to a minute."""


def chosen(names: list[str] | None, device: torch.device) -> list[Mode]:
    """The modes of these names; without names those of the device."""
    usual = GPU_MODES if device.type == "cuda" else CPU_MODES
    if not names:
        return list(usual)
    known = {mode.name: mode for mode in (*EXTRA_MODES, *CPU_MODES, *GPU_MODES, *usual)}
    if unknown := [name for name in names if name not in known]:
        raise SystemExit(f"no mode is called {', '.join(unknown)}; there are: {'; '.join(known)}")
    return [known[name] for name in names]


def make_step(name: str, mode: Mode, batch: int, device: torch.device) -> Step:
    """The network with random weights and its solver, ready to train in that mode."""
    side = SIDES[name]
    shapes = {"data": (batch, 3, side, side), "label": (batch,)}
    net = TorchNet(build(name, deploy=False), Phase.TRAIN, shapes, generator=torch.Generator().manual_seed(0))
    net.forms = mode.forms
    net.compute_dtype = None if mode.dtype == torch.float32 else mode.dtype
    layout = torch.channels_last if mode.channels_last else torch.preserve_format
    net.to(device=device, memory_format=layout)  # type: ignore[call-overload]
    solver = Solver(base_lr=RATE, max_iter=1, momentum=0.9, weight_decay=0.0005)
    update = (FusedUpdate if mode.fused else Update)(solver, learned_weights(net))
    return GraphStep(net, update, mode.compile) if mode.graph else Step(net, update, compiled=mode.compile)


def synthetic(name: str, mode: Mode, batch: int, device: torch.device) -> Inputs:
    """A batch that lies on the device: noise as bright as pictures less their mean."""
    side = SIDES[name]
    data = 50 * torch.randn(batch, 3, side, side, device=device, dtype=mode.dtype)
    if mode.channels_last:
        data = data.contiguous(memory_format=torch.channels_last)
    return Inputs({"data": data, "label": torch.randint(0, 1000, (batch,), device=device)})
