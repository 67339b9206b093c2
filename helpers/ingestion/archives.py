"""Unpacking what a stranger packed: nothing lands outside of the folder, and nothing that could point there.

Members are read one after the other, in bounded memory; nothing is run.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import posixpath
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from helpers.errors import InvalidInput, RefusedModel, StoreFailed
from helpers.ingestion.findings import Finding
from helpers.ingestion.leaving import Leaving
from helpers.ingestion.names import collision_key, name_problems, path_problem, shown
from helpers.ingestion.policy import Limits

MOST = 100  # findings told of one archive
OUTSIDE = 1_000_000  # members of an image that are not below the prefix
CHUNK = 1 << 20
FREE, RATIO = 64 << 20, 100  # bytes that may come out of a file of any size, and bytes out per byte in
MAX_LIST = 6 << 20  # bytes of a zip archive's list; room for some 50,000 members
MAX_PAX = 100  # headers that hold for all members of a tar archive
FILE, FOLDER = "a file", "a folder"
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
XZ_MEMORY = 128 << 20  # twice what `xz -9` needs


class _Xz(io.RawIOBase):
    """An xz file, one stream after the other; its reader takes XZ_MEMORY at most, which `lzma.open` cannot be told."""

    def __init__(self, file: io.BufferedReader[Any]) -> None:
        self._file, self._reader = file, lzma.LZMADecompressor(memlimit=XZ_MEMORY)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            data = b""
            if self._reader.eof:
                data = self._reader.unused_data.lstrip(b"\0") or self._file.read(CHUNK).lstrip(b"\0")
                if not data:
                    return 0
                self._reader = lzma.LZMADecompressor(memlimit=XZ_MEMORY)
            elif self._reader.needs_input and not (data := self._file.read(CHUNK)):
                raise EOFError("the compressed file ends in the middle")
            if found := self._reader.decompress(data, len(buffer)):
                buffer[: len(found)] = found
                return len(found)


COMPRESSED: dict[bytes, Callable[[Any], Any]] = {
    b"\x1f\x8b\x08": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": _Xz,
}  # fmt: skip
ZSTD, ZIP = b"\x28\xb5\x2f\xfd", (b"PK\x03\x04", b"PK\x05\x06")
BROKEN = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error,
    EOFError, OSError, ValueError, NotImplementedError, RuntimeError, OverflowError,
)  # fmt: skip
TAKE_ANOTHER = "Do not use this file; take the model from its publisher"
REPACK = "Pack plain files under plain names"
WHITEOUT = ".wh."


class Member(NamedTuple):
    """One entry of an archive; `content` can be read until the next one is asked for."""

    name: str
    kind: str
    size: int
    content: Iterator[bytes]


def unpack(
    archive: Path, folder: Path, limits: Limits, *, prefix: str = "", leaving: Leaving | None = None
) -> list[Finding]:
    """Unpack a tar (plain, gzip, bzip2, xz) or zip archive below `folder`; return a finding for all that was left out.

    With `prefix` only what is below it comes out, without it: the layers of an image one after the other. What stays
    behind by `leaving` does not come out, either, be it in the archive's one folder or beside it.
    A file that is there already is never replaced. Raises StoreFailed where the disk is full.
    """
    with archive.open("rb") as file:
        return Unpacking(folder, limits, prefix, leaving).take_all(file, archive.stat().st_size, archive.name)


def is_archive(file: io.BufferedReader[Any]) -> bool:
    """Return whether an open file is a tar or zip archive, compressed or not."""
    head = file.peek(512)[:512]
    try:
        return head.startswith((*COMPRESSED, ZSTD, *ZIP)) or bool(
            tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
        )
    except tarfile.HeaderError:
        return False


def _members(file: io.BufferedReader[Any], size: int, most: int, limits: Limits) -> Iterator[Member]:
    """Yield the members of an archive. Raises RefusedModel for a broken one, a bomb, and one with too many members."""
    walk = _zip if file.peek(4)[:4] in ZIP else _tar
    try:
        for number, member in enumerate(walk(file, size, limits)):
            if number >= most:
                raise RefusedModel(f"has more than {most:,} members", do="Remove what the model does not need")
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


def _check_size(unpacked: int, packed: int, limits: Limits) -> None:
    if unpacked > FREE + packed * RATIO:
        raise RefusedModel(f"unpacks to more than {RATIO} times its size (a decompression bomb)", do=TAKE_ANOTHER)
    if unpacked > limits.total_bytes:
        raise RefusedModel(f"unpacks to more than {limits.total_bytes:,} bytes", do="Raise the policy's limit")


class _Capped:
    """A zip archive whose list of members is not read into memory where it is too long."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.seek, self.tell, self.seekable = file, file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        if size > MAX_LIST:
            raise RefusedModel(f"is a zip archive with a list of members of {size:,} bytes", do=TAKE_ANOTHER)
        return self._file.read(MAX_LIST if size < 0 else size)


