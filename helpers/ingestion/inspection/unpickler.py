"""What the unpickler would do, opcode by opcode, with a model of its stack; nothing is ever loaded.

`pickletools.genops` would hold an argument of any length, and without a stack many texts begin like a pickle of
protocol 0. So only its table of opcodes is used.
"""

from __future__ import annotations

import io
import pickletools
import re
from typing import BinaryIO

MAX_OPCODES = 200_000
MAX_LINE = 1 << 16
KEPT = 256  # bytes of an argument that are kept: enough for the name of a function
CALLS = frozenset({"REDUCE", "BUILD", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX"})
LENGTHS = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}
# As lenient as the unpickler in C: signs, other bases, and whatever stands behind a zero byte.
INTEGER = re.compile(rb"\s*[-+]?(?:0[xX][0-9a-fA-F_]+|0[oObB]?[0-7_]*|[0-9_]+)L?\s*(?:\0.*)?", re.DOTALL)
FLOAT = re.compile(rb"\s*[-+]?(?:[0-9._]+(?:[eE][-+]?[0-9_]+)?|[infatyINFATY]{3,8})\s*(?:\0.*)?", re.DOTALL)
NAME = re.compile(rb"[^\W\d][\w.]*")
LINES = {
    **dict.fromkeys(("INT", "LONG", "GET", "PUT"), INTEGER),
    **dict.fromkeys(("GLOBAL", "INST"), NAME),
    "FLOAT": FLOAT,
    "STRING": re.compile(rb"['\"].*", re.DOTALL),
}
OPERATIONS = {operation.code: operation for operation in pickletools.opcodes}
MARK = object()


class NoPickle(Exception):
    """The next bytes are no opcode, or one that would fail; never leaves this module."""


class Machine:
    """What the unpickler's stack and memo would hold: texts as such, because they may name a function, else None."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = file.seek(0, io.SEEK_END)
        file.seek(0)
        start = file.read(3)
        file.seek(0)
        # The sign of a protocol is two bytes, as which a length may begin too: more opcodes, or a frame, decide.
        self.certain = MAX_OPCODES if start[:1] != b"\x80" or start[1:2] > b"\x05" else 1 if start[2:] == b"\x95" else 3
        self.opcodes, self.called = 0, False
        self.imports: list[str] = []
        self._stack: list[object] = []
        self._memo: dict[int, object] = {}

    def left(self) -> int:
        """Return the number of bytes that were not read."""
        return self._size - self._file.tell()

    def run(self) -> bool:
        """Read opcodes; return whether they end with a STOP, False where there are too many. Raises NoPickle."""
        while self.opcodes < MAX_OPCODES:
            code = self._file.read(1).decode("latin-1")
            operation = OPERATIONS.get(code)
            if operation is None:
                raise NoPickle
            argument = self._argument(operation)
            self._apply(operation, argument)
            self.opcodes += 1
            if operation.name == "STOP":
                return True
        return False

    def _argument(self, operation: pickletools.OpcodeInfo) -> bytes:
        if operation.arg is None:
            return b""
        length = operation.arg.n
        if length == pickletools.UP_TO_NEWLINE:
            first = self._line(operation.name)
            return first + b" " + self._line(operation.name) if operation.name in ("GLOBAL", "INST") else first
        if length in LENGTHS:
            length = int.from_bytes(self._exactly(LENGTHS[length]), "little")
        return self._exactly(length)

    def _exactly(self, length: int) -> bytes:
        if length > self.left():
            raise NoPickle
        data = self._file.read(min(length, KEPT))
        self._file.seek(length - len(data), io.SEEK_CUR)
        return data

    def _line(self, name: str) -> bytes:
        line = self._file.readline(MAX_LINE)
        pattern = LINES.get(name)
        if pattern and not pattern.fullmatch(line.removesuffix(b"\n")):
            raise NoPickle
        end = line
        while not end.endswith(b"\n"):
            end = self._file.readline(MAX_LINE)
            if not end:
                raise NoPickle
        return line[:KEPT].rstrip(b"\n")

    def _apply(self, operation: pickletools.OpcodeInfo, argument: bytes) -> None:
        taken = self._take(operation)
        name = operation.name
        value: object = None
        if name in ("GLOBAL", "INST", "STACK_GLOBAL"):
            self.imports.append(_import(name, argument, taken))
        elif name.startswith("EXT"):
            raise NoPickle  # short for an import that this process would have to have registered
        elif "UNICODE" in name or "STRING" in name:
            value = argument.decode("utf-8", "replace").strip("'\"")
        elif "GET" in name:
            value = self._memo.get(_number(name, argument))
        elif name in ("DUP", "MEMOIZE"):
            value = taken[0]
        self._remember(name, argument, value)
        self.called |= name in CALLS and bool(self.imports)
        self._stack += [MARK] if name == "MARK" else [value] * len(operation.stack_after)

    def _remember(self, name: str, argument: bytes, value: object) -> None:
        if name == "MEMOIZE":
            self._memo[len(self._memo)] = value
        elif "PUT" in name:
            if not self._stack:
                raise NoPickle
            self._memo[_number(name, argument)] = self._stack[-1]

    def _take(self, operation: pickletools.OpcodeInfo) -> list[object]:
        before = operation.stack_before
        wanted = len(before)
        if pickletools.markobject in before:
            wanted = before.index(pickletools.markobject)
            if MARK not in self._stack:
                raise NoPickle
            while self._stack.pop() is not MARK:
                pass
        if wanted > len(self._stack):
            raise NoPickle
        taken = self._stack[len(self._stack) - wanted :]
        del self._stack[len(self._stack) - wanted :]
        if MARK in taken and operation.name != "POP":
            raise NoPickle
        return taken


def _number(name: str, argument: bytes) -> int:
    if name in ("GET", "PUT"):
        return int(re.sub(rb"\D.*", b"", argument.strip(), flags=re.DOTALL) or b"0")
    return int.from_bytes(argument, "little")


def _import(name: str, argument: bytes, taken: list[object]) -> str:
    parts = taken if name == "STACK_GLOBAL" else argument.decode("latin-1").split(" ")
    return ".".join(str(part) if part is not None else "?" for part in parts)[:KEPT]
