"""What this machine is, as a record states it."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from helpers.artifacts import Hardware


def this_machine() -> Hardware:
    """Return the CPU's model name, the cores that this process may use, and the memory in GiB."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return Hardware(type=_cpu_name(), count=len(os.sched_getaffinity(0)), memory_gib=round(memory, 1))


def _cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
