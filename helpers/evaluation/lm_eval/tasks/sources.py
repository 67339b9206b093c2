"""Where a task's data lies: on this machine, or to be downloaded."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers.datasets.files import files as files_below
from helpers.errors import InvalidDataset
from helpers.evaluation.lm_eval.tasks.catalogue import Member

# Formats that `datasets` reads from files that the task names; every other name is a folder or lies on a hub.
FORMATS = {"json", "csv", "parquet", "arrow", "text", "pandas", "xml", "webdataset", "conll"} | {
    f"{kind}folder" for kind in ("image", "audio", "video", "pdf")
}
COMMIT = re.compile(r"[0-9a-f]{40}")
PINNED_FILE = re.compile(r"hf://datasets/[^@]+@[0-9a-f]{40}/")
EXPLICIT = ("./", "../", "/", "~")


@dataclass(frozen=True)
class Source:
    """How `datasets.load_dataset` is to be called, with local names made absolute, and the local files that it reads.

    `by_code`: the task's own code loads the data, from wherever it likes.
    """

    path: str = ""
    name: str | None = None
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    remote: bool = False
    pinned: bool = True
    by_code: bool = False


def locate(member: Member) -> Source:
    """Return where the member's data lies; raises InvalidDataset naming every file that is not there."""
    config = member.config
    if config.get("custom_dataset") or (config.get("class") and not config.get("dataset_path")):
        return Source(by_code=True)
    path, name = config.get("dataset_path"), config.get("dataset_name")
    kwargs = {key: value for key, value in (config.get("dataset_kwargs") or {}).items() if key != "trust_remote_code"}
    if not isinstance(path, str) or not path:
        raise InvalidDataset(
            f"{member.file}, field dataset_path: {member.name} names no data",
            do="Write json, csv or parquet with dataset_kwargs.data_files, a folder, or the data set's name on the hub",
        )
    if path in FORMATS:
        return _of_a_format(member, path, name, kwargs)
    if folder := _folder(member, path):
        return Source(str(folder), name, kwargs, tuple(sorted(files_below(folder))))
    if path.startswith(EXPLICIT):
        raise InvalidDataset(
            f"{member.file}, field dataset_path: there is no folder {path}",
            do="Put the data there or correct the path; a relative one starts at the YAML's folder",
        )
    return Source(path, name, kwargs, remote=True, pinned=bool(COMMIT.fullmatch(str(kwargs.get("revision", "")))))


def _of_a_format(member: Member, path: str, name: str | None, kwargs: dict[str, Any]) -> Source:
    named = [*_names(kwargs.get("data_files")), *_names(kwargs.get("data_dir"))]
    if not named:
        raise InvalidDataset(
            f"{member.file}, field dataset_kwargs.data_files: {member.name} names no file", do="Name the data files"
        )
    local = [item for item in named if "://" not in item]
    base = _base(member, local)
    placed = {
        key: _placed(base, value) if key in ("data_files", "data_dir") else value for key, value in kwargs.items()
    }
    files = dict.fromkeys(file for item in local for file in _matches(base, item))
    elsewhere = [item for item in named if "://" in item]
    pinned = all(PINNED_FILE.match(item) for item in elsewhere)
    return Source(path, name, placed, tuple(files), bool(elsewhere), pinned)


def _names(value: Any) -> list[str]:
    """Return the names in data_files: a string, a list, or either for each split."""
    if isinstance(value, Mapping):
        return [name for item in value.values() for name in _names(item)]
    return [name for item in value for name in _names(item)] if isinstance(value, list) else [str(value)] * bool(value)


def _placed(base: Path, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _placed(base, item) for key, item in value.items()}
    if isinstance(value, list):
        return [_placed(base, item) for item in value]
    return value if "://" in str(value) else str(base / Path(str(value)).expanduser())


def _base(member: Member, names: list[str]) -> Path:
    """Return the folder where the relative names hold; lm-eval itself takes the working directory."""
    bases = dict.fromkeys([Path.cwd(), *(folder for file in member.read for folder in file.parents)])
    for base in bases:
        if all(_matches(base, name) for name in names):
            return base
    here = member.file.parent
    missing = [name for name in names if not _matches(here, name)] or names
    raise InvalidDataset(
        f"{member.file}, field dataset_kwargs.data_files: there is no {', '.join(missing)}",
        do="Put the data there or correct the name; a relative one starts at the YAML's folder",
    )


def _matches(base: Path, name: str) -> tuple[Path, ...]:
    """Return the files that a name stands for: a file's, a folder's, or a pattern's."""
    path = base / Path(name).expanduser()
    if path.is_file():
        return (path,)
    if path.is_dir():
        return tuple(sorted(files_below(path)))
    found = glob.glob(str(path), recursive=True) if glob.has_magic(str(path)) else []
    return tuple(sorted(match for item in found if (match := Path(item)).is_file()))


def _folder(member: Member, path: str) -> Path | None:
    """Return the folder that dataset_path names, if any: a plain name only beside the YAML, else it is a hub's."""
    asked = Path(path).expanduser()
    beside = (file.parent for file in member.read)
    above = (folder for file in member.read for folder in file.parents)
    bases = dict.fromkeys([Path.cwd(), *(above if path.startswith(EXPLICIT) else beside)])
    return next((found for base in bases if (found := base / asked).is_dir() and any(found.iterdir())), None)


def rows_of(files: Iterable[Path]) -> list[Path]:
    """Return those that hold one JSON object a line."""
    return [path for path in files if path.suffix == ".jsonl"]
