"""What Prometheus on this machine scrapes: a file for each server, made by deploy_model, deleted with the server."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlparse

from helpers.artifacts import Selection, write_atomic
from helpers.artifacts import run as runs
from helpers.runtime.workspace import home

MEASURE, SERVE = "measure", "serve"  # a run's own server is overloaded on purpose: no rule is about it


class Target(NamedTuple):
    """A server: its address, and the labels of its series."""

    url: str
    labels: dict[str, str]


def folder() -> Path:
    """Return where the files are."""
    return home() / "monitoring" / "targets"


def write(handle: str, url: str, selection: Selection) -> None:
    """Let Prometheus scrape a server, under the version's own name: vLLM's label says only how the model is served."""
    labels = {
        "model": selection.name, "version": selection.version, "digest": selection.digest,
        "purpose": MEASURE if os.environ.get(runs.VARIABLE) else SERVE,
    }  # fmt: skip
    group = {"targets": [urlparse(url).netloc], "labels": labels}
    write_atomic(folder() / f"{handle}.json", json.dumps([group]).encode())


def delete(handle: str) -> None:
    """Let Prometheus forget a server."""
    (folder() / f"{handle}.json").unlink(missing_ok=True)


def served(model: str, version: str) -> Target | None:
    """Return the newest server of a version that no run measures, None where there is none."""
    files = sorted(folder().glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    read = [group for path in files for group in json.loads(path.read_text())]
    wanted = {"model": model, "version": version, "purpose": SERVE}
    found = next((each for each in read if wanted.items() <= each["labels"].items()), None)
    return Target(f"http://{found['targets'][0]}", found["labels"]) if found else None
