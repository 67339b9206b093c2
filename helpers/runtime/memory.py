"""How much memory this container may have, and whether the kernel has killed a process of it for want of it."""

from __future__ import annotations

from pathlib import Path

GROUP = Path("/sys/fs/cgroup")  # a container's own, version 2 of control groups and version 1 below it
LIMITS = ("memory.max", "memory/memory.limit_in_bytes")
KILLS = ("memory.events", "memory/memory.oom_control")
NO_LIMIT = 2**60  # version 1 writes a number of this size where there is none
MIB = 2**20


def limit() -> int | None:
    """Return the container's limit in bytes, None where there is none."""
    found = next((text for name in LIMITS if (text := _read(name))), "")
    return int(found) if found.isdigit() and int(found) < NO_LIMIT else None


def kills() -> int:
    """Return how many processes of this container the kernel has killed for want of memory so far."""
    lines = next((text for name in KILLS if (text := _read(name))), "").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


def killed() -> str:
    """Say that a process was killed, most likely for want of memory, and what the limit is."""
    most = limit()
    room = f"the container's limit is {most / MIB:,.0f} MiB" if most else "the container has no limit of its own"
    return f"was killed, most likely for want of memory: {room}"


def more() -> str:
    """Say where the limit is raised."""
    return "Give this node more memory (on the canvas: its properties, RAM); on one machine, free some"


def _read(name: str) -> str:
    try:
        return (GROUP / name).read_text().strip()
    except OSError:
        return ""
