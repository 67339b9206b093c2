"""Each runtime image's environment, built by the commands of its Containerfile: what a node finds in its pod."""

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

from helpers.runtime.locks import held
from helpers.runtime.workspace import ROOT
from tests.plugins.containerfiles import SOURCES, builder_commands, copy_sources, declared

APP_ROOT, WORKDIR = "/opt/app-root", "/opt/app-root/src"  # the names in the images
CACHE = (
    ROOT / ".tools" / "environments"
)  # one environment per image without helpers, as long as its lock stays the same
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"


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
    """Build the environment of an image in `folder`, which does not exist yet, as the Containerfile builds it.

    Only what the Containerfile copies is there: what it forgets is missing here too.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    with held(CACHE / f"{name}.lock"):
        _locked_packages(name)
        shutil.copytree(
            CACHE / name, folder, symlinks=True, copy_function=functools.partial(_take, CACHE / name, folder)
        )
    copy_sources(name, folder / "build")
    for command in builder_commands(name)[1]:
        _run(command, folder)
    shutil.rmtree(folder / "build")
    return ImageEnvironment(name, folder)


def _locked_packages(name: str) -> None:
    """Bring the cached environment of an image in line with its lock, and with what its Containerfile does with it."""
    root, commands = CACHE / name, builder_commands(name)[0]
    files = [SOURCES / name / "requirements.txt", *sorted((SOURCES / "builder").glob("*.txt"))]
    files += (SOURCES / name).glob("package-lock.json")
    key = hashlib.sha256(b"\0".join([*(path.read_bytes() for path in files), *map(str.encode, commands)])).hexdigest()
    if (root / "ready").is_file() and (root / "ready").read_text() == key:
        return
    shutil.rmtree(root, ignore_errors=True)
    _make_base(root)
    copy_sources(name, root / "build")
    for command in commands:
        _run(command, root)
    shutil.rmtree(root / "build" / "source")
    (root / "ready").write_text(key)


def _make_base(root: Path) -> None:
    """Make what the base image has in /opt/app-root: Python 3.11 with the pip and the setuptools that belong to it."""
    python = sys.executable if sys.version_info[:2] == (3, 11) else "python3.11"
    subprocess.run([python, "-m", "venv", root], check=True, timeout=120)
    (root / "src").mkdir()


def _run(command: str, root: Path) -> None:
    """Run a command of the Containerfile with `root` as /opt/app-root, but for two things that cost time.

    pip's own cache saves the second download, and modules are compiled when they are imported first.
    """
    words = command.replace("--no-cache-dir ", "").replace(APP_ROOT, str(root))
    environment = os.environ | {"PATH": f"{root / 'bin'}:{os.environ['PATH']}"} | torch_index()
    environment["PIP_NO_COMPILE"] = "0"  # pip reads this one the other way round
    done = subprocess.run(
        ["bash", "-c", words], cwd=root / "build", env=environment, capture_output=True, text=True, timeout=1500
    )
    assert done.returncode == 0, f"{words}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


def torch_index() -> dict[str, str]:
    """Return where pip finds the CPU build of torch, where nothing on this machine says so."""
    known = os.environ.get("PIP_EXTRA_INDEX_URL") or wheel_folders()
    return {} if known else {"PIP_EXTRA_INDEX_URL": TORCH_INDEX}


@functools.cache
def wheel_folders() -> list[str]:
    """Return the folders of wheels that pip is told of on this machine."""
    configured = ["python3", "-m", "pip", "config", "get", "global.find-links"]
    told = (
        os.environ.get("PIP_FIND_LINKS")
        or subprocess.run(configured, capture_output=True, text=True, timeout=60).stdout
    )
    return told.split()


def _take(old: Path, new: Path, source: str, target: str) -> str:
    """Link what no later step writes to, copy the rest; a script gets the place of its new Python."""
    path = Path(source)
    if path.parent.name == "bin" and (content := path.read_bytes()).startswith(b"#!"):
        Path(target).write_bytes(content.replace(str(old).encode(), str(new).encode()))
        shutil.copymode(source, target)
    elif {"site-packages", "node_modules"} & {*path.parts} or path.suffix == ".whl":
        try:
            os.link(source, target)
        except OSError:  # another file system
            shutil.copy2(source, target)
    else:
        shutil.copy2(source, target)
    return target


def _placed(value: str, places: tuple[tuple[str, str], ...]) -> str:
    for there, here in places:
        if value == there or value.startswith(there + "/"):
            return here + value.removeprefix(there)
    return value


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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the first test that asks for an environment the time to build it, on a busy machine too."""
    for item in items:
        if "image_environment" in getattr(item, "fixturenames", ()) and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(1800))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Remove the session's environments: pytest keeps its folders, and these have a hundred thousand files."""
    if not hasattr(session.config, "workerinput"):
        shutil.rmtree(session.config._tmp_path_factory.getbasetemp() / "images", ignore_errors=True)
