"""Run as a script, not imported: this process sees the given files only (Landlock), and becomes a command.

`python -I -S fence.py SPECIFICATION COMMAND…`; the specification is JSON: `reads` and `writes` (real paths), `lists`
(folders of which the names may be seen), `cwd`, and `ports` (of TCP, to which alone it may connect; null is any).
Nothing of it can be taken back, and all that the command starts inherits it.
"""

from __future__ import annotations

import ctypes
import json
import os
import struct
import sys
from typing import Any

CREATE, ADD, RESTRICT = 444, 445, 446  # system calls, on every machine
VERSION, BENEATH, PORT = 1, 1, 2
EXECUTE, WRITE, READ, LIST, TRUNCATE, CONTROL = 1, 2, 4, 8, 1 << 14, 1 << 15  # linux/landlock.h
OF_A_FILE = EXECUTE | WRITE | READ | TRUNCATE | CONTROL
RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}  # how many rights a version knows; later ones 16
CONNECT = 2
SOCKETS_AND_SIGNALS = 3  # to processes outside
DROP_BOUND, NO_NEW_PRIVILEGES = 24, 38  # linux/prctl.h
DEVICES = ("null", "zero", "full", "random", "urandom")
LIBC = ctypes.CDLL(None, use_errno=True)


def done(result: int) -> int:
    """Return the result of a system call. Raises what it has reported."""
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def fence(version: int, network: int) -> int:
    """Return a new set of rules, by which nothing is allowed yet."""
    attributes = struct.pack("=Q", (1 << RIGHTS.get(version, 16)) - 1)
    attributes += struct.pack("=Q", network) if version >= 4 else b""
    attributes += struct.pack("=Q", SOCKETS_AND_SIGNALS) if version >= 6 else b""
    return done(LIBC.syscall(CREATE, attributes, ctypes.c_size_t(len(attributes)), 0))


def allow(rules: int, path: str, rights: int) -> None:
    """Allow something below a folder, or of a file."""
    number = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        wanted = rights if os.path.isdir(path) else rights & OF_A_FILE
        done(LIBC.syscall(ADD, rules, BENEATH, struct.pack("=Qi", wanted, number), 0))
    finally:
        os.close(number)


def restrict(known: dict[str, Any]) -> None:
    """Put this process behind the fence. Processes outside are out of its reach with their memory and environment."""
    version = done(LIBC.syscall(CREATE, None, ctypes.c_size_t(0), VERSION))
    ports, every = known["ports"], (1 << RIGHTS.get(version, 16)) - 1
    rules = fence(version, 0 if ports is None else CONNECT)
    for port in (ports or ()) if version >= 4 else ():
        done(LIBC.syscall(ADD, rules, PORT, struct.pack("=QQ", CONNECT, port), 0))
    for path in known["reads"]:
        allow(rules, path, EXECUTE | READ | LIST)
    for path in known["lists"]:
        allow(rules, path, LIST)
    allow(rules, "/proc", READ | LIST)
    for path in (*known["writes"], *(f"/dev/{name}" for name in DEVICES), "/dev/shm"):
        allow(rules, path, every)
    for capability in range(64):  # with one of them root reads any process's environment
        LIBC.prctl(DROP_BOUND, capability, 0, 0, 0)
    done(LIBC.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    done(LIBC.syscall(RESTRICT, rules, 0))
    os.close(rules)


def main() -> None:
    """Restrict this process and become the command."""
    with open(sys.argv[1], encoding="utf-8") as file:
        known = json.load(file)
    os.chdir(known["cwd"])
    restrict(known)
    os.execv(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