def _zip(file: io.BufferedReader[Any], size: int, limits: Limits) -> Iterator[Member]:
    with zipfile.ZipFile(cast("BinaryIO", _Capped(file))) as archive:
        _check_size(sum(info.file_size for info in archive.infolist()), size, limits)
        for info in archive.infolist():
            yield Member(info.orig_filename, _zip_kind(info), info.file_size, _zip_content(archive, info))


def _zip_kind(info: zipfile.ZipInfo) -> str:
    mode = info.external_attr >> 16
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "a device or pipe"
    if info.flag_bits & 1:
        return "an encrypted file"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "a file that is compressed in an unusual way"
    return FOLDER if info.is_dir() else FILE


def _zip_content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    with archive.open(info) as member:  # reads file_size bytes at most and checks their CRC
        while data := member.read(CHUNK):
            yield data


class _Forward:
    """A tar archive, compressed or plain, that is read once, from its start to its end, within bounds."""

    def __init__(self, file: io.BufferedReader[Any], size: int, limits: Limits) -> None:
        self._size, self._limits = size, limits
        head = file.peek(6)
        if head.startswith(ZSTD):
            raise RefusedModel("is compressed with zstd, which cannot be read here", do="Compress it with gzip")
        opened = next((opened for magic, opened in COMPRESSED.items() if head.startswith(magic)), None)
        self._source: Any = opened(file) if opened else file
        self._position = 0
        self.header_budget = CHUNK  # bytes that may pass before the next member
        self.last = b""

    def read(self, size: int) -> bytes:
        """Return the next bytes, all of them unless the file ends. Raises RefusedModel beyond the bounds."""
        if size > CHUNK:
            raise RefusedModel(f"has a header of {size:,} bytes inside", do=TAKE_ANOTHER)
        self.header_budget -= size
        if self.header_budget < 0:
            raise RefusedModel("has headers without end inside", do=TAKE_ANOTHER)
        self.last = self.content(size)
        return self.last

    def content(self, size: int) -> bytes:
        """Return up to `size` bytes of a member, which do not count as headers."""
        data: bytes = self._source.read(min(size, CHUNK))
        self._position += len(data)
        _check_size(self._position, self._size, self._limits)
        return data

    def seek(self, position: int) -> int:
        """Skip forward. Raises RefusedModel where an archive points back."""
        if position < self._position:
            raise RefusedModel("points back into itself", do=TAKE_ANOTHER)
        while self._position < position and self.content(position - self._position):
            pass
        return self._position

    def tell(self) -> int:
        """Return the number of bytes that came out so far."""
        return self._position


