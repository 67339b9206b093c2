"""Every task, group and tag by name, read as lm-eval reads them, without running what `!function` names."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import yaml

from helpers.errors import UnknownTask

_SPEC = find_spec("lm_eval")
PACKAGE = Path(_SPEC.origin).parent if _SPEC and _SPEC.origin else Path("lm_eval")  # where it is not installed
CACHES = {"__pycache__", ".ipynb_checkpoints"}
UNREADABLE = (yaml.YAMLError, ValueError, OSError, TypeError, AttributeError, RecursionError)
# What describes a group; everything else in its YAML is handed down to its tasks.
OF_A_GROUP = {"group", "group_alias", "task", "aggregate_metric_list", "metadata", "tag", "include"}


class Function(str):
    """What `!function` names, module and function, and the folder of the YAML that says so."""

    folder: Path


@dataclass(frozen=True)
class Entry:
    """A name that can be asked for; `read` holds its YAML file and what that includes, `tagged` a tag's tasks."""

    kind: Literal["task", "group", "tag"]
    config: Mapping[str, Any] = field(default_factory=dict)
    read: tuple[Path, ...] = ()
    tagged: tuple[str, ...] = ()


@dataclass(frozen=True)
class Member:
    """One task of those that a name stands for, with what its groups hand down to it."""

    name: str
    config: Mapping[str, Any]
    read: tuple[Path, ...]
    above: tuple[Path, ...] = ()  # the YAML of the groups through which it was found

    @property
    def file(self) -> Path:
        """Its YAML file."""
        return self.read[0]


class Catalogue:
    """What stands below the include path; lm-eval's own collection is read when a name needs it."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.collection = False  # whether lm-eval's own collection was needed
        self._entries: dict[str, Entry] = {}
        self._twice: dict[str, list[Path]] = {}
        self._unread: dict[Path, str] = {}
        if folder:
            if not folder.is_dir():
                raise UnknownTask(
                    f"The include path {folder} is not a folder",
                    do="Set INCLUDE_PATH to the folder that holds the task's YAML",
                )
            for path in _yaml_files(folder):
                self._add(path)

    def members(self, name: str) -> tuple[Member, ...]:
        """Return the tasks that the name stands for, each once; raises UnknownTask."""
        found = {member.name: member for member in self._members(name, {}, (), ())}
        if not found:
            raise UnknownTask(f"{self._named(name)} holds no task", do="List its tasks under `task:`")
        return tuple(found.values())

    def groups(self, name: str) -> bool:
        """Return whether the name stands for several tasks: a group or a tag."""
        return self._entry(name).kind != "task"

    def _add(self, path: Path) -> None:
        try:
            config, read = read_yaml(path)
        except UNREADABLE as error:
            self._unread[path] = " ".join(str(error).split())[:300]
            return
        kind: Literal["task", "group"] = "group" if "group" in config and "class" not in config else "task"
        name = config.get(kind)
        if not isinstance(name, str):
            return
        if name in self._entries:
            self._twice.setdefault(name, []).append(path)
            return
        self._entries[name] = Entry(kind, config, read)
        for tag in _listed(config.get("tag")) if kind == "task" else ():
            known = self._entries.setdefault(tag, Entry("tag"))
            self._entries[tag] = Entry(known.kind, known.config, known.read, (*known.tagged, name))

    def _entry(self, name: str) -> Entry:
        if name not in self._entries and not self.collection:
            self._explain(name)
            self._read_collection()
        if name not in self._entries:
            raise self._unknown(name)
        entry = self._entries[name]
        if others := self._twice.get(name):
            first = entry.read or self._entries[entry.tagged[0]].read
            places = " and ".join(str(path) for path in (first[0], *others))
            raise UnknownTask(f"The name {name} is given twice: in {places}", do="Give one of them another name")
        return entry

    def _members(
        self, name: str, inherited: Mapping[str, Any], above: tuple[str, ...], files: tuple[Path, ...]
    ) -> Iterator[Member]:
        entry = self._entry(name)
        if name in above:
            raise UnknownTask(f"The group {name} contains itself: {' > '.join((*above, name))}", do="Break the circle")
        if entry.kind == "tag":
            for task in sorted(entry.tagged):
                yield from self._members(task, inherited, (*above, name), files)
        elif entry.kind == "group":
            yield from self._children(name, entry, inherited, (*above, name), (*files, *entry.read))
        else:
            yield Member(name, {**entry.config, **inherited}, entry.read, files)

    def _children(
        self, name: str, group: Entry, inherited: Mapping[str, Any], above: tuple[str, ...], files: tuple[Path, ...]
    ) -> Iterator[Member]:
        config, read = group.config, group.read
        handed = {**{key: value for key, value in config.items() if key not in OF_A_GROUP}, **inherited}
        children = config.get("task")
        if not isinstance(children, list):
            raise UnknownTask(
                f"{read[0]}: `group: {name}` lists no tasks",
                do="List them under `task:`; in a task's own YAML, `group` is now called `tag`",
            )
        for child in children:
            own = child if isinstance(child, dict) else {}
            called = own.get("group") or own.get("task") if own else child
            if not isinstance(called, str):
                raise UnknownTask(f"{read[0]}: {child!r} is no task of the group {name}", do="Write the task's name")
            more = {key: value for key, value in own.items() if key not in OF_A_GROUP}
            if "group" in own and called not in self._entries:
                inline = Entry("group", own, read)
                yield from self._children(f"{name}::{called}", inline, handed, (*above, called), files)
            elif called not in self._entries and {"dataset_path", "custom_dataset"} & {*own, *handed}:
                if "include" in own:
                    do = "Give the task a YAML file of its own"
                    raise UnknownTask(f"{read[0]}: lm-eval reads no `include` within a group ({called})", do=do)
                yield Member(f"{name}::{called}", {**handed, **own}, read, files)
            else:
                yield from self._members(called, {**handed, **more}, above, files)

    def _explain(self, name: str) -> None:
        """Raise UnknownTask where a file that lm-eval does not read, or cannot read, has this name."""
        for path in _yaml_files(self.folder, "yml") if self.folder else ():
            if _says(path, name):
                raise UnknownTask(f"{path} defines {name}, but lm-eval reads .yaml only", do="Rename the file to .yaml")
        for path, why in self._unread.items():
            if _says(path, name):
                raise UnknownTask(f"{path} defines {name} and cannot be read: {why}", do="Correct this file")
        for entry in self._entries.values():
            if entry.kind == "group" and entry.config.get("task") == name:
                raise UnknownTask(
                    f"{entry.read[0]} has `group` beside `task: {name}`, which lm-eval reads as a group without tasks",
                    do="Write `tag:` in place of `group:`",
                )
        for path in _yaml_files(self.folder) if self.folder else ():
            if path not in self._unread and _says(path, name) and _listed(read_yaml(path)[0].get("group")):
                raise UnknownTask(
                    f"{path} lists groups beside `task: {name}`, which lm-eval skips", do="Write `tag:` for `group:`"
                )

    def _unknown(self, name: str) -> UnknownTask:
        closest = difflib.get_close_matches(name, self._entries, n=3, cutoff=0.5)
        where = f" under {self.folder}" if self.folder else ""
        unread = "".join(f"; {path} cannot be read: {why}" for path, why in [*self._unread.items()][:3])
        return UnknownTask(
            f"lm-eval knows no task {name!r}{where}"
            + (f"; the closest are {', '.join(closest)}" if closest else "")
            + unread,
            do="Set TASK to one of these, or INCLUDE_PATH to the folder that holds the task's YAML",
        )

    def _named(self, name: str) -> str:
        read = self._entries[name].read
        return f"{name} ({read[0]})" if read else name

    def _read_collection(self) -> None:
        """Add lm-eval's own tasks; indexing its thousands of files takes many seconds."""
        self.collection = True
        for name, entry in _index().items():
            kind = entry.kind.name.removeprefix("PY_").lower()
            read = (entry.yaml_path,) if entry.yaml_path else ()
            self._entries.setdefault(name, Entry(kind, entry.cfg or {}, read, tuple(entry.tags)))


