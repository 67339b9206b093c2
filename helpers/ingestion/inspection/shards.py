"""Whether the shards of a model and the index that names their tensors agree in everything."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from helpers.errors import InvalidInput, RefusedModel
from helpers.ingestion.findings import Finding, Severity
from helpers.ingestion.inspection.json_files import values
from helpers.ingestion.inspection.weights import SUFFIX, label, read_header
from helpers.ingestion.names import shown
from helpers.ingestion.policy import Policy

INDEX = SUFFIX + ".index.json"
RULE = "safetensors-index"
NUMBERED = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.safetensors")
ADAPTER = "adapter_model.safetensors"  # loaded on its own, so no index names it
MAX_TENSORS = 300_000
MOST = 5  # names told of one problem
Problem = tuple[str, Severity, str]
FIX = "Export the model again, or fetch it whole"


class Index(NamedTuple):
    """What an index says: the shard of each tensor, and the size of them all where it gives one."""

    shard_of: dict[str, str]
    total_size: int | None


def inspect_index(folder: Path, names: Iterable[str], policy: Policy) -> Iterator[Finding]:
    """Yield where indexes and shards disagree, for each folder that holds any of the named files."""
    within: dict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        parent, _, last = name.rpartition("/")
        within[parent].append(last)
    for parent, files in within.items():
        for file, severity, problem in _folder_problems(folder / parent, files, policy):
            yield Finding(shown(f"{parent}/{file}".removeprefix("/")), RULE, severity, problem, FIX)


def _folder_problems(folder: Path, files: list[str], policy: Policy) -> Iterator[Problem]:
    shards = [name for name in files if name.endswith(SUFFIX) and name != ADAPTER]
    indexes = [name for name in files if name.endswith(INDEX)]
    named: set[str] = set()
    for name in indexes:
        try:
            index = read_index(folder / name, policy.limits.json_bytes)
        except InvalidInput as error:
            yield name, "high", error.what
            continue
        named |= set(index.shard_of.values())
        yield from ((name, *problem) for problem in _index_problems(folder, index, shards))
    for shard in shards if named else ():
        if shard not in named:
            yield shard, "high", "is not named by the index beside it"
    if not indexes:
        yield from ((".", *problem) for problem in _index_problems(folder, None, shards))
    yield from ((name, "high", problem) for name, problem in _numbering_problems(shards, has_index=bool(indexes)))


def _numbering_problems(shards: list[str], *, has_index: bool) -> Iterator[tuple[str, str]]:
    present: dict[tuple[str, int], set[int]] = defaultdict(set)
    for match in filter(None, map(NUMBERED.fullmatch, shards)):
        present[match[1], int(match[3])].add(int(match[2]))
    for (stem, total), numbers in present.items():
        first = f"{stem}-{min(numbers):05}-of-{total:05}{SUFFIX}"
        start = 0 if 0 in numbers else 1  # some count shards from zero
        expected = set(range(start, start + total))
        if missing := sorted(expected - numbers):
            yield first, f"is one of {total} shards, of which {len(missing)} are missing, the first is {missing[0]:05}"
        if extra := numbers - expected:
            yield first, f"is one of {total} shards, beside which there is a shard {min(extra):05}"
        if total > 1 and not has_index:
            yield first, f"is one of {total} shards without an index ({INDEX})"


def read_index(path: Path, limit: int) -> Index:
    """Return a sharded model's index. Raises RefusedModel with the reason why it is none."""
    shard_of: dict[str, str] = {}
    total = None
    for place, value in values(path, limit):
        if place == ("metadata", "total_size") and isinstance(value, int | float) and abs(value) < 1e18:
            total = int(value)
        elif place[0] == "weight_map":
            if len(place) != 2 or not isinstance(value, str):
                raise _bad("has a weight_map that does not map each tensor to one file name")
            if "/" in value or "\\" in value or not value.endswith(SUFFIX) or value.startswith("."):
                raise _bad(f"names {label(value)}, which is no plain name of a safetensors file")
            shard_of[place[1]] = sys.intern(value)
            if len(shard_of) > MAX_TENSORS:
                raise _bad(f"names more than {MAX_TENSORS:,} tensors")
    if not shard_of:
        raise _bad("has no weight_map")
    return Index(shard_of, total)


def _bad(problem: str) -> RefusedModel:
    return RefusedModel(problem, do=FIX)


def _index_problems(folder: Path, index: Index | None, shards: list[str]) -> Iterator[tuple[Severity, str]]:
    """Yield where tensors are not where the index says, or without one, where two shards have the same tensor."""
    names = set(index.shard_of.values()) if index else set(shards)
    for missing in sorted(names - set(shards))[:MOST]:
        yield "high", f"names {label(missing)}, which is not there"
    found: dict[str, str] = {}
    wrong: dict[str, list[str]] = defaultdict(list)
    total, unread = 0, names - set(shards)
    for shard in sorted(names - unread):
        tensors = _tensors(folder / shard)
        unread |= set() if tensors else {shard}
        for tensor, size in tensors.items():
            total += size
            if problem := _place_problem(tensor, shard, index, found):
                wrong[problem].append(tensor)
            found[tensor] = shard
    if index and (
        absent := [name for name, shard in index.shard_of.items() if name not in found and shard not in unread]
    ):
        wrong["names tensors that are in no shard"] = absent
    for problem, which in sorted(wrong.items()):
        yield "high", f"{problem}: {', '.join(map(label, which[:MOST]))}{' …' if len(which) > MOST else ''}"
    if index and not wrong and not unread and index.total_size not in (None, total):
        yield "low", f"says a total_size of {index.total_size:,} bytes, the shards have {total:,}; no loader uses that"


def _tensors(path: Path) -> dict[str, int]:
    try:
        return read_header(path)
    except InvalidInput:
        return {}  # inspect_weights says what is wrong with this shard


def _place_problem(tensor: str, shard: str, index: Index | None, found: dict[str, str]) -> str:
    if tensor in found:
        return f"has tensors in two shards, {found[tensor]} and {shard}"
    if index is None:
        return ""
    if tensor not in index.shard_of:
        return f"does not name tensors that are in {shard}"
    if index.shard_of[tensor] != shard:
        return f"names another shard for tensors that are in {shard}"
    return ""
