"""Where somebody else's code runs: a process that has no secret, and sees no process and no file but those it is given.

What it starts ends with the stage, and all of it together has a limit of memory (keeper.py).
Namespaces of its own need `unshare` (util-linux) and a kernel that allows them; a pod of a cluster mostly has none.
There Landlock, which asks for no right, keeps the process to its own files. Where the kernel has neither, the process
has the allow-listed environment only, and can read what this account can read.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from helpers.runtime.workspace import ROOT, home

NAMES = (
    "PATH", "LANG", "LANGUAGE", "TZ", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "HF_ENDPOINT", "HF_HUB_DOWNLOAD_TIMEOUT",
    "HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_ALLOW_CODE_EVAL", "NLTK_DATA", "OMP_NUM_THREADS", "MKL_NUM_THREADS",
)  # fmt: skip
PROXIES = ("http_proxy", "https_proxy", "all_proxy")
LOOPBACK = "127.0.0.1,localhost"
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64")
SETTINGS = (
    "alternatives", "ca-certificates", "crypto-policies", "group", "host.conf", "hosts", "ld.so.cache", "ld.so.conf",
    "ld.so.conf.d", "localtime", "mime.types", "nsswitch.conf", "passwd", "pki", "protocols", "resolv.conf", "services",
    "ssl",
)  # fmt: skip
HIDDEN = ("/run/secrets", "/var/run/secrets")
WALL, FENCE, KEEPER = (Path(__file__).with_name(name) for name in ("wall.py", "fence.py", "keeper.py"))
MOST = 8.0  # GiB
NO_NAMESPACES = "This system gives a process no namespaces of its own: code that comes with the data "
FENCED = f"{NO_NAMESPACES}reads its own files only (Landlock), and sees the command lines of other processes."
NO_WALL = (
    f"{NO_NAMESPACES}has no secret in its environment, but can read the files and processes of this account, because "
    "the kernel has no Landlock either."
)


def allowed(*more: str) -> dict[str, str]:
    """Return the variables that somebody else's code may have, and `more`; no proxy with a password."""
    known = {name: os.environ[name] for name in (*NAMES, *more) if name in os.environ}
    known |= {name: value for name, value in os.environ.items() if name.startswith("LC_")}
    proxies = {name: value for name, value in os.environ.items() if name.lower() in PROXIES and "@" not in value}
    direct = ",".join(filter(None, [os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), LOOPBACK]))
    return known | proxies | {"NO_PROXY": direct, "no_proxy": direct, "PYTHONSAFEPATH": "1"}


def walled(
    command: list[str],
    work: Path,
    *,
    reads: Iterable[Path | str] = (),
    writes: Iterable[Path] = (),
    ports: Iterable[int] | None = None,
    most: float = MOST,
) -> list[str]:
    """Return the command as it runs behind a wall: in namespaces of its own, else fenced in; see `lacking`.

    It never outlives this process, and ends with exit code OVER where its processes hold more than `most` GiB.

    It sees the system's programs, this Python, the package `helpers`, `reads`, and `writes`, which it may change.
    `work` is a folder for this call alone. The command begins with a path, and works in the last of `writes` or in `/`.
    `ports` are those of TCP that it may connect to, None any; a kernel before Linux 6.7 lets it connect all the same.
    """
    given, own, to = [*reads], [*writes], None if ports is None else [*ports]
    kept = [sys.executable, "-I", "-S", str(KEEPER), str(os.getpid()), str(int(most * 2**30))]
    return [*kept, *_behind(command, work, given, own, to)]


def _behind(
    command: list[str], work: Path, given: list[Path | str], own: list[Path], to: list[int] | None
) -> list[str]:
    if not can_fence():
        return _walled(command, work, given, own) if available() else command
    if not available():
        return _fenced(command, work, given, own, to)
    if to is not None:  # namespaces share the network with whoever asks the model
        everything = {"reads": ["/"], "writes": ["/"], "lists": [], "cwd": str(own[-1]) if own else "/", "ports": to}
        command = [*_script(FENCE, everything, work / "fence.json"), *command]
        given.append(work / "fence.json")
    return _walled(command, work, given, own)


