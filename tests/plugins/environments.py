"""Each runtime image's environment, built from its lock alone: what a node finds when its pod starts."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from helpers.locks import held
from helpers.workspace import ROOT
from tests.plugins.containerfiles import SOURCES, copy_sources, declared

APP_ROOT, WORKDIR = "/opt/app-root", "/opt/app-root/src"  # the names in the images
CACHE = ROOT / ".tools" / "images"  # one environment per image without helpers, as long as its lock stays the same


@dataclass(frozen=True)
class ImageEnvironment:
    """A folder that stands for an image's /opt/app-root."""

    name: str
    root: Path

    @property
    def bin(self) -> Path:
        return self.root / "bin"

    @property
    def python(self) -> Path:
        return self.bin / "python3"

    @property
    def utils(self) -> Path:
        """The folder with bootstrapper.py and requirements-elyra.txt, to be named by ELYRA_FILE_BASE_PATH."""
        return self.bin / "utils"

    @property
    def environment(self) -> dict[str, str]:
        """What the image's ENV lines set, in the built folder."""
        return self.environment_in(self.root / "src")

    def environment_in(self, folder: Path) -> dict[str, str]:
        """What the image's ENV lines set, for a pod whose WORKDIR is `folder`, and the PATH that finds its python3."""
        places = ((WORKDIR, str(folder)), (APP_ROOT, str(self.root)))
        found = {name: _placed(value, places) for name, value in declared(self.name).items()}
        return found | {"PATH": f"{self.bin}:/usr/local/bin:/usr/bin:/bin"}


def build(name: str, folder: Path) -> ImageEnvironment:
    """Build the environment of an image in `folder`, which does not exist yet: its lock, then helpers as a wheel.

    The wheel is made from what the Containerfile copies: what it forgets is missing here too.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    with held(CACHE / f"{name}.lock"):
        _locked_packages(name)
        shutil.copytree(CACHE / name, folder, symlinks=True, copy_function=_link)
    utils = folder / "bin" / "utils"
    (utils / "bootstrapper.py").rename(utils / "elyra_bootstrapper.py")
    shutil.copy(SOURCES / "builder" / "bootstrapper.py", utils)
    wheels, python = folder / "build" / "wheels", folder / "bin" / "python3"
    source = copy_sources(name, folder / "build")
    _uv("build", "--wheel", "--no-build-isolation", "--python", sys.executable, "--out-dir", wheels, source)
    _uv("pip", "install", "--no-deps", "--no-index", "--python", python, *wheels.glob("*.whl"))
    shutil.rmtree(folder / "build")
    return ImageEnvironment(name, folder)


def _locked_packages(name: str) -> None:
    """Bring the cached environment of an image in line with its lock; the bytecode is compiled as pip does it."""
    lock, elyra = SOURCES / name / "requirements.txt", SOURCES / "builder" / "elyra.txt"
    nothing = SOURCES / "builder" / "requirements-elyra.txt"
    root, python = CACHE / name, CACHE / name / "bin" / "python3"
    key = hashlib.sha256(b"".join(path.read_bytes() for path in (lock, elyra, nothing))).hexdigest()
    if (root / "ready").is_file() and (root / "ready").read_text() == key:
        return
    _uv("venv", "--clear", "--relocatable", "--no-python-downloads", "--python", "3.11", root)
    _uv("pip", "sync", "--require-hashes", "--compile-bytecode", "--python", python, lock)
    _uv("pip", "install", "--no-deps", "--require-hashes", "--target", root / "elyra", "-r", elyra)
    (root / "src").mkdir()
    (root / "bin" / "utils").mkdir()
    shutil.copy(root / "elyra" / "elyra" / "kfp" / "bootstrapper.py", root / "bin" / "utils")
    shutil.copy(nothing, root / "bin" / "utils")
    shutil.rmtree(root / "elyra")
    (root / "ready").write_text(key)


def _link(source: str, target: str) -> str:
    """Link a file instead of copying it, where both lie on one file system."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def _placed(value: str, places: tuple[tuple[str, str], ...]) -> str:
    for there, here in places:
        if value == there or value.startswith(there + "/"):
            return here + value.removeprefix(there)
    return value


def _uv(*arguments: object) -> None:
    """Run uv, offline where its cache has everything, with the folder of wheels that pip is configured with."""
    uv, links = shutil.which("uv") or str(ROOT / ".uv" / "bin" / "uv"), _find_links()
    environment = os.environ | ({"UV_FIND_LINKS": links} if links else {})
    command = [uv, "-q", *map(str, arguments)]
    subprocess.run([*command, *_torch(arguments, links)], cwd=ROOT, env=environment, check=True, timeout=600)


@functools.cache
def _find_links() -> str:
    """Return the folder of wheels as the Makefile finds it; empty where none is configured."""
    configured = ["python3", "-m", "pip", "config", "get", "global.find-links"]
    return os.environ.get("UV_FIND_LINKS") or os.environ.get("PIP_FIND_LINKS") or _output(configured)


def _output(command: list[str]) -> str:
    """Return what a command prints; nothing where it fails."""
    return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.strip()


def _torch(arguments: tuple[object, ...], links: str) -> list[str]:
    """Return uv's option that finds the CPU build of torch, where no folder of wheels has it."""
    local = links and any(Path(links).glob("torch-*cpu*.whl"))
    return ["--torch-backend", "cpu"] if "sync" in arguments and not local else []


@pytest.fixture(scope="session")
def image_environment(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ImageEnvironment]:
    """A function that returns the environment of an image by name, built once per session for all of its workers."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def environment(name: str) -> ImageEnvironment:
        folder = shared / "images" / name
        folder.parent.mkdir(exist_ok=True)
        with held(folder.with_suffix(".lock")):
            if not (folder / "built").exists():
                shutil.rmtree(folder, ignore_errors=True)
                build(name, folder)
                (folder / "built").touch()
        return ImageEnvironment(name, folder)

    return environment


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Remove the session's environments: pytest keeps its folders, and these have a hundred thousand files."""
    if not hasattr(session.config, "workerinput"):
        shutil.rmtree(session.config._tmp_path_factory.getbasetemp() / "images", ignore_errors=True)
