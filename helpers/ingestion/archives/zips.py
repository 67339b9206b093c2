"""Zip archives by their end, as readers find them: also behind other bytes, and bounded before anything is parsed."""

from __future__ import annotations

import io
import stat
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from helpers.errors import RefusedModel
from helpers.ingestion.archives.streams import CHUNK, FREE, TAKE_ANOTHER, Bounds

if TYPE_CHECKING:
    from zipfile import ZipFile, ZipInfo

END, END64, LOCATOR, ENTRY = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07", b"PK\x01\x02"
TAIL = 22 + 0xFFFF
MAX_DIRECTORY = 6 << 20  # bytes; room for some 50,000 members
STORED, DEFLATED = 0, 8


def directory_size(file: BinaryIO) -> int:
    """Return the size of the list of members of the zip archive that a file ends with, 0 where it ends with none.

    Only an end record counts whose list is really there, so random bytes never do.
    """
    size = file.seek(0, io.SEEK_END)
    start = max(0, size - TAIL)
    file.seek(start)
    tail = file.read(TAIL)
    found = tail.rfind(END)
    while found >= 0:
        if listed := _size_at(file, start + found, tail[found : found + 22], size):
            return listed
        found = tail.rfind(END, 0, found)
    return 0


def _size_at(file: BinaryIO, position: int, record: bytes, file_size: int) -> int:
    if len(record) < 22:
        return 0
    size, offset, comment = struct.unpack("<12xIIH", record)
    if position + 22 + comment > file_size:
        return 0
    file.seek(max(0, position - 76))
    both = file.read(min(76, position))
    if both[-20:-16] == LOCATOR and both[:4] == END64:  # PyTorch writes it for small archives too
        (size, offset), position = struct.unpack("<40xQQ", both[:56]), position - 76
    for place in (position - size, offset):  # where it is, and where it would be without bytes before the archive
        if size >= 46 and 0 <= place <= file_size - size:
            file.seek(place)
            if file.read(4) == ENTRY:
                return size
    return 0


def zip_members(file: BinaryIO, bounds: Bounds) -> Iterator[tuple[str, str, int, Iterator[bytes]]]:
    """Yield name, kind, size and content of each member. Raises RefusedModel for what no one should unpack."""
    from zipfile import ZipFile

    listed = directory_size(file)
    if not listed:
        raise RefusedModel("is a zip archive without a list of its members at its end", do=TAKE_ANOTHER)
    if listed > MAX_DIRECTORY:
        raise RefusedModel(f"is a zip archive with a list of members of {listed:,} bytes", do=TAKE_ANOTHER)
    archive_size = file.seek(0, io.SEEK_END)
    with ZipFile(file) as archive:
        members = archive.infolist()
        if len(members) > bounds.members:
            raise RefusedModel(f"has more than {bounds.members:,} members", do="Remove what the model does not need")
        _refuse_bomb(sum(info.file_size for info in members), archive_size, bounds)
        for info in members:
            yield info.orig_filename, _kind(info), info.file_size, _content(archive, info)


def _refuse_bomb(unpacked: int, size: int, bounds: Bounds) -> None:
    if unpacked > FREE + size * bounds.ratio:
        raise RefusedModel(
            f"unpacks to more than {bounds.ratio} times its size (a decompression bomb)", do=TAKE_ANOTHER
        )
    if unpacked > bounds.total_bytes:
        raise RefusedModel(
            f"unpacks to more than {bounds.total_bytes:,} bytes", do="Raise the policy's limit, if it is right"
        )


def _kind(info: ZipInfo) -> str:
    mode = info.external_attr >> 16
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "a device or pipe"
    if info.flag_bits & 1:
        return "an encrypted file"
    if info.compress_type not in (STORED, DEFLATED):
        return "a file that is compressed in an unusual way"
    return "a folder" if info.is_dir() else "a file"


def _content(archive: ZipFile, info: ZipInfo) -> Iterator[bytes]:
    with archive.open(info) as member:  # reads file_size bytes at most and checks their CRC
        while data := member.read(CHUNK):
            yield data
