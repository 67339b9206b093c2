"""What this machine is, as a record states it."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from helpers import memory
from helpers.artifacts import Hardware
from helpers.serving.amounts import cores

LIMITS = (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"))  # each says microseconds in a period


def this_machine() -> Hardware:
    """Return the CPU's model name, the cores that this process may use, 0.5 for half a one, and the memory in GiB."""
    node = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    own = min(node, memory.limit() or node)
    return Hardware(type=_cpu_name(), count=_cores(), memory_gib=round(own / 2**30, 1))


def _cores() -> int | float:
    """Return what the scheduler allows, or the container's limit where that is less."""
    allowed, limit = len(os.sched_getaffinity(0)), _limit()
    return cores(limit) if limit and limit < allowed else allowed


def _limit() -> float | None:
    for files in LIMITS:
        try:
            quota, period = " ".join((memory.GROUP / name).read_text() for name in files).split()
            return int(quota) / int(period) if int(quota) > 0 else None
        except (OSError, ValueError):  # not there, or `max`
            continue
    return None


def _cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
