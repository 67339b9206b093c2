"""What a file really is, by the bytes that its kind always has at the same place."""

from __future__ import annotations

import re
from typing import BinaryIO, NamedTuple

HEAD = 4096
HDF5 = b"\x89HDF\r\n\x1a\n"
SCRIPT = re.compile(rb"(?:\xef\xbb\xbf)?#![ \t]*/")
PROGRAM = "a program"


class Magic(NamedTuple):
    """Bytes at an offset, what a file is that has them, and the suffixes under which it may be that."""

    start: bytes
    what: str
    suffixes: tuple[str, ...] = ()
    offset: int = 0


MAGICS = (
    Magic(b"\x7fELF", "a program or library for Linux (ELF)"),
    Magic(b"\xfe\xed\xfa\xce", "a program for macOS (Mach-O)"),
    Magic(b"\xfe\xed\xfa\xcf", "a program for macOS (Mach-O)"),
    Magic(b"\xce\xfa\xed\xfe", "a program for macOS (Mach-O)"),
    Magic(b"\xcf\xfa\xed\xfe", "a program for macOS (Mach-O)"),
    Magic(b"\xca\xfe\xba\xbe", "a program for macOS (Mach-O) or Java"),
    Magic(b"\0asm", "a WebAssembly program"),
    Magic(b"BC\xc0\xde", "LLVM bitcode"),
    Magic(b"\x1bLua", "a Lua program"),
    Magic(b"\xac\xed\x00\x05", "serialized Java objects"),
    Magic(b"\x4c\x00\x00\x00\x01\x14\x02\x00", "a Windows shortcut"),
    Magic(b"GGUF", "a GGUF model", (".gguf",)),
    Magic(b"tjgg", "a GGML model", (".ggml",)),
    Magic(b"lmgg", "a GGML model", (".ggml",)),
    Magic(b"\x93NUMPY", "a NumPy array, which may hold a pickle", (".npy",)),
    Magic(b"TFL3", "a TensorFlow Lite model", (".tflite",), 4),
    Magic(b"SQLite format 3\0", "an SQLite database", (".sqlite", ".db")),
    Magic(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document"),
    Magic(b"%PDF-", "a PDF document", (".pdf",)),
    Magic(b"\x89PNG\r\n\x1a\n", "a PNG image", (".png",)),
    Magic(b"GIF8", "a GIF image", (".gif",)),
    Magic(b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    Magic(b"Rar!\x1a\x07", "a RAR archive"),
    Magic(b"\x04\x22\x4d\x18", "an LZ4 archive"),
    Magic(b"LZIP", "an lzip archive"),
    Magic(b"MSCF", "a cabinet archive"),
    Magic(b"!<arch>\n", "an ar archive"),
    Magic(b"CD001", "an ISO 9660 image", (), 32769),
)


def disguise(file: BinaryIO, suffix: str) -> str:
    """Return what a file is where its suffix does not say so, empty where nothing speaks against its name."""
    file.seek(0)
    head = file.read(HEAD)
    for magic in MAGICS:
        if suffix not in magic.suffixes and _at(file, head, magic.offset, len(magic.start)) == magic.start:
            return magic.what
    if any(_at(file, head, offset, 8) == HDF5 for offset in (0, *(512 << step for step in range(8)))):
        return "" if suffix in (".h5", ".hdf5", ".keras") else "an HDF5 file, as which Keras saves models with code"
    if head.startswith(b"MZ") and _at(file, head, int.from_bytes(head[60:64], "little"), 4) == b"PE\0\0":
        return "a program or library for Windows (PE)"
    if head[2:4] == b"\r\n" and 3000 < int.from_bytes(head[:2], "little") < 4000:
        return "compiled Python code"
    return "a script" if SCRIPT.match(head) else ""


def _at(file: BinaryIO, head: bytes, offset: int, length: int) -> bytes:
    if offset + length <= len(head):
        return head[offset : offset + length]
    file.seek(offset)
    return file.read(length)
