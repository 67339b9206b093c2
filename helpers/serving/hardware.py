"""What this machine is, as a record states it."""

from __future__ import annotations

import math
import os
import platform
from pathlib import Path

import psutil

from helpers.artifacts import Hardware
from helpers.runtime import memory
from helpers.serving.amounts import cores

CPU = Path("/proc/cpuinfo")
FLAGS, BFLOAT16 = ("flags", "Features"), {"avx512_bf16", "amx_bf16", "bf16"}  # of x86 and of ARM
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


def whole_cores() -> int:
    """Return how many threads may compute at once without sharing a core."""
    return min(psutil.cpu_count(logical=False) or 1, math.ceil(_cores()))


def has_bfloat16() -> bool:
    """Return whether the CPU multiplies matrices of bfloat16 itself; others convert each number first."""
    words = {word for line in CPU.read_text().splitlines() if line.startswith(FLAGS) for word in line.split()}
    return bool(words & BFLOAT16)


def _cpu_name() -> str:
    lines = CPU.read_text().splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
