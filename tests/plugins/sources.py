"""What tests of every source share: a policy that lets it in, a small model, and a fetch that is killed halfway."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import yaml

from helpers.ingestion.policy import Policy, load_policy
from helpers.ingestion.sources import Fetched, fetch
from helpers.runtime.polling import wait_for
from helpers.runtime.workspace import ROOT

CARD = b"---\nlicense: apache-2.0\n---\n# A model\n"
CHILD = """
import sys
from pathlib import Path
from helpers.ingestion.policy import load_policy
from helpers.ingestion.sources import fetch
with fetch(sys.argv[1], load_policy(Path(sys.argv[2])), Path(sys.argv[3])):
    print("whole", flush=True)
"""


def write_policy(folder: Path, *, limits: dict | None = None, files: dict | None = None, **sources: object) -> Path:
    """Write the shipped policy with sources from anywhere, and the changes given."""
    content = yaml.safe_load((ROOT / "pipelines" / "policy.yaml").read_text("utf-8"))
    content["sources"] |= {"organizations": ["*"], "buckets": ["*"], "registries": ["*"], **sources}
    content["limits"] |= limits or {}
    content["files"] |= files or {}
    path = folder / "policy.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def a_policy(folder: Path, **changes) -> Policy:
    return load_policy(write_policy(folder, **changes))


def model(size: int = 30_000, shards: int = 2) -> dict[str, bytes]:
    """Files that pass every rule on names, kinds and the license; their weights are noise."""
    noise = random.Random(size)
    weights = {f"model-{number}-of-{shards}.safetensors": noise.randbytes(size) for number in range(1, shards + 1)}
    return {"README.md": CARD, "config.json": b'{"model_type": "llama"}', "tokenizer/vocab.txt": b"a\nb\n", **weights}


def sums(files: dict[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files)}


@contextmanager
def fetched(source: str, policy: Policy, quarantine: Path):
    """Fetch, and check what holds for every source: the sums are those of the files, and no file can be run."""
    with fetch(source, policy, quarantine) as result:
        assert isinstance(result, Fetched)
        if result.complete and not any(finding.severity != "low" for finding in result.findings):
            found = {path.relative_to(result.folder).as_posix(): path for path in files_below(result.folder)}
            assert dict(result.sums) == sums({name: path.read_bytes() for name, path in found.items()})
            assert not any(path.stat().st_mode & 0o111 for path in found.values())
        yield result


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def killed(source: str, policy: Path, quarantine: Path, halfway: Callable[[], bool]) -> None:
    """Fetch in a process of its own and kill it as soon as it is halfway."""
    command = [sys.executable, "-c", CHILD, source, str(policy), str(quarantine)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True) as child:
        try:
            wait_for(
                lambda: halfway() or child.poll() is not None,
                what="half of the download",
                do="",
                timeout=60,
                interval=0.01,
            )
        finally:
            os.killpg(child.pid, signal.SIGKILL)
        said = child.stdout.read().decode()
    assert child.returncode == -signal.SIGKILL, "it ended before it could be killed"
    assert "whole" not in said


def rules(result: Fetched) -> set[str]:
    """The rules that were broken, notes left out."""
    return {finding.rule for finding in result.findings if finding.severity != "low"}
