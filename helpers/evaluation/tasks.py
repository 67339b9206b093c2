"""Find the task and check its data before a server is bothered."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from helpers.errors import InvalidDataset, UnknownTask
from helpers.evaluation.settings import Settings


class _TaskLoader(yaml.SafeLoader):
    """Reads lm-eval's YAML without running what `!function` names."""


_TaskLoader.add_multi_constructor("!", lambda loader, suffix, node: str(node.value))

_OUR_LOADER = "questions.load"


@dataclass(frozen=True)
class Task:
    """An lm-eval task that exists; `file` and `data` are None for lm-eval's own tasks."""

    name: str
    file: Path | None = None
    data: tuple[Path, ...] = ()
    questions: int | None = None
    digest: str | None = None
    folder: Path | None = None

    @property
    def local(self) -> bool:
        """Whether the task stands under the include path, so that nothing has to be downloaded."""
        return self.file is not None


def check_task(settings: Settings) -> Task:
    """Find the task and validate every row of its data; raises UnknownTask or InvalidDataset."""
    found = dict(_local_tasks(settings.include_path)) if settings.include_path else {}
    if settings.task in found:
        return _local(settings.task, *found[settings.task])
    known = _known_to_lm_eval(settings.include_path)
    if settings.task in known:
        return Task(settings.task)
    closest = difflib.get_close_matches(settings.task, [*found, *known], n=3, cutoff=0.5)
    where = f" under {settings.include_path}" if settings.include_path else ""
    raise UnknownTask(
        f"lm-eval knows no task {settings.task!r}{where}"
        + (f"; the closest are {', '.join(closest)}" if closest else ""),
        do="Set TASK to one of these, or INCLUDE_PATH to the folder that holds the task's YAML",
    )


def _local_tasks(folder: Path) -> Iterator[tuple[str, tuple[Path, dict[str, Any]]]]:
    if not folder.is_dir():
        raise UnknownTask(
            f"The include path {folder} is not a folder", do="Set INCLUDE_PATH to the folder that holds the task's YAML"
        )
    for path in sorted([*folder.rglob("*.yaml"), *folder.rglob("*.yml")]):
        try:
            config = yaml.load(path.read_text("utf-8"), _TaskLoader)
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UnknownTask(f"{path} cannot be read as YAML: {error}", do="Correct this file") from error
        name = (config.get("task") or config.get("group")) if isinstance(config, dict) else None
        if isinstance(name, str):
            yield name, (path.resolve(), config)


def _local(name: str, file: Path, config: dict[str, Any]) -> Task:
    """Locate the data files and validate those in our own format."""
    named = (config.get("dataset_kwargs") or {}).get("data_files") or {}
    names = list(named.values()) if isinstance(named, dict) else [named] if isinstance(named, str) else list(named)
    folder = _base(file, [str(item) for item in names])
    data = tuple(folder / str(item) for item in names)
    # Our own format: the rows stand beside the YAML, under the task's name.
    ours = file.with_name(f"{name}.jsonl")
    if data != (ours,) and config.get("custom_dataset") != _OUR_LOADER:
        return Task(name, file, data, folder=folder)
    from helpers import datasets

    return Task(name, file, (ours,), len(datasets.load_questions(ours)), datasets.digest(ours), folder)


def _base(file: Path, names: list[str]) -> Path:
    """Return the folder where the YAML's relative file names hold; lm-eval itself takes the working directory."""
    for base in (Path.cwd(), *file.parents):
        if all((base / name).exists() for name in names):
            return base
    raise InvalidDataset(
        f"{file}, field dataset_kwargs.data_files: there is no {', '.join(names)}",
        do="Put the data file there or correct the name",
    )


def _known_to_lm_eval(include_path: Path | None) -> list[str]:
    """Return every name that lm-eval knows; indexing its thousands of files takes many seconds."""
    from lm_eval.tasks import TaskManager

    return TaskManager(include_path=include_path).all_tasks
