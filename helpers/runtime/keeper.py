"""Run as a script: starts a command, and ends all that came of it with the stage or over the limit.

`python -I -S keeper.py STAGE LIMIT COMMAND…`; STAGE is the process that waits for this one, LIMIT is in bytes. What the
command starts, in whatever session or namespace, stays a descendant of this process, so that nothing is out of reach.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterator

DEATH_SIGNAL, SUBREAPER = 1, 36  # linux/prctl.h
INTERVAL = 0.25  # s
OVER = 199  # the exit code where the command held more than it may
PAGE = os.sysconf("SC_PAGE_SIZE")
WOKEN = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT}
LIBC = ctypes.CDLL(None, use_errno=True)


def start(command: list[str]) -> int:
    """Start the command, which is killed with this process too; return its id."""
    signal.pthread_sigmask(signal.SIG_BLOCK, WOKEN)
    child = os.fork()
    if not child:
        LIBC.prctl(DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, WOKEN)
        os.execvp(command[0], command)
    return child


def descendants() -> list[int]:
    """Return the processes that came of this one."""
    children: dict[int, list[int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
            children.setdefault(int(file.read().rpartition(b")")[2].split()[1]), []).append(int(name))
    found = [os.getpid()]
    for each in found:  # grows on the way
        found += children.get(each, [])
    return found[1:]


def resident(processes: list[int]) -> int:
    """Return how many bytes they hold; what several share counts each time."""
    total = 0
    for each in processes:
        with contextlib.suppress(OSError), open(f"/proc/{each}/statm", "rb") as file:
            total += int(file.read().split()[1]) * PAGE
    return total


def proportional(processes: list[int]) -> int:
    """Return how many bytes they hold; what several share counts once. Slower."""
    total = 0
    for each in processes:
        try:
            with open(f"/proc/{each}/smaps_rollup", "rb") as file:
                total += sum(int(line.split()[1]) << 10 for line in file if line.startswith(b"Pss:"))
        except OSError:  # of another account, or it has just ended
            total += resident([each])
    return total


def end_all() -> None:
    """Kill everything that came of this process."""
    while found := descendants():
        for each in found:
            with contextlib.suppress(OSError):
                os.kill(each, signal.SIGKILL)
        for _ in ended():
            pass
        time.sleep(0.01)


def ended() -> Iterator[tuple[int, int]]:
    """Yield children that have ended, with how: the command, and what was left to this process."""
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            yield found


def main() -> int:
    """Return the command's exit code, 128 and the signal's number where one ended it, OVER where this did."""
    stage, limit, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    LIBC.prctl(SUBREAPER, 1, 0, 0, 0)
    child = start(command)
    while os.getppid() == stage:
        woken = signal.sigtimedwait(WOKEN, INTERVAL)
        if woken and woken.si_signo != signal.SIGCHLD:
            break
        for pid, status in ended():
            if pid == child:
                end_all()
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
        processes = descendants()
        if resident(processes) > limit and proportional(processes) > limit:
            end_all()
            return OVER
    end_all()
    return 128 + signal.SIGKILL


if __name__ == "__main__":
    sys.exit(main())
