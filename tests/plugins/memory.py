"""The peak memory of a command, seen from a small process: a large parent's own would count as its child's."""

from __future__ import annotations

import subprocess
import sys

from helpers.runtime.workspace import ROOT

MEASURE = """\
import resource, subprocess, sys
ended = subprocess.run(sys.argv[1:]).returncode
print(ended, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024, file=sys.stderr)
"""


def measured(command: list[object], *, timeout: float = 300) -> tuple[int, int, str]:
    """Run a command that prints no error, and return its exit code, its peak in MiB and what it printed."""
    run = [sys.executable, "-c", MEASURE, *map(str, command)]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, timeout=timeout)
    code, mebibytes = map(int, done.stderr.split())
    return code, mebibytes, done.stdout
