"""The Containerfile as data, for one image each: its instructions, what it copies, what it sets."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

from dockerfile_parse import DockerfileParser

from helpers.runtime.workspace import ROOT

SOURCES = ROOT / "runtime-images"
CONTAINERFILE = SOURCES / "Containerfile"
IMAGES = sorted(path.parent.name for path in SOURCES.glob("*/runtime-image.json"))


def parsed(name: str) -> DockerfileParser:
    return DockerfileParser(fileobj=io.BytesIO(CONTAINERFILE.read_text().replace("${IMAGE}", name).encode()))


def instructions(name: str) -> list[tuple[str, str]]:
    """Return the instructions that make an image, each with its value on one line."""
    return [(item["instruction"], item["value"]) for item in parsed(name).structure if item["instruction"] != "COMMENT"]


def final_stage(name: str) -> list[tuple[str, str]]:
    """Return the instructions that make the image itself."""
    steps = instructions(name)
    return steps[max(number for number, (kind, _) in enumerate(steps) if kind == "FROM") :]


def builder_commands(name: str) -> tuple[list[str], list[str]]:
    """Return what the first stage runs in /tmp/build: until the lock is installed, and after helpers are copied."""
    before: list[str] = []
    after: list[str] = []
    commands = before
    for kind, value in instructions(name)[: -len(final_stage(name))]:
        if kind == "COPY" and value.endswith(" source/helpers"):
            commands = after
        elif kind == "RUN" and value != "mkdir /tmp/build":
            commands.append(value)
    return before, after


def declared(name: str) -> dict[str, str]:
    """Return the variables that the image sets."""
    return dict(parsed(name).envs)


def copied(name: str) -> list[tuple[str, str]]:
    """Return what is copied from the repository: path there, place in the builder."""
    lines = [value.split() for kind, value in instructions(name) if kind == "COPY" and "--from=" not in value]
    words = [[word for word in line if not word.startswith("--")] for line in lines]
    return [(source, line[-1]) for line in words for source in line[:-1]]


def copy_sources(name: str, folder: Path) -> None:
    """Copy what the image is built from, and nothing else."""
    for source, target in copied(name):
        place = folder / target / Path(source).name if target.endswith("/") else folder / target
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, place)


def shown(name: str) -> dict:
    """Return what Elyra shows of an image."""
    return json.loads((SOURCES / name / "runtime-image.json").read_text())
