"""The locks: every package by hash, in agreement with the workbench and with what they were made from."""

from __future__ import annotations

import json
import re
import tomllib

import pytest

from helpers.runtime.workspace import ROOT
from tests.plugins.containerfiles import IMAGES, SOURCES

LOCKS = [SOURCES / name / "requirements.txt" for name in IMAGES]
BUILDER = [SOURCES / "builder" / name for name in ("requirements.txt", "elyra.txt")]
OF_SEVERAL_PYTHONS = [ROOT / "requirements.txt", SOURCES / "vllm" / "requirements.txt"]
OTHERS = {"garak": {"importlib-metadata", "transformers"}}  # what it wants in another version than the workbench
every_lock = pytest.mark.parametrize("path", [*LOCKS, *BUILDER], ids=lambda path: f"{path.parent.name}-{path.stem}")


def packages(path):
    """Name -> (version, number of hashes) of a lock."""
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    entries = re.split(r"(?<!\\)\n", "\n".join(lines))
    found = {}
    for entry in entries:
        name, version = re.match(r"([a-z0-9._-]+)==([^\s;]+)", entry).groups()
        found[name] = version, len(re.findall(r"--hash=sha256:[0-9a-f]{64}", entry))
    return found


@every_lock
def test_no_package_comes_without_a_hash(path):
    assert packages(path)
    assert not [name for name, (_, hashes) in packages(path).items() if not hashes]


@pytest.mark.parametrize("path", OF_SEVERAL_PYTHONS, ids=lambda path: path.parent.name)
def test_only_torch_may_be_another_build(path):
    assert [name for name, (_, hashes) in packages(path).items() if not hashes] == ["torch"]


@every_lock
def test_versions_are_the_workbenchs(path):
    workbench = dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    assert not {
        name: (version, workbench[name])
        for name, (version, _) in packages(path).items()
        if workbench.get(name, version) != version and name not in OTHERS.get(path.parent.name, ())
    }


@every_lock
def test_a_lock_has_what_it_was_made_from(path):
    assert set(asked(path.with_suffix(".in"))) <= set(packages(path))


def asked(path):
    """The packages that a requirements.in names itself, those of its extras included."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for line in path.read_text().splitlines():
        line = line.partition("#")[0].strip()
        if line.startswith("-r "):
            yield from asked(path.parent / line[3:])
        elif line.startswith(".["):
            listed = [item for extra in line[2:-1].split(",") for item in extras[extra]]
            yield from (re.match(r"[\w-]+", item)[0] for item in listed)
        elif line:
            yield re.match(r"[\w-]+", line)[0]


@pytest.mark.parametrize("path", LOCKS, ids=IMAGES)
def test_torch_is_the_cpu_build_and_no_cuda_comes_along(path):
    locked = packages(path)
    assert locked.get("torch", ("+cpu", 1))[0].endswith("+cpu")
    assert not [name for name in locked if re.match(r"nvidia-(cu|nccl|nv)|triton$", name)]


def test_the_baked_bootstrapper_is_that_of_the_pinned_elyra():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    [pin] = [item for item in extras["workbench"] if item.startswith("odh-elyra")]
    assert packages(BUILDER[1]) == {"odh-elyra": (pin.partition("==")[2], 2)}
    assert pin in (SOURCES / "builder" / "elyra.in").read_text().splitlines()


def test_elyra_is_told_to_install_nothing():
    lines = (SOURCES / "builder" / "requirements-elyra.txt").read_text().splitlines()
    assert lines
    assert all(line.startswith("#") for line in lines)


def test_every_package_of_npm_has_a_hash_and_names_no_host():
    lock = json.loads((SOURCES / "promptfoo" / "package-lock.json").read_text())
    packages = {name: about for name, about in lock["packages"].items() if name}
    assert len(packages) > 400
    assert not [name for name, about in packages.items() if "integrity" not in about or "resolved" in about]
    asked = json.loads((SOURCES / "promptfoo" / "package.json").read_text())["dependencies"]
    assert lock["packages"][""]["dependencies"] == asked
