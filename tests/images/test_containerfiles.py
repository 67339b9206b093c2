"""What the Containerfile promises: read by hadolint, and by the platform's rules."""

from __future__ import annotations

import fnmatch
import re
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.runtime.workspace import ROOT
from tests.plugins.containerfiles import (
    CONTAINERFILE,
    IMAGES,
    SOURCES,
    builder_commands,
    copied,
    declared,
    final_stage,
    instructions,
)

every_image = pytest.mark.parametrize("name", IMAGES)
PACKAGE_HOSTS = ("pypi.org", "pythonhosted.org", "download.pytorch.org", "anaconda.org", "file:///")


def test_hadolint_finds_nothing():
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, CONTAINERFILE], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


@every_image
def test_the_base_is_ubi_9_by_digest_and_can_be_replaced(name):
    steps = instructions(name)
    argument = dict(steps[0:1])["ARG"]
    assert re.fullmatch(r"BASE_IMAGE=registry\.access\.redhat\.com/ubi9/python-311@sha256:[0-9a-f]{64}", argument)
    bases = [value.split()[0] for kind, value in steps if kind == "FROM"]
    assert bases == ["${BASE_IMAGE}"] * 2


@every_image
def test_nothing_runs_as_root_and_nothing_is_installed_in_the_final_stage(name):
    assert {value for kind, value in instructions(name) if kind == "USER"} == {"1001"}
    steps = final_stage(name)
    assert ("WORKDIR", "/opt/app-root/src") in steps
    assert [value for kind, value in steps if kind == "RUN"] == ["rm -rf /opt/app-root/lib/python3*/site-packages"]
    assert [value for kind, value in steps if kind == "COPY"] == [
        "--from=builder --chown=1001:0 /opt/app-root /opt/app-root"
    ]


@every_image
def test_every_download_is_held_against_a_hash(name):
    commands = [part for kind, value in instructions(name) if kind == "RUN" for part in value.split("&&")]
    downloads = [part for part in commands if re.search(r"pip (install|wheel|download)", part)]
    assert downloads
    assert all("--require-hashes" in part or "--no-index" in part for part in downloads)
    assert not [part for part in commands if re.search(r"\b(curl|wget|dnf|yum|git)\b", part)]
    assert [re.search(r"npm (\S+)", part)[1] for part in commands if "npm " in part] == ["ci"], "by its lock alone"


@every_image
def test_what_the_base_had_goes_before_the_lock_comes_and_the_result_is_checked(name):
    before, after = builder_commands(name)
    steps = [part.strip() for command in [*before, *after] for part in command.split("&&")]
    [removed] = [number for number, part in enumerate(steps) if "pip uninstall" in part]
    installed = [number for number, part in enumerate(steps) if part.startswith("python3 -m pip install")]
    assert removed < min(installed)
    assert all("--find-links wheels -r names.txt" in steps[number] for number in installed), "by name, not by file"
    assert max(installed) < steps.index("python3 -m pip check")


@every_image
def test_a_node_installs_and_downloads_nothing(name):
    variables = declared(name)
    assert variables["ELYRA_INSTALL_PACKAGES"] == "false"
    assert variables["PIP_NO_INDEX"] == "1"
    assert variables["ASSAY_HOME"].startswith("/opt/app-root/src/")


@every_image
def test_a_build_is_sent_what_it_copies_and_no_more(name):
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert rules[0] == "*"
    sent = {rule[1:] for rule in rules if rule.startswith("!")}
    for source, _ in copied(name):
        assert (ROOT / source).exists()
        assert any(fnmatch.fnmatch(source, f"{place}*") for place in sent)
    used = {source.partition("/")[0] for image in IMAGES for source, _ in copied(image)}
    assert sent == used


def test_no_file_names_a_package_host():
    files = [path for path in SOURCES.rglob("*") if path.is_file()]
    files += [ROOT / name for name in ("Makefile", "requirements.txt", "pyproject.toml", ".dockerignore")]
    named = [(path.name, host) for path in files for host in PACKAGE_HOSTS if host in path.read_text()]
    assert not named
