"""How a user's own data reach the notebooks: placed beside them, handed on by an earlier stage, or from the store."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from helpers import storage
from helpers.artifacts import FOLDER
from helpers.datasets.files import files
from helpers.errors import InvalidDataset, NotFound
from helpers.runtime.parameters import UNSAFE

PACKED = "data.zip"  # in the folder of artifacts
GIVEN = "given"  # beside the notebooks: what the user named elsewhere
USE_CASES = "datasets"
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")  # a use case by its name, with or without a folder
GIT = re.compile(r"git\+(?P<url>(https|ssh|file)://[^\s@#]+)@(?P<commit>[0-9a-f]{40})(#(?P<folder>[^\s#]+))?")
MOST_BYTES, MOST_FILES = 200 << 20, 5000  # of one parameter; each node that needs them gets a copy


def remote(value: str) -> bool:
    """Return whether a value names what has to be fetched."""
    return value.startswith(("s3://", "git+"))


def place(name: str, value: str) -> str:
    """Return where the notebooks find what parameter `name` names: the path as it is, another one for an address."""
    if found := GIT.fullmatch(value):
        repository = PurePosixPath(found["url"]).name.removesuffix(".git")
        return given(name, "-".join([repository, found["commit"][:12], *PurePosixPath(found["folder"] or "").parts]))
    if name == "USE_CASE" and LABEL.fullmatch(value):
        return f"{USE_CASES}/{value}"
    return given(name, PurePosixPath(value).name) if remote(value) else value


def given(name: str, file: str) -> str:
    """Return where data from elsewhere lie beside the notebooks, in characters that travel through a shell."""
    return f"{GIVEN}/{name.lower()}/{UNSAFE.sub('_', file)}"


def located(name: str, value: str, folder: Path = FOLDER) -> str:
    """Return the path of what parameter `name` names, unpacked or fetched if it is not there.

    Raises what `fetch` raises for an address, and nothing for a path: who reads it looks.
    """
    path = Path(place(name, value))
    if not path.exists() and (folder / PACKED).is_file():
        with zipfile.ZipFile(folder / PACKED) as archive:
            archive.extractall(Path.cwd())
    if not path.exists() and remote(value):
        fetch(value, path)
    return str(path) if value else value


def fetch(uri: str, path: Path) -> Path:
    """Download an object, all objects under a prefix, or a folder of a repository.

    Raises NotFound, StoreFailed or StoreUnreachable, and InvalidDataset for a repository.
    """
    if uri.startswith("git+"):
        return _fetch_commit(uri, path)
    uri = uri.rstrip("/")
    if storage.exists(uri):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.part")
        with draft.open("wb") as file:
            file.writelines(storage.stream(uri))
        draft.replace(path)
    elif storage.listing(uri):
        storage.fetch(uri, path)
    else:
        raise NotFound(f"{uri} is not in the store", do="Check the address, or upload the data")
    return path


def _fetch_commit(uri: str, path: Path) -> Path:
    """Check one commit out and keep the folder that the address names; no link in it is followed."""
    found = GIT.fullmatch(uri)
    if not found or ".." in PurePosixPath(found["folder"] or "").parts:
        raise InvalidDataset(
            f"{uri.partition('://')[0]}://… names no commit of a repository",
            do="Write git+https://host/repository@COMMIT#FOLDER, with 40 hexadecimal digits and without a login",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".git-", dir=path.parent) as draft:
        for command in (
            ["init", "-q"],
            ["fetch", "-q", "--depth", "1", found["url"], found["commit"]],
            ["-c", "core.symlinks=false", "checkout", "-q", "FETCH_HEAD"],
        ):
            _git(draft, command, uri)
        shutil.rmtree(Path(draft, ".git"))
        whole = Path(draft, found["folder"] or "")
        if not whole.is_dir():
            raise InvalidDataset(f"{uri} has no folder {found['folder']}", do="Correct what stands behind #")
        shutil.copytree(whole, path, dirs_exist_ok=True)
    return path


def _git(folder: str, command: list[str], uri: str) -> None:
    environment = os.environ | {"GIT_TERMINAL_PROMPT": "0"}
    try:
        subprocess.run(["git", *command], cwd=folder, env=environment, check=True, capture_output=True, text=True,
                       timeout=300)  # fmt: skip
    except FileNotFoundError as error:
        raise InvalidDataset(
            f"{uri} cannot be fetched: there is no git here",
            do="Submit with `make submit`, which fetches it on your machine, or upload the folder to s3://bucket/prefix",
        ) from error
    except subprocess.SubprocessError as error:
        said = " ".join((getattr(error, "stderr", "") or str(error)).split())[:300]
        raise InvalidDataset(
            f"{uri} cannot be fetched: {said}", do="Correct address and commit, or log git in"
        ) from error


def pack(paths: Iterable[Path], folder: Path = FOLDER) -> Path:
    """Write files and folders, named from here, into one archive for the stages after this one."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / PACKED
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in dict.fromkeys(Path(os.path.relpath(file)) for path in paths for file in bounded(path)):
            archive.write(file)
    return target


def bounded(path: Path) -> Iterator[Path]:
    """Yield a file, or those below a folder. Raises InvalidDataset for what is too much to travel with a node."""
    size = count = 0
    for file in [path] if path.is_file() else files(path):
        size, count = size + file.stat().st_size, count + 1
        if size > MOST_BYTES or count > MOST_FILES:
            raise InvalidDataset(
                f"{path} is more than {MOST_BYTES >> 20} MiB or {MOST_FILES:,} files, too much to travel with a node",
                do="Name a folder with the task alone, or upload the data and name them as s3://bucket/prefix",
            )
        yield file
