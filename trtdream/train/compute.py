"""What a training computes on, and in which form: `precision` and `speed` of the recipe, resolved for a device."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import torch

from trtdream.errors import UsageError
from trtdream.net.forms import Forms
from trtdream.recipe.schema import Recipe, Speed, Switch
from trtdream.train.world import World

_LONG = 10_000  # iterations from which on a minute of compiling pays


@dataclass(frozen=True)
class Compute:
    """dtype is what layers compute in; weights, momentum and losses stay float32."""

    device: torch.device
    dtype: torch.dtype = torch.float32
    tf32: bool = False
    channels_last: bool = False
    fused_update: bool = False
    compile: bool = False
    cuda_graph: bool = False
    forms: Forms = field(default_factory=Forms)

    def describe(self) -> str:
        """In words, for the log."""
        dtype = str(self.dtype).removeprefix("torch.") + (" (tf32)" if self.tf32 else "")
        if self.dtype == torch.bfloat16 and not computes_bf16(self.device):
            dtype += " (this CPU has no instructions for it: slower than float32)"
        words = [str(self.device), dtype]
        flags = ("channels_last", "fused_update", "compile", "cuda_graph")
        return ", ".join(words + [flag for flag in flags if getattr(self, flag)] + self.forms.names())


def computes_bf16(device: torch.device) -> bool:
    """Whether the device has instructions for bf16: convolutions are several times slower on a CPU without them."""
    return device.type != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()


def resolve_compute(recipe: Recipe, device: torch.device, world: World) -> Compute:
    """Replace every `auto` by what is right for the device.

    On a GPU `precision: auto` is bf16; on a CPU it is float32. A CUDA graph is taken where one process trains. A long
    training on a GPU is compiled (measured on an H100, batch 256: GoogLeNet's step takes 0.117 instead of 0.33 ms an
    image, in bf16 and one CUDA graph).

    Raises:
        UsageError: what the device cannot do.
    """
    on_gpu = device.type == "cuda"
    precision = ("bf16" if on_gpu else "float32") if recipe.precision == "auto" else recipe.precision
    speed = recipe.speed
    faults = [
        f"{key}: needs a GPU; leave it at auto"
        for key, wanted in {
            "precision": precision == "tf32",
            "speed.cuda_graph": speed.cuda_graph is True,
            "speed.triton_lrn": speed.triton_lrn is True,
            "speed.triton_max_pool": speed.triton_max_pool is True,
        }.items()
        if wanted and not on_gpu
    ]
    if speed.cuda_graph is True and world.size > 1:
        faults.append("speed.cuda_graph: is for one process; leave it at auto")
    if faults:
        raise UsageError("; ".join(faults))
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    return Compute(
        device,
        dtype,
        tf32=precision == "tf32",
        channels_last=_on(speed.channels_last, default=True),
        fused_update=_on(speed.fused_update, default=True),
        compile=_on(speed.compile, default=on_gpu and recipe.solver.max_iter >= _LONG and not recipe.run.deterministic),
        cuda_graph=_on(speed.cuda_graph, default=on_gpu and world.size == 1),
        forms=_resolve_forms(speed, on_gpu, dtype),
    )


def _resolve_forms(speed: Speed, on_gpu: bool, dtype: torch.dtype) -> Forms:
    """What `auto` takes was measured to win: on two CPU cores merged branches (GoogLeNet, batch 1: forward 26.5 to
    25.5 ms, forward and gradient 59 to 54 ms) and inner products with the weights first (CaffeNet, batch 10: forward
    and backward 833 to 730 ms), on an H100 conv1 by depth in bf16 (CaffeNet, batch 256, the whole step: 0.040 to
    0.031 ms an image; on a CPU it loses). The rest was not measured on a GPU yet, or loses.
    """
    return Forms(
        merge_branches=_on(speed.merge_branches, default=not on_gpu),
        space_to_depth=_on(speed.space_to_depth, default=on_gpu and dtype == torch.bfloat16),
        split_groups=_on(speed.split_groups, default=False),
        weight_first=_on(speed.weight_first, default=not on_gpu),
        triton_lrn=_on(speed.triton_lrn, default=False),
        triton_max_pool=_on(speed.triton_max_pool, default=False),
    )


def apply_settings(compute: Compute, deterministic: bool) -> None:
    """Set what torch keeps for the whole process: tf32, deterministic algorithms, the search for fast convolutions.

    Before anything is computed: cuBLAS reads its setting when it is first used.
    """
    # By torch's older names, as in `pick_device`: where the newer ones set tf32, what reads the older ones raises, and
    # torch.compile does (torch 2.13).
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = compute.tf32
    if compute.device.type == "cuda":
        if deterministic:  # without it torch refuses every matrix product; the value is one of the two NVIDIA names
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = not deterministic
    if compute.compile:  # what cannot be compiled is run as it is, with a warning
        torch._dynamo.config.suppress_errors = True
    torch.use_deterministic_algorithms(deterministic)


def _on(switch: Switch, default: bool) -> bool:
    return default if switch == "auto" else switch
