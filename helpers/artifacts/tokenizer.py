"""The tokenizer as one file between the stages: a pipeline's nodes hand over single files with fixed names."""

from __future__ import annotations

import hashlib
import io
import shutil
import tempfile
import zipfile
from fnmatch import fnmatch
from pathlib import Path

from helpers.artifacts.base import FOLDER, write_atomic
from helpers.errors import ArtifactMissing, InvalidInput, StoreFailed

TOKENIZER = "tokenizer.zip"
# What tells how a text becomes tokens, and config.json, which tells AutoTokenizer whose class that is.
FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "vocab.txt", "merges.txt", "*.model", "*.tiktoken", "tekken.json", "chat_template.jinja", "chat_template.json",
    "config.json",
)  # fmt: skip
MOST_BYTES = 512 << 20


def is_tokenizer_file(name: str) -> bool:
    """Return whether a file of a model, by its path in the model, belongs to the tokenizer."""
    return "/" not in name and any(fnmatch(name, pattern) for pattern in FILES)


def pack_tokenizer(model: Path | None, folder: Path = FOLDER) -> Path:
    """Write the tokenizer files of a model's folder as `tokenizer.zip`; the same files give the same bytes.

    Where there is no tokenizer the archive is empty: a pipeline's nodes hand over the files that they declare.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        found = [path for path in model.iterdir() if path.is_file() and is_tokenizer_file(path.name)] if model else []
        for path in sorted(found):
            archive.writestr(zipfile.ZipInfo(path.name), path.read_bytes(), zipfile.ZIP_DEFLATED)
    return write_atomic(folder / TOKENIZER, buffer.getvalue())


def unpack_tokenizer(path: Path) -> Path:
    """Return a folder with the files of a packed tokenizer. Raises ArtifactMissing, InvalidInput or StoreFailed."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ArtifactMissing(f"{path} is not there", do="Run deploy_model first") from error
    folder = path.with_name(f".tokenizer-{hashlib.sha256(data).hexdigest()[:16]}")
    if folder.is_dir():
        return folder
    try:
        with tempfile.TemporaryDirectory(dir=folder.parent) as draft:
            _unpack(path, data, Path(draft, "whole"))
            if not folder.is_dir():
                Path(draft, "whole").rename(folder)
    except OSError as error:
        if folder.is_dir():  # another stage was faster
            return folder
        raise StoreFailed(f"Could not unpack {path}: {error.strerror}", do="Free some space, then try again") from error
    return folder


def _unpack(path: Path, data: bytes, folder: Path) -> None:
    folder.mkdir()
    left = MOST_BYTES
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for item in archive.infolist():
                left -= item.file_size
                if left < 0 or not is_tokenizer_file(item.filename):
                    raise InvalidInput(f"{path} holds {item.filename!r:.200}, no tokenizer's file", do="Do not use it")
                with archive.open(item) as source, (folder / item.filename).open("wb") as target:
                    shutil.copyfileobj(source, target)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise InvalidInput(f"{path} is no zip archive: {error}", do="Run deploy_model again") from error