def _tar(file: io.BufferedReader[Any], size: int, limits: Limits) -> Iterator[Member]:
    stream = _Forward(file, size, limits)
    with tarfile.open(fileobj=cast("BinaryIO", stream), mode="r:", errors="surrogateescape") as archive:
        while (info := archive.next()) is not None:
            yield Member(info.name, _tar_kind(info), info.size, _tar_content(stream, info.size))
            archive.members.clear()  # type: ignore[attr-defined]  # tarfile would remember each one
            if len(archive.pax_headers) > MAX_PAX:
                raise RefusedModel(f"has more than {MAX_PAX} pax headers for all members", do=TAKE_ANOTHER)
            stream.header_budget = CHUNK
    if stream.last.strip(b"\0"):  # tarfile takes a broken header for the end
        raise RefusedModel("is a broken archive: it does not end where its last member ends", do=TAKE_ANOTHER)
    while stream.content(CHUNK):
        pass  # the checksum of compressed data is at its end


def _tar_kind(info: tarfile.TarInfo) -> str:
    if info.issparse():
        return "a sparse file"
    kind = KINDS.get(info.type, "an entry of an unknown type")
    return f"{kind} to {shown(info.linkname)[:200]}" if info.type in (tarfile.SYMTYPE, tarfile.LNKTYPE) else kind


def _tar_content(stream: _Forward, size: int) -> Iterator[bytes]:
    while size > 0:
        data = stream.content(size)
        if not data:
            raise EOFError("it ends within a member")
        size -= len(data)
        yield data


class Unpacking:
    """What of an archive is on disk already."""

    def __init__(self, folder: Path, limits: Limits, prefix: str, leaving: Leaving | None = None) -> None:
        self._folder, self.limits, self.prefix, self._leaving = folder, limits, prefix, leaving
        self._seen: dict[str, str] = {}
        self.files = 0

    def take_all(self, file: io.BufferedReader[Any], size: int, name: str) -> list[Finding]:
        """Write every member of an open archive of so many bytes; return a finding for all that was left out."""
        findings: list[Finding] = []
        most = OUTSIDE if self.prefix else 2 * self.limits.files
        try:
            for member in _members(file, size, most, self.limits):
                findings += self.take(member)
                if len(findings) > MOST or self.files > self.limits.files:
                    break
        except InvalidInput as error:
            findings.append(Finding(shown(name), "archive", "high", error.what, error.do))
        if self.files > self.limits.files:
            problem = f"holds more than {self.limits.files} files"
            findings.append(Finding(shown(name), "count", "high", problem, REPACK))
        return findings

    def take(self, member: Member) -> list[Finding]:
        """Write one member, or return why not."""
        path, problem = _relative(member.name, self.prefix)
        if problem:
            return [Finding(shown(member.name), "path", "high", problem, TAKE_ANOTHER)]
        if not path:
            return list(_root_findings(member, self.prefix))
        if self._leaving and self._stays(path + "/" * (member.kind == FOLDER), self._leaving):
            return []
        findings = [*_member_findings(path, member, self.limits), *self._collisions(path, member)]
        if not findings and member.kind == FILE:
            findings += self.write(path, member)
        return findings

    @staticmethod
    def _stays(path: str, leaving: Leaving) -> bool:
        within = path.partition("/")[2]
        return leaving(path) or (within != "" and leaving(within))

    def _collisions(self, path: str, member: Member) -> Iterator[Finding]:
        parts = path.split("/")
        for length in range(1, len(parts) + 1):
            part = "/".join(parts[:length])
            first = self._seen.setdefault(collision_key(part), part)
            if first != part:
                problem = f"is the same name as {shown(first)} where case or accents do not count"
                yield Finding(shown(path), "name", "high", problem, REPACK)
                return

    def write(self, path: str, member: Member) -> list[Finding]:
        """Write a file, or return why not."""
        self.files += 1
        if self.files > self.limits.files:
            return []
        target = self._folder / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        except (FileExistsError, NotADirectoryError):
            return [_twice(path)]
        try:
            with os.fdopen(descriptor, "wb") as file:
                for data in member.content:
                    file.write(data)
        except OSError as error:
            raise StoreFailed(f"Could not unpack {target}: {error}", do="Free some space, then try again") from error
        return []


