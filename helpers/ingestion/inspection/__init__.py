"""What may come in: every file of a model looked at, none loaded, everything that is wrong found at once."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from helpers.errors import InvalidInput, NotFound
from helpers.ingestion.findings import Finding, Inspection, ordered
from helpers.ingestion.leaving import Leaving, is_snapshot
from helpers.ingestion.names import MAX_DEPTH, shown
from helpers.ingestion.policy import Policy

__all__ = ["inspect"]

WEIGHTS = ".safetensors"
MANY = 100  # findings about names alone; the files behind them are not opened any more
PULL = "Run git lfs pull in the repository's folder, then give it again"
UNREADABLE = "Check the folder and its permissions"


def inspect(path: Path, policy: Policy, *, source: str = "", at_source: bool = False) -> Inspection:
    """Return everything that is wrong with a model folder or archive; nothing in it is loaded or run.

    At its source, it may have what the policy leaves behind, and be a snapshot of the hub's cache.
    Raises NotFound where there is none, InvalidInput where it cannot be inspected.
    """
    if not path.exists():
        raise NotFound(f"{path} does not exist", do="Give a folder or an archive with a model's files")
    if at_source and path.is_dir() and is_snapshot(path.resolve()):
        return _inspect_snapshot(path.resolve(), policy, source or str(path))
    if path.is_dir():
        return _report(path, policy, source or str(path), [], at_source)
    _check_archive(path)
    from helpers.ingestion.archives import unpack

    with TemporaryDirectory(prefix="inspection-") as temporary:
        leaving = Leaving(policy if at_source else None)
        refused = unpack(path, Path(temporary), policy.limits, leaving=leaving)
        return _report(_only_folder(Path(temporary)), policy, source or str(path), [*refused, *leaving.note()], False)


def _inspect_snapshot(path: Path, policy: Policy, source: str) -> Inspection:
    from helpers.ingestion.copying import copy_hashed
    from helpers.ingestion.inspection.tree import inspect_tree

    found = inspect_tree(path, policy, at_source=True)
    if any(finding.severity != "low" for finding in found):
        return Inspection(source=source, files=0, size_bytes=0, findings=ordered(found), policy_digest=policy.digest)
    with TemporaryDirectory(prefix="inspection-") as temporary:
        copy_hashed(path, Path(temporary), leaving=Leaving(policy))
        return _report(Path(temporary), policy, source, found, False)


def _check_archive(path: Path) -> None:
    from helpers.ingestion.archives import is_archive
    from helpers.ingestion.inspection.opening import open_file

    with open_file(path.resolve()) as file:
        if not is_archive(file):
            raise InvalidInput(f"{path} is neither a folder nor an archive", do="Give the folder that the file is in")


def _only_folder(folder: Path) -> Path:
    """Return the one folder that many archives put everything into, else the folder itself."""
    inside = list(folder.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() and not inside[0].is_symlink() else folder


def _report(folder: Path, policy: Policy, source: str, known: list[Finding], at_source: bool) -> Inspection:
    sizes = dict(_files(folder, policy.limits.files, Leaving(policy if at_source else None)))
    findings = [*known, *_findings(folder, sizes, policy, at_source)]
    for finding in findings:
        if finding.rule == "unreadable":
            raise InvalidInput(f"{folder / finding.file}: {finding.problem}", do=UNREADABLE)
    return Inspection(
        source=source,
        files=len(sizes),
        size_bytes=sum(sizes.values()),
        findings=ordered(findings),
        scanners={"assay": version("assay-helpers"), "modelscan": version("modelscan")},
        policy_digest=policy.digest,
    )


def _files(folder: Path, most: int, leaving: Leaving) -> Iterator[tuple[str, int]]:
    """Yield path and size of regular files; ends early where there are far too many or folders are far too deep."""
    count = 0
    for current, folders, names in os.walk(folder, onerror=_unreadable):
        prefix = f"{os.path.relpath(current, folder)}/".removeprefix("./")
        shallow = len(Path(current).parts) - len(folder.parts) < MAX_DEPTH
        folders[:] = sorted(name for name in folders if not leaving(f"{prefix}{name}/")) if shallow else []
        count += 1
        for name in sorted(names):
            status = os.lstat(os.path.join(current, name))
            if stat.S_ISREG(status.st_mode) and not leaving(f"{prefix}{name}"):
                yield f"{prefix}{name}", status.st_size
                count += 1
            if count > 2 * most:
                return


def _unreadable(error: OSError) -> None:
    raise InvalidInput(f"{error.filename} cannot be read: {error.strerror}", do=UNREADABLE) from error


def _findings(folder: Path, sizes: dict[str, int], policy: Policy, at_source: bool) -> list[Finding]:
    from helpers.ingestion.inspection.tree import inspect_tree

    findings = inspect_tree(folder, policy, at_source=at_source)
    if len(findings) > MANY or any(finding.rule == "count" for finding in findings):
        return findings
    return [*findings, *_opened(folder, sizes, policy)]


def _opened(folder: Path, sizes: dict[str, int], policy: Policy) -> Iterator[Finding]:
    from helpers.ingestion.inspection.adapters import inspect_parts
    from helpers.ingestion.inspection.configs import inspect_json
    from helpers.ingestion.inspection.content import inspect_content
    from helpers.ingestion.inspection.licenses import inspect_license
    from helpers.ingestion.inspection.opening import POINTER, is_pointer
    from helpers.ingestion.inspection.second_opinion import ask_modelscan
    from helpers.ingestion.inspection.shards import inspect_index
    from helpers.ingestion.inspection.templates import Templates
    from helpers.ingestion.inspection.weights import inspect_weights

    templates = Templates()
    for name, size in sizes.items():
        path, file = folder / name, shown(name)
        if size <= POINTER and is_pointer(path):
            yield Finding(file, "lfs-pointer", "high", "is a Git LFS pointer, not the file that it stands for", PULL)
            continue
        yield from inspect_content(path, file)
        if name.endswith(WEIGHTS):
            yield from inspect_weights(path, file)
        elif size > policy.limits.json_bytes:
            continue
        elif name.lower().endswith(".json"):
            yield from inspect_json(path, file, policy, templates)
        elif name.lower().endswith(".jinja"):
            yield from templates.inspect_file(path, file, policy)
    yield from inspect_index(folder, sizes, policy)
    yield from inspect_parts(folder, list(sizes), policy)
    yield from inspect_license(folder, policy)
    yield from ask_modelscan(folder, [name for name in sizes if not name.endswith(WEIGHTS)])