def lacking() -> str:
    """Return what a walled command can see here beyond its own files, "" where it is nothing."""
    return "" if available() else FENCED if can_fence() else NO_WALL


def _walled(command: list[str], work: Path, reads: Iterable[Path | str], writes: list[Path]) -> list[str]:
    root, links = work / "root", dict[str, str]()
    root.mkdir()
    about = _about(reads, writes, links) | {"root": str(root.resolve()), "hides": _hidden(), "links": links}
    unshare = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--ipc", "--fork", "--kill-child"]
    return [*unshare, "--", *_script(WALL, about, work / "wall.json"), *command]


def _fenced(
    command: list[str], work: Path, reads: Iterable[Path | str], writes: list[Path], ports: list[int] | None
) -> list[str]:
    about = _about(reads, writes, {})
    seen = [part for path in about["reads"] for part in _without(path, _hidden())]
    more = {"reads": seen, "lists": [str(ROOT)], "ports": ports}  # Python looks there for `helpers`
    return [*_script(FENCE, about | more, work / "wall.json"), *command]


def _about(reads: Iterable[Path | str], writes: list[Path], links: dict[str, str]) -> dict[str, Any]:
    """Return what both scripts are told; the links on the way to what may be seen are noted in `links`."""
    seen = [_real(str(path), links) for path in (*_usual(), *reads) if os.path.exists(path)]
    own = [_real(str(path), links) for path in writes]
    return {"reads": seen, "writes": own, "cwd": own[-1] if own else "/"}


def _script(script: Path, about: Mapping[str, Any], specification: Path) -> list[str]:
    specification.write_text(json.dumps(about), "utf-8")
    return [sys.executable, "-I", "-S", str(script), str(specification.resolve())]


def _hidden() -> list[str]:
    return [os.path.realpath(path) for path in (home(), *HIDDEN)]


def _without(path: str, hidden: list[str]) -> Iterator[str]:
    """Yield the path, or of a folder that holds something hidden what else is in it: a fence only lets in."""
    if path in hidden:
        return
    if not any(each.startswith(f"{path.rstrip('/')}/") for each in hidden):
        yield path
        return
    for name in sorted(os.listdir(path)):
        if not os.path.islink(child := os.path.join(path, name)):
            yield from _without(child, hidden)


@cache
def available() -> bool:
    """Return whether a process of this account may have namespaces of its own."""
    if not shutil.which("unshare"):
        return False
    with tempfile.TemporaryDirectory(prefix="assay-wall-") as folder:
        command = _walled([sys.executable, "-c", ""], Path(folder), [], [])
        return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0


@cache
def can_fence() -> bool:
    """Return whether the kernel has Landlock and lets this account use it."""
    with tempfile.TemporaryDirectory(prefix="assay-fence-") as folder:
        command = _fenced([sys.executable, "-c", ""], Path(folder), [], [], [])
        return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0


def read_left(path: Path, start: int = 0) -> bytes | None:
    """Return what such a process left in a file of its own, None where there is none: a link may lead to anything."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with open(number, "rb") as file:
        if not path.is_file() or os.fstat(number).st_nlink != 1:
            return None
        file.seek(start)
        return file.read()


def _usual() -> Iterator[str]:
    yield from SYSTEM
    yield from (f"/etc/{name}" for name in SETTINGS)
    yield sys.executable
    for prefix in {sys.prefix, sys.base_prefix}:
        yield from (f"{prefix}/{part}" for part in ("bin", "lib", "lib64", "pyvenv.cfg"))
    yield str(ROOT / "helpers")
    yield from (os.environ[name] for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE") if name in os.environ)


def _real(path: str, links: dict[str, str]) -> str:
    """Return the path without links, and note each link on the way."""
    here, left = "/", [part for part in os.path.abspath(path).split("/") if part]
    while left:
        part = left.pop(0)
        step = os.path.dirname(here) if part == ".." else os.path.join(here, part)
        if part != ".." and os.path.islink(step):
            links[step] = target = os.readlink(step)
            here = "/" if target.startswith("/") else here
            left = [part for part in target.split("/") if part not in ("", ".")] + left
        else:
            here = step
    return here
