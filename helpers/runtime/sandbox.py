"""Where somebody else's code runs: a process that has no secret, and sees no process and no file but those it is given.

Namespaces of its own need `unshare` (util-linux) and a kernel that allows them; a pod of a cluster mostly has none.
There the process has the allow-listed environment only, and can read what this account can read.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

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
WALL = Path(__file__).with_name("wall.py")
NO_WALL = (
    "This system gives a process no namespaces of its own: code that comes with the data has no secret in its "
    "environment, but can read the files and processes of this account."
)


def allowed(*more: str) -> dict[str, str]:
    """Return the variables that somebody else's code may have, and `more`; no proxy with a password."""
    known = {name: os.environ[name] for name in (*NAMES, *more) if name in os.environ}
    known |= {name: value for name, value in os.environ.items() if name.startswith("LC_")}
    proxies = {name: value for name, value in os.environ.items() if name.lower() in PROXIES and "@" not in value}
    direct = ",".join(filter(None, [os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), LOOPBACK]))
    return known | proxies | {"NO_PROXY": direct, "no_proxy": direct, "PYTHONSAFEPATH": "1"}


def walled(
    command: list[str], work: Path, *, reads: Iterable[Path | str] = (), writes: Iterable[Path] = ()
) -> list[str]:
    """Return the command as it runs in namespaces of its own; as it is where the system has none (`available`).

    It sees the system's programs, this Python, the package `helpers`, `reads`, and `writes`, which it may change.
    `work` is a folder for this call alone. The command begins with a path, and works in the last of `writes` or in `/`.
    """
    return _walled(command, work, reads, list(writes)) if available() else command


def _walled(command: list[str], work: Path, reads: Iterable[Path | str], writes: list[Path]) -> list[str]:
    root, specification = work / "root", work / "wall.json"
    root.mkdir()
    links: dict[str, str] = {}
    seen = [_real(str(path), links) for path in (*_usual(), *reads) if os.path.exists(path)]
    own = [_real(str(path), links) for path in writes]
    hides = [os.path.realpath(path) for path in (home(), *HIDDEN)]
    about = {"root": str(root.resolve()), "reads": seen, "writes": own, "hides": hides, "links": links}
    specification.write_text(json.dumps(about | {"cwd": own[-1] if own else "/"}), "utf-8")
    unshare = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--ipc", "--fork", "--kill-child"]
    return [*unshare, "--", sys.executable, "-I", "-S", str(WALL), str(specification.resolve()), *command]


@cache
def available() -> bool:
    """Return whether a process of this account may have namespaces of its own."""
    if not shutil.which("unshare"):
        return False
    with tempfile.TemporaryDirectory(prefix="assay-wall-") as folder:
        command = _walled([sys.executable, "-c", ""], Path(folder), [], [])
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
