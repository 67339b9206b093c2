"""Opening a stranger's file: never through a link, never a device, never waiting for someone to write."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

from helpers.errors import InvalidInput, RefusedModel

POINTER = 1024  # bytes that a Git LFS pointer may have
POINTS = b"version https://git-lfs.github.com/spec/"
SAVE = "Save it as plain UTF-8 text"


def open_file(path: Path) -> io.BufferedReader:
    """Return the open file; raises InvalidInput where it is no regular file or may not be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be read: {error.strerror}", do="Check the file and its permissions"
        ) from error
    file = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        file.close()
        raise InvalidInput(f"{path} is no regular file", do="Replace it by the file itself")
    return file


def read_text(path: Path, limit: int) -> str:
    """Return UTF-8 text of at most `limit` bytes; raises RefusedModel for more, other encodings and NUL."""
    with open_file(path) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise RefusedModel(f"is longer than {limit:,} bytes", do="Shorten it")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise RefusedModel(f"is not UTF-8: byte {error.start} is {data[error.start]:#04x}", do=SAVE) from error
    if "\0" in text:
        raise RefusedModel("has a NUL character", do=SAVE)
    return text


def is_pointer(path: Path) -> bool:
    """Return whether a small file is what Git leaves where the file itself was not fetched from Git LFS."""
    try:
        with open_file(path) as file:
            return file.read(len(POINTS)) == POINTS
    except InvalidInput:
        return False  # its own inspection says so
