"""Says on what machine it was measured."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from .rows import GIB

BUSY_SHARE = 0.3  # of the cores, in the last minute
_MOUNTS = Path("/proc/self/mounts")


def described(folder: Path) -> dict[str, Any]:
    """Return what matters for the figures; ``folder`` is where the files lie."""
    return {
        "cores": os.cpu_count() or 1,
        "processor": _processor(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIB, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "filesystem": _filesystem(folder.resolve()),
        "load": round(os.getloadavg()[0], 2),
    }


def sentence(machine: dict[str, Any]) -> str:
    """Say it in one line."""
    return (
        f"{machine['cores']} cores of {machine['processor']}, {machine['memory_gib']:g} GiB, Linux "
        f"{machine['kernel']}, {machine['filesystem']}, Python {machine['python']}"
    )


def busy(machine: dict[str, Any]) -> str | None:
    """Warn of a machine that does other things as well."""
    if machine["load"] <= BUSY_SHARE * machine["cores"]:
        return None
    return (
        f"the machine is at work on something else (load {machine['load']:g} on {machine['cores']} cores): "
        "draw no conclusions"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _filesystem(folder: Path) -> str:
    mounts = [line.split()[1:3] for line in _MOUNTS.read_text().splitlines()]
    below = [(len(place), kind) for place, kind in mounts if folder.is_relative_to(place)]
    return max(below, default=(0, "an unknown file system"))[1]