def _relative(name: str, prefix: str) -> tuple[str, str]:
    """Return a member's path below the prefix, empty for one that is not below it, and what is wrong with it."""
    if not prefix:
        path = name.removeprefix("./").rstrip("/")
        return ("", "") if path in ("", ".") and name[:1] != "/" else (path, path_problem(path))
    path = name.removeprefix("/").removeprefix("./").rstrip("/")
    if path.startswith(prefix):
        path = path.removeprefix(prefix)
        return path, path_problem(path)
    meant = posixpath.normpath("/" + name).lstrip("/")
    return "", f"is another spelling of {shown(meant)}" if meant.startswith(prefix) else ""


def _root_findings(member: Member, prefix: str) -> Iterator[Finding]:
    """Yield what is wrong with a member outside of the prefix: it may still move or hide the folder itself."""
    meant = posixpath.normpath("/" + member.name).lstrip("/")
    parent, _, name = meant.rpartition("/")
    around = f"{parent}/" if parent else ""
    hidden = name.removeprefix(WHITEOUT)
    if prefix.startswith(f"{meant}/") and member.kind != FOLDER:
        yield Finding(
            shown(meant), "link", "high", f"is {member.kind} where the model's folder should be", TAKE_ANOTHER
        )
    elif name != hidden and prefix.startswith(around) and (hidden.startswith(WHITEOUT) or hidden in prefix.split("/")):
        yield Finding(shown(meant), "archive", "high", "is a whiteout that hides the model's folder", TAKE_ANOTHER)


def _member_findings(path: str, member: Member, limits: Limits) -> Iterator[Finding]:
    file, parts = shown(path), path.split("/")
    if parts[-1].startswith(WHITEOUT):
        yield Finding(file, "archive", "high", "is a whiteout, which hides a file of an earlier layer", REPACK)
    else:
        for problem in dict.fromkeys(problem for part in parts for problem in name_problems(part)):
            yield Finding(file, "name", "high", problem, REPACK)
    if member.kind not in (FILE, FOLDER):
        yield Finding(file, _rule_of(member.kind), "high", f"is {member.kind}", REPACK)
    if member.size > limits.file_bytes:
        problem = f"has {member.size:,} bytes, more than the {limits.file_gib:g} GiB that the policy allows"
        yield Finding(file, "size", "medium", problem, "Remove it, or raise the policy's limit")


class Reading(Unpacking):
    """An archive as it passes by: the SHA-256 of every file, and the content of those that `keep` wants."""

    def __init__(self, limits: Limits, prefix: str, keep: Callable[[str], bool]) -> None:
        super().__init__(Path(), limits, prefix)
        self.keep = keep
        self.sums: dict[str, str] = {}
        self.kept: dict[str, bytes] = {}

    def know(self, sums: Mapping[str, str]) -> list[Finding]:
        """Take the SHA-256 of files that are not read; return a finding for each that is there already."""
        findings = [_twice(name) for name in sums if name in self.sums]
        self.sums.update(sums)
        return findings

    def write(self, path: str, member: Member) -> list[Finding]:
        """Hash a file, or return why not."""
        self.files += 1
        if path in self.sums:
            return [_twice(path)]
        value, wanted, content = hashlib.sha256(), self.keep(path), bytearray()
        for data in member.content:
            value.update(data)
            if wanted:
                content += data
        self.sums[path] = value.hexdigest()
        if wanted:
            self.kept[path] = bytes(content)
        return []


def _twice(path: str) -> Finding:
    problem = "is there already: twice in the archive, or in an earlier layer"
    return Finding(shown(path), "archive", "high", problem, REPACK)


def _rule_of(kind: str) -> str:
    if "link" in kind:
        return "link"
    return "special-file" if "device" in kind or "pipe" in kind else "archive"
