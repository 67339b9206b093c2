"""The members of tar and zip archives, one after the other, in bounded memory; nothing is written or run."""

from __future__ import annotations

import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, cast

from helpers.errors import RefusedModel
from helpers.ingestion.archives.streams import CHUNK, TAKE_ANOTHER, Bounds, Forward, compression
from helpers.ingestion.archives.zips import directory_size, zip_members
from helpers.ingestion.names import shown

FILE, FOLDER = "a file", "a folder"
BROKEN = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error,
    EOFError, OSError, ValueError, NotImplementedError, RuntimeError, OverflowError,
)  # fmt: skip
KINDS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a character device",
    tarfile.BLKTYPE: "a block device",
    tarfile.FIFOTYPE: "a named pipe",
    tarfile.DIRTYPE: FOLDER,
    tarfile.REGTYPE: FILE,
    tarfile.AREGTYPE: FILE,
}
MAX_PAX = 100  # headers that hold for all members of a tar archive


class Member(NamedTuple):
    """One entry of an archive; `content` can be read until the next one is asked for."""

    name: str
    kind: str
    size: int
    content: Iterator[bytes]


def archive_kind(file: BinaryIO) -> str:
    """Return zip, tar, the name of a compression, or nothing for a file that is no archive at its start or its end."""
    file.seek(0)
    head = file.read(512)
    if packed := compression(head):
        return packed
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")) or directory_size(file):
        return "zip"
    return "tar" if _is_tar_header(head) else ""


def _is_tar_header(head: bytes) -> bool:
    try:
        return len(head) == 512 and bool(tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape"))
    except tarfile.HeaderError:
        return False


def members(file: BinaryIO, bounds: Bounds) -> Iterator[Member]:
    """Yield the members of a tar (plain, gzip, bzip2, xz) or zip archive.

    Raises RefusedModel for a broken one, for one beyond the bounds and for a decompression bomb.
    """
    walk = _zip if archive_kind(file) == "zip" else _tar
    file.seek(0)
    try:
        for number, member in enumerate(walk(file, bounds)):
            if number >= bounds.members:
                raise RefusedModel(
                    f"has more than {bounds.members:,} members", do="Remove what the model does not need"
                )
            yield member._replace(content=_guarded(member.content))
    except BROKEN as error:
        raise _broken(error) from error


def _guarded(content: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from content
    except BROKEN as error:
        raise _broken(error) from error


def _broken(error: Exception) -> RefusedModel:
    return RefusedModel(f"is a broken archive: {str(error)[:120] or type(error).__name__}", do=TAKE_ANOTHER)


def _zip(file: BinaryIO, bounds: Bounds) -> Iterator[Member]:
    return (Member(*found) for found in zip_members(file, bounds))


def _tar(file: BinaryIO, bounds: Bounds) -> Iterator[Member]:
    stream = Forward(file, bounds)
    with tarfile.open(fileobj=cast("BinaryIO", stream), mode="r:", errors="surrogateescape") as archive:
        while (info := archive.next()) is not None:
            yield Member(info.name, _kind(info), info.size, _content(stream, info.size))
            archive.members.clear()  # type: ignore[attr-defined]  # tarfile would remember each one
            if len(archive.pax_headers) > MAX_PAX:
                raise RefusedModel(f"has more than {MAX_PAX} pax headers for all members", do=TAKE_ANOTHER)
            stream.header_budget = CHUNK
    if stream.last.strip(b"\0"):  # tarfile takes a broken header for the end
        raise RefusedModel("is a broken archive: it does not end where its last member ends", do=TAKE_ANOTHER)
    while stream.content(CHUNK):
        pass  # the checksum of compressed data is at its end


def _kind(info: tarfile.TarInfo) -> str:
    if info.issparse():
        return "a sparse file"
    kind = KINDS.get(info.type, "an entry of an unknown type")
    return f"{kind} to {shown(info.linkname)[:200]}" if info.type in (tarfile.SYMTYPE, tarfile.LNKTYPE) else kind


def _content(stream: Forward, size: int) -> Iterator[bytes]:
    while size > 0:
        data = stream.content(size)
        if not data:
            raise EOFError("it ends within a member")
        size -= len(data)
        yield data
