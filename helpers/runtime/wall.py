"""Run as a script inside new namespaces, not imported: builds a root that holds the given files, and starts a command.

`python -I -S wall.py SPECIFICATION COMMAND…`; the specification is JSON: `root` (an empty folder), `reads` and `writes`
(real paths, bound to where they are), `hides` (folders in them that are empty here), `links` (path: target), `cwd`.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import struct
import sys
from typing import Any

NOSUID, NODEV, NOEXEC, BIND, REC = 2, 4, 8, 1 << 12, 1 << 14  # linux/mount.h
READ_ONLY, DETACH, RECURSIVE, HERE = 1, 2, 0x8000, -100
DROP_BOUND, NO_NEW_PRIVILEGES = 24, 38  # linux/prctl.h
SET_ATTRIBUTES = 442
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "ppc64le": 203, "s390x": 217}
DEVICES = ("null", "zero", "full", "random", "urandom")
SHARED = "size=1g"  # memory that belongs to no process
LIBC = ctypes.CDLL(None, use_errno=True)


def done(result: int) -> None:
    """Raise what the system call has reported."""
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mount a file system, or bind a path."""
    done(LIBC.mount(source.encode(), target.encode(), kind.encode() or None, flags, data.encode() or None))


def read_only(path: str, how: int) -> None:
    """Let nobody write below a mount, nor use a device or another account's rights there."""
    attributes = struct.pack("=4Q", READ_ONLY | NOSUID | NODEV, 0, 0, 0)
    done(LIBC.syscall(SET_ATTRIBUTES, HERE, path.encode(), how, attributes, len(attributes)))


def bind(path: str, root: str) -> str:
    """Show a file or folder of the system at its own place below the root."""
    target = root + path
    if os.path.isdir(path):
        os.makedirs(target, exist_ok=True)
    elif not os.path.exists(target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o600))
    mount(path, target, flags=BIND | REC)
    return target


def show(path: str, known: dict[str, Any]) -> None:
    """Bind what was given, to be read only unless it may be written."""
    target = bind(path, known["root"])
    if path not in known["writes"]:
        read_only(target, RECURSIVE)


def build(known: dict[str, Any]) -> None:
    """Fill the root."""
    root = known["root"]
    mount("root", root, "tmpfs", NOSUID | NODEV)
    given = sorted({*known["reads"], *known["writes"]})  # a folder comes before what is in it
    for path in given:
        show(path, known)
    for path in known["hides"]:
        if os.path.isdir(root + path):
            mount("hidden", root + path, "tmpfs", NOSUID | NODEV)
            for each in (each for each in given if each.startswith(f"{path}/")):  # given by name: a model in quarantine
                show(each, known)
            read_only(root + path, 0)
    for path, target in known["links"].items():
        if not os.path.lexists(root + path):
            os.makedirs(os.path.dirname(root + path), exist_ok=True)
            os.symlink(target, root + path)
    for name in DEVICES:
        bind(f"/dev/{name}", root)
    for path, kind, data in (("/dev/shm", "tmpfs", SHARED), ("/proc", "proc", "")):
        os.makedirs(root + path, exist_ok=True)
        mount(kind, root + path, kind, NOSUID | NODEV | NOEXEC, data)
    read_only(root, 0)


def enter(root: str) -> None:
    """Make the root this process's own; the system's is out of reach afterwards."""
    os.chdir(root)
    done(LIBC.syscall(PIVOT_ROOT[platform.machine()], b".", b"."))
    done(LIBC.umount2(b".", DETACH))
    os.chdir("/")


def give_up() -> None:
    """Drop every capability: what is executed next gets none back."""
    for capability in range(64):
        LIBC.prctl(DROP_BOUND, capability, 0, 0, 0)
    done(LIBC.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0))


def attend(command: int) -> int:
    """Wait for the command, as the first process here must for every other; when this one ends, all others do."""
    while True:
        found, status = os.wait()
        if found == command:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def main() -> int:
    """Build, enter, start the command, and end with its exit code: 128 and the signal's number where one ended it."""
    with open(sys.argv[1], encoding="utf-8") as file:
        known = json.load(file)
    build(known)
    enter(known["root"])
    os.chdir(known["cwd"])
    give_up()
    command = os.fork()
    if not command:
        os.execv(sys.argv[2], sys.argv[2:])
    return attend(command)


if __name__ == "__main__":
    sys.exit(main())
