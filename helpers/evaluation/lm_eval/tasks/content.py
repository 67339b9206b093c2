"""Everything that decides a task's questions and scores: one list of files, and where the list cannot be complete."""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import packages_distributions, version
from itertools import islice
from pathlib import Path
from typing import Any

from helpers.datasets.files import files as files_below
from helpers.evaluation.lm_eval.tasks.catalogue import PACKAGE, Function, Member
from helpers.evaluation.lm_eval.tasks.sources import Source

MOST_FILES = 10_000  # in a task's folder; more is no folder of a task
LOCAL = {"lm_eval"}  # its version is part of every identity
ABOUT = {"readme.md", "use-case.yaml", "criteria.yaml"}  # beside the data, of no account for questions and scores
ENVIRONMENT = re.compile(rb"\benviron\b|\bgetenv\b")


@dataclass(frozen=True)
class Content:
    """The files by a name that is the same on every machine, the packages that code imports, and what escapes both."""

    files: Mapping[str, Path]
    packages: tuple[str, ...]
    gaps: tuple[str, ...]


def of_members(members: tuple[Member, ...], sources: Mapping[str, Source], root: Path | None) -> Content:
    """Return what the members are made of: their YAML with all that it includes, their code's folders, their data."""
    files: dict[str, Path] = {}
    gaps: dict[str, None] = {}
    packages: set[str] = set()
    folders: dict[Path, None] = {}
    for member in members:
        for path in (*member.read, *member.above):
            files[_name(path, root)] = path
        for function in _functions(member.config):
            if function.folder.is_relative_to(PACKAGE):
                continue
            folders[function.folder] = None
            module = function.rpartition(".")[0]
            if not (function.folder / f"{module.replace('.', '/')}.py").is_file():
                _import(module, packages, gaps)
        if member.config.get("use_prompt"):
            gaps[f"{member.name} takes its prompts from elsewhere (use_prompt)"] = None
        _of_source(member, sources[member.name], files, gaps)
    for folder in folders:
        found = list(_below(folder))
        if len(found) > MOST_FILES:
            gaps[f"{folder} holds more than {MOST_FILES:,} files"] = None
            continue
        files |= {_name(path, root): path for path in found}
    names = {path.stem for path in files.values()} | {path.parent.name for path in files.values()}
    for path in files.values():
        if path.suffix == ".py" and not path.is_relative_to(PACKAGE):
            _code(path, names, packages, gaps)
    return Content(files, tuple(sorted(packages)), tuple(gaps))


def _of_source(member: Member, source: Source, files: dict[str, Path], gaps: dict[str, None]) -> None:
    for number, path in enumerate(source.files):
        files[f"data of {member.name}, {number}: {path.name}"] = path
    if source.remote and not source.pinned:
        where = source.path if not source.kwargs.get("data_files") or "/" in source.path else "an address"
        gaps[f"the data of {member.name} lies at {where}, without a commit as its revision"] = None


def _functions(value: Any) -> Iterator[Function]:
    """Yield each `!function` of a configuration."""
    if isinstance(value, Function):
        yield value
    elif isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _functions(item)


def _below(folder: Path) -> Iterator[Path]:
    """Return the files in which a task's code may look, one more than MOST_FILES at most."""
    told = (path for path in files_below(folder) if path.name[0] != "." and path.name.lower() not in ABOUT)
    return islice(told, MOST_FILES + 1)


def _code(path: Path, names: set[str], packages: set[str], gaps: dict[str, None]) -> None:
    """Note what the code imports from elsewhere, and that it reads the environment."""
    raw = path.read_bytes()
    if ENVIRONMENT.search(raw):
        gaps[f"{path} reads environment variables"] = None
    try:
        tree = ast.parse(raw)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level and node.module:
            modules = [node.module]
        for module in modules:
            if module.partition(".")[0] not in names:
                _import(module, packages, gaps)


def _import(module: str, packages: set[str], gaps: dict[str, None]) -> None:
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top in LOCAL:
        return
    known = packages_distributions().get(top)
    if known:
        packages.add(f"{known[0]} {version(known[0])}")
    elif top:
        gaps[f"the task's code imports {top}, of which no version is known"] = None


def _name(path: Path, root: Path | None) -> str:
    return Path(os.path.relpath(path, root.resolve())).as_posix() if root else path.name
