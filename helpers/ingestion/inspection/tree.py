"""What can be said of a folder without opening a file: names, links, kinds, number and sizes."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from helpers.ingestion.findings import Finding, Severity
from helpers.ingestion.leaving import Leaving, blob_of
from helpers.ingestion.names import collision_key, name_problems, path_problem, shown
from helpers.ingestion.policy import Policy

Entry = tuple[str, os.stat_result]

# What a suffix says of a file that may not come in, so that the finding names the real thing.
PICKLES = "is in a format that may hold a pickle, which runs code when it is loaded"
CODE = "is code"
LIBRARY = "is a program or library"
TELLING: dict[str, tuple[str, Severity]] = {
    **dict.fromkeys(
        (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".dill", ".npy", ".npz", ".nemo", ".mar"),
        (PICKLES, "critical"),
    ),
    **dict.fromkeys((".py", ".pyc", ".pyi", ".sh", ".js", ".lua", ".ipynb", ".bat", ".ps1"), (CODE, "critical")),
    **dict.fromkeys((".so", ".dll", ".dylib", ".exe", ".pyd", ".jar", ".wasm"), (LIBRARY, "critical")),
    **dict.fromkeys((".h5", ".hdf5", ".keras"), ("is a Keras model, which may carry code", "high")),
    **dict.fromkeys((".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar"), ("is an archive", "high")),
    ".gguf": ("is a GGUF model, whose chat template is not inspected", "high"),
    ".onnx": ("is an ONNX model, which may load other files and libraries", "high"),
    ".pb": ("is a TensorFlow graph, which may read and write files", "high"),
}
RESERVED = "provenance"
REMOVE = "Remove it"
CONVERT = "Remove it, or convert the weights to safetensors"
RENAME = "Rename or remove it"
KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}


def inspect_tree(folder: Path, policy: Policy, *, at_source: bool = False) -> list[Finding]:
    """Return what is wrong with the entries of a folder; opens no file and follows no link.

    A folder with too many entries has that one finding (rule `count`): do not walk it again. At its source, what the
    policy leaves behind is only noted, and links of the hub's cache stand for their files.
    """
    if folder.is_symlink():
        return [Finding(".", "link", "high", "is a symbolic link", "Give the folder itself")]
    entries: list[Entry] = []
    findings: list[Finding] = []
    counts = {True: 0, False: 0}
    leaving = Leaving(policy if at_source else None)
    for name, status in _walk(folder, leaving, findings):
        if at_source and stat.S_ISLNK(status.st_mode) and (blob := blob_of(folder, name)):
            status = blob.lstat()
        entries.append((name, status))
        is_folder = stat.S_ISDIR(status.st_mode)
        counts[is_folder] += 1
        if counts[is_folder] > policy.limits.files:
            problem = f"holds more than {policy.limits.files} {'folders' if is_folder else 'files'}"
            return [Finding(".", "count", "high", problem, "Remove what the model does not need")]
    for name, status in entries:
        findings += _entry_findings(name, status, policy)
    return [*findings, *_collisions(entries), *_total(entries, policy), *leaving.note()]


def _walk(folder: Path, leaving: Leaving, findings: list[Finding]) -> Iterator[Entry]:
    """Yield the relative path and lstat of everything below but what stays behind, folders before what they hold."""
    waiting = [(folder, "")]
    while waiting:
        current, prefix = waiting.pop()
        try:
            with os.scandir(current) as scan:
                for entry in scan:
                    status = entry.stat(follow_symlinks=False)
                    if leaving(f"{prefix}{entry.name}{'/' * stat.S_ISDIR(status.st_mode)}"):
                        continue
                    yield prefix + entry.name, status
                    if stat.S_ISDIR(status.st_mode) and not path_problem(prefix + entry.name):
                        waiting.append((Path(entry.path), f"{prefix}{entry.name}/"))
        except OSError as error:
            problem = f"cannot be read: {error.strerror}"
            findings.append(Finding(shown(prefix) or ".", "unreadable", "high", problem, "Make it readable"))


def _entry_findings(path: str, status: os.stat_result, policy: Policy) -> Iterator[Finding]:
    name, file = path.rpartition("/")[2], shown(path)
    if problem := path_problem(path):
        yield Finding(file, "path", "high", problem, RENAME)
    if path.casefold() == RESERVED:
        yield Finding(file, "path", "high", f"has the name {RESERVED}, which is the gate's own", REMOVE)
    for problem in name_problems(name):
        yield Finding(file, "name", "high", problem, RENAME)
    if status.st_mode & (stat.S_ISUID | stat.S_ISGID) and not stat.S_ISDIR(status.st_mode):
        yield Finding(file, "special-file", "high", "has the setuid or setgid bit", "Take the bit away")
    if stat.S_ISREG(status.st_mode):
        yield from _file_findings(file, name, status, policy)
    elif not stat.S_ISDIR(status.st_mode):
        kind = KINDS.get(stat.S_IFMT(status.st_mode), "no regular file")
        rule, do = ("link", "Replace it by the file itself") if "link" in kind else ("special-file", REMOVE)
        yield Finding(file, rule, "high", f"is {kind}", do)


def _file_findings(file: str, name: str, status: os.stat_result, policy: Policy) -> Iterator[Finding]:
    if status.st_nlink > 1:
        problem = "is a hard link: it has another name, through which it can be changed later"
        yield Finding(file, "link", "high", problem, "Replace it by a copy of its own")
    if not any(fnmatchcase(name, pattern) for pattern in policy.files.allow):
        what, severity = TELLING.get(os.path.splitext(name)[1].lower(), ("is of a kind that may not come in", "medium"))
        yield Finding(file, "file-type", severity, what, CONVERT if what is PICKLES else REMOVE)
    if not status.st_size:
        yield Finding(file, "size", "medium", "is empty", "Remove it, or add what it should hold")
    limit, what = policy.limits.file_bytes, f"{policy.limits.file_gib:g} GiB"
    if not name.endswith((".safetensors", ".model")):
        limit, what = min(limit, policy.limits.json_bytes), f"{policy.limits.json_mib:g} MiB"
    if status.st_size > limit:
        problem = f"has {status.st_size:,} bytes, more than the {what} that the policy allows one such file"
        yield Finding(file, "size", "medium", problem, "Remove it, or raise the policy's limit")


def _collisions(entries: list[Entry]) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for path, _ in sorted(entries):
        if (first := seen.setdefault(collision_key(path), path)) != path:
            problem = f"is the same name as {shown(first)} where case or accents do not count"
            yield Finding(shown(path), "name", "high", problem, RENAME)


def _total(entries: list[Entry], policy: Policy) -> Iterator[Finding]:
    total = sum(status.st_size for _, status in entries if stat.S_ISREG(status.st_mode))
    if total > policy.limits.total_bytes:
        problem = f"has {total:,} bytes in all, more than the {policy.limits.total_gib:g} GiB that the policy allows"
        yield Finding(".", "size", "medium", problem, "Choose a smaller model, or raise the policy's limit")
