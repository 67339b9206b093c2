"""JupyterLab as `make lab` starts it, on a copy of the workspace, and Debian's Chromium in front of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from helpers.runtime.polling import wait_for
from helpers.runtime.workspace import ROOT

COPIED = ("pipelines", "notebooks", "datasets")
# JupyterLab asks each new user whether to fetch news, in front of whatever a test looks at; and a machine without a
# desktop has only one font, wider than those that people read.
SETTINGS = {
    "notification": {"fetchNews": "false", "checkForUpdates": False},
    "themes": {"overrides": {"ui-font-family": "'DejaVu Sans Condensed', sans-serif"}},
}


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab: its address, the copy that it shows, the home of its registry."""

    url: str
    root: Path
    home: Path

    def address(self, path: str) -> str:
        """Return the page that opens a file, in a workspace of its own."""
        return f"{self.url}lab/tree/{path}?token=t&reset"

    @property
    def registry(self) -> str:
        """The address of the registry that it was started with."""
        return str(json.loads((self.home / "registry.json").read_text())["address"])


@contextmanager
def running(folder: Path, unset: tuple[str, ...] = ()) -> Iterator[Lab]:
    """Start it with everything that it writes below `folder`; end it with its registry and its kernels."""
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / "root" / name, symlinks=True)
    for name, content in SETTINGS.items():
        settings = folder / "config" / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
        settings.mkdir(parents=True, exist_ok=True)
        (settings / f"{name}.jupyterlab-settings").write_text(json.dumps(content))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(unset)} | {
        "ASSAY_HOME": str(folder / "home"),
        "PYTHONPATH": str(ROOT),
        **{f"JUPYTER_{kind.upper()}_DIR": str(folder / kind) for kind in ("config", "data", "runtime")},
    }
    command = [
        *(sys.executable, "-m", "helpers.local.lab", "--no-browser", f"--ServerApp.root_dir={folder / 'root'}"),
        *("--ServerApp.port=0", "--IdentityProvider.token=t", "--ConnectionFileMixin.transport=ipc"),
    ]
    log = folder / "lab.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield Lab(_address(process, folder / "runtime", log), folder / "root", folder / "home")
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=60)
        subprocess.run([sys.executable, "-m", "helpers.local.stack", "down"], env=environment, check=True)
        wait_for(lambda: not _left(folder / "home"), what="the end of JupyterLab's kernels", do="Read ps", timeout=30)


def _left(home: Path) -> list[int]:
    """Return the processes that still have this home in their environment."""
    running = psutil.process_iter(["environ"])
    return [process.pid for process in running if (process.info["environ"] or {}).get("ASSAY_HOME") == str(home)]


def _address(process: subprocess.Popen, runtime: Path, log: Path) -> str:
    """Wait until it answers; return its address, with the port that it was given."""
    import httpx

    def answers() -> str:
        assert process.poll() is None, log.read_text()
        for file in runtime.glob("jpserver-*.json"):
            try:
                url = str(json.loads(file.read_text())["url"])
                httpx.get(f"{url}api/status", params={"token": "t"}, timeout=30).raise_for_status()
            except (ValueError, httpx.HTTPError):
                continue
            return url
        return ""

    return wait_for(answers, what="JupyterLab", do=f"Read {log}", timeout=180, interval=0.2)
