"""A GPU's clocks while it is measured, and what slowed them down: NVML's word, where nvidia-ml-py is installed."""

from __future__ import annotations

import importlib.util
import statistics
from contextlib import suppress
from threading import Event, Thread
from types import TracebackType
from typing import Any

NO_GPU = "no GPU is measured"
_PERIOD_S = 0.1
_REASONS = {  # NVML's names of what lowers clocks below those that were asked for; idling is none of them
    "SwPowerCap": "power limit",
    "HwSlowdown": "hardware slowdown",
    "SwThermalSlowdown": "too hot",
    "HwThermalSlowdown": "too hot (hardware)",
    "HwPowerBrakeSlowdown": "power brake",
}


class Watch:
    """Looks at the clocks in a thread of its own while the block runs.

    `document` is what it saw, afterwards: SM clocks in MHz and the reasons they were lowered for; or, under "absent",
    why it saw nothing.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._halt = Event()
        self._clocks: list[int] = []
        self._slowed: dict[str, None] = {}
        self._thread: Thread | None = None
        self._most = 0
        self._absent = ""

    def __enter__(self) -> Watch:
        if not self._device.startswith("cuda"):
            self._absent = NO_GPU
        elif importlib.util.find_spec("pynvml") is None:
            self._absent = "nvidia-ml-py is not installed"
        else:
            self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._halt.set()
        if self._thread is not None:
            self._thread.join()

    @property
    def document(self) -> dict[str, Any]:
        if self._absent or not self._clocks:
            return {"absent": self._absent or "it was over before they were read"}
        return {
            "least_mhz": min(self._clocks),
            "median_mhz": int(statistics.median(self._clocks)),
            "most_mhz": max(self._clocks),
            "limit_mhz": self._most,
            "slowed_by": list(self._slowed),
        }

    @property
    def doubts(self) -> tuple[str, ...]:
        return tuple(f"the GPU's clocks were lowered: {reason}" for reason in self._slowed)

    def _begin(self) -> None:
        import pynvml
        import torch

        try:
            pynvml.nvmlInit()
            unique = torch.cuda.get_device_properties(torch.device(self._device)).uuid  # CUDA's order is not NVML's
            handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{unique}")
            self._most = int(pynvml.nvmlDeviceGetMaxClockInfo(handle, pynvml.NVML_CLOCK_SM))
        except pynvml.NVMLError as error:
            self._absent = f"NVML: {error}"
            return
        self._thread = Thread(target=self._look, args=(handle,), daemon=True)
        self._thread.start()

    def _look(self, handle: Any) -> None:
        import pynvml

        while not self._halt.wait(_PERIOD_S):
            with suppress(pynvml.NVMLError):
                self._clocks.append(int(pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM)))
                found = pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)
                for name, text in _REASONS.items():
                    if found & getattr(pynvml, f"nvmlClocksThrottleReason{name}"):
                        self._slowed[text] = None