@cache
def _index() -> Mapping[str, Any]:
    from lm_eval.tasks import TaskManager

    return TaskManager().task_index


def read_yaml(path: Path) -> tuple[dict[str, Any], tuple[Path, ...]]:
    """Return the merged YAML and the files that it was read from, the first of them `path` itself.

    As lm-eval's `load_yaml`, which is not installed where a pipeline is submitted. Raises one of UNREADABLE.
    """
    seen: list[Path] = []
    return _merged(path, seen), tuple(seen)


def _merged(path: Path, seen: list[Path]) -> dict[str, Any]:
    path = path.expanduser().resolve()
    if path in seen:
        raise ValueError(f"Include cycle at {path}")
    seen.append(path)
    loader = type("Loader", (_Loader,), {"folder": path.parent})
    config = yaml.load(path.read_bytes(), loader)
    if not isinstance(config, dict):
        raise ValueError(f"No mapping, but {type(config).__name__}")
    merged: dict[str, Any] = {}
    included = config.pop("include", [])
    for name in included if isinstance(included, list) else [included]:
        merged |= {key: value for key, value in _merged(path.parent / name, seen).items() if key != "task_list"}
    return merged | config


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads lm-eval's YAML without running what `!function` names."""

    folder: Path

    def function(self, node: yaml.Node) -> Function:
        """Return the name with its folder."""
        found = Function(self.construct_scalar(node))
        found.folder = self.folder
        return found


_Loader.add_constructor("!function", _Loader.function)


def _yaml_files(folder: Path, suffix: str = "yaml") -> list[Path]:
    """Return the files in lm-eval's order."""
    found = (path for path in folder.resolve().glob(f"**/*.{suffix}") if CACHES.isdisjoint(path.parts))
    return sorted(found, key=Path.as_posix)


def _says(path: Path, name: str) -> bool:
    pattern = rf"""^\s*["']?(task|group)["']?\s*:\s*["']?{re.escape(name)}["']?\s*(#.*)?$"""
    try:
        return bool(re.search(pattern, path.read_text("utf-8", "replace"), re.MULTILINE))
    except OSError:
        return False


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(item) for item in value] if isinstance(value, list) else []
