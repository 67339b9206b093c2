"""A real build of an image: buildah from Debian's package, on a Debian base laid out like UBI's Python image."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from helpers.runtime.locks import held
from helpers.runtime.workspace import ROOT
from tests.plugins.environments import torch_index, wheel_folders

TOOLS = ROOT / ".tools" / "buildah"
PACKAGES = ("buildah", "mmdebstrap", "golang-github-containers-common", "golang-github-containers-image")
# What UBI's image has and the Containerfiles rely on: bash as sh, an environment in /opt/app-root, user 1001.
LAYOUT = """ln -sf bash "$1/bin/sh"
mkdir -p "$1/opt" && chroot "$1" python3 -m venv /opt/app-root && mkdir "$1/opt/app-root/src"
echo 'default:x:1001:0::/opt/app-root/src:/bin/bash' >> "$1/etc/passwd"
chown -R 1001:0 "$1/opt/app-root" && chmod -R g=u "$1/opt/app-root"
cp /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/ca-certificates.crt"
"""
PATH = "/opt/app-root/src/bin:/opt/app-root/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def obstacle() -> str:
    """Return why nothing can be built here; empty where it can."""
    if os.geteuid():
        return "building in a chroot needs root"
    if not shutil.which("apt-get"):
        return "buildah is taken from Debian's packages"
    unshared = subprocess.run(["unshare", "--mount", "true"], capture_output=True, timeout=30).returncode
    return "this root may not mount" if unshared else ""


class Buildah:
    """buildah with a store of its own."""

    def __init__(self, store: Path) -> None:
        self.store = store

    def __call__(self, command: str, *arguments: object) -> str:
        places = ["--root", self.store / "root", "--runroot", self.store / "run", "--storage-driver", "overlay"]
        places += ["--registries-conf", TOOLS / "etc" / "containers" / "registries.conf"]
        environment = os.environ | {"HOME": str(TOOLS), "BUILDAH_ISOLATION": "chroot"}  # not the machine's own settings
        words = [TOOLS / "usr" / "bin" / "buildah", *places, command, *arguments]
        done = subprocess.run(
            [str(word) for word in words], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1500
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
        return done.stdout

    def packages(self) -> list[str]:
        """Return the options of `bud` by which pip finds packages, and the CPU build of torch, as this machine does."""
        index = {name: os.environ.get(name, "") for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL")} | torch_index()
        options = [f"--build-arg={name}={value}" for name, value in index.items() if value]
        folders = [folder for folder in wheel_folders() if Path(folder).is_dir()]
        return [*options, *(f"--volume={folder}:{folder}:ro" for folder in folders)]

    def base(self) -> str:
        """Make the base image and return its name."""
        container = self("from", "scratch").strip()
        self("add", "--quiet", container, TOOLS / "base.tar", "/")
        user = ["--user", "1001", "--workingdir", "/opt/app-root/src"]
        links = ["--env", f"PIP_FIND_LINKS={' '.join(wheel_folders())}"] if wheel_folders() else []
        self("config", *user, *links, "--env", "HOME=/opt/app-root/src", "--env", f"PATH={PATH}", container)
        self("commit", "--quiet", "--rm", container, "localhost/base:1")
        return "localhost/base:1"


@contextmanager
def buildah(store: Path) -> Iterator[Buildah]:
    """Yield a buildah whose store is gone afterwards."""
    TOOLS.mkdir(parents=True, exist_ok=True)
    with held(TOOLS / "lock"):
        _fetch()
    tool = Buildah(store)
    try:
        yield tool
    finally:
        tool("rm", "--all")
        tool("rmi", "--all", "--force")


def _fetch() -> None:
    """Unpack buildah and make the base's files, once per checkout; of buildah only a library is installed."""
    if not (TOOLS / "base.tar").exists():
        _unpack()
    if "libgpgme.so.11 => not found" in _run("ldd", "usr/bin/buildah"):
        _run("apt-get", "install", "-qqy", "--no-install-recommends", "libgpgme11")


def _unpack() -> None:
    _run("apt-get", "download", "-qq", *PACKAGES)
    for package in sorted(TOOLS.glob("*.deb")):
        _run("dpkg-deb", "-x", package, ".")
        package.unlink()
    (TOOLS / ".config").unlink(missing_ok=True)
    (TOOLS / ".config").symlink_to("etc")
    (TOOLS / "layout").write_text("set -e\n" + LAYOUT)
    packages = "python3,python3-venv,ca-certificates,libstdc++6"
    hook = f'--customize-hook=bash {TOOLS / "layout"} "$1"'
    _run("perl", "usr/bin/mmdebstrap", "--mode=root", "--variant=essential", f"--include={packages}", hook,
         "bookworm", "draft.tar")  # fmt: skip
    (TOOLS / "draft.tar").rename(TOOLS / "base.tar")


def _run(*command: object) -> str:
    done = subprocess.run([str(word) for word in command], cwd=TOOLS, capture_output=True, text=True, timeout=580)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout
