"""What a run costs and where it ran: seconds, peak memory, versions."""

import platform
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from graphcl._version import __version__
from graphcl.plan import Plan
from graphcl.train import Step

__all__ = ["Clock", "Watch", "environment", "peak_memory"]

Watch = Callable[[Step, Plan], None]
"""What is called after each step of a training."""


class Clock:
    """Wall seconds per named part."""

    def __init__(self) -> None:
        self._began = self._last = time.perf_counter()
        self._parts: dict[str, float] = {}

    def lap(self, name: str) -> None:
        """Count the time since the last lap for a part."""
        now = time.perf_counter()
        self._parts[name] = self._parts.get(name, 0.0) + now - self._last
        self._last = now

    def skip(self) -> None:
        """Leave the time since the last lap out of everything, the total included."""
        now = time.perf_counter()
        self._began += now - self._last
        self._last = now

    def add(self, parts: Mapping[str, float]) -> None:
        """Count time that was spent before."""
        for name, value in parts.items():
            self._parts[name] = self._parts.get(name, 0.0) + value
            self._began -= value

    def parts(self) -> dict[str, float]:
        """Seconds of each part, and the ``total`` with what lies between."""
        total = time.perf_counter() - self._began
        return {name: round(value, 3) for name, value in {**self._parts, "total": total}.items()}


@contextmanager
def peak_memory() -> Iterator[dict[str, float]]:
    """Peak memory of the block in MB: resident memory as ``peak_mb``, that of a used CUDA device as ``peak_cuda_mb``.

    Linux resets its high-water mark on request; elsewhere the figure is the peak of the process so far.
    """
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    peak: dict[str, float] = {}
    yield peak
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        peak["peak_mb"] = round(int(line.split()[1]) / 1024, 1)
    else:
        unit = 2**20 if sys.platform == "darwin" else 2**10
        peak["peak_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        peak["peak_cuda_mb"] = round(torch.cuda.max_memory_allocated() / 2**20, 1)


@cache
def _versions() -> dict[str, str]:
    found = {"graphcl": __version__, "python": platform.python_version()}
    for name in ("torch", "torch_geometric", "numpy", "scipy", "scikit-learn"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "?"
    return found


@cache
def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def environment(device: torch.device) -> dict[str, Any]:
    """Versions, platform, threads, processor and the device trained on: what else a number depends on."""
    return {
        "versions": _versions(),
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
    }
