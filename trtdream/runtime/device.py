"""Where torch runs."""

from __future__ import annotations

from trtdream.errors import UsageError


def pick_device(name: str) -> str:
    """`cpu` or `cuda` for `auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:N`.

    Raises:
        UsageError: another name, or a GPU that is not there.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"--device {name}: is none of auto, cpu, cuda, cuda:0, cuda:1, ...") from error
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"--device {name}: is none of auto, cpu, cuda, cuda:0, cuda:1, ...")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"--device {name}: this machine has {torch.cuda.device_count()} CUDA devices; `trtdream doctor`"
        )
    return name
