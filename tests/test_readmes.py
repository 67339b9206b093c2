"""The documents for people: their links lead somewhere, and what they name is there."""

from __future__ import annotations

import json
import re

import pytest

from helpers.runtime.workspace import ROOT
from tests.conftest import pipeline_files

PLACES = ("", "datasets/", "datasets/*/", "pipelines/", "runtime-images/", "runtime-images/**/")
DOCUMENTS = [ROOT / "CONTRIBUTING.md", *(path for place in PLACES for path in ROOT.glob(f"{place}README.md"))]
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(#[^)]*)?\)")
every_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def anchors(path):
    """What a heading is called in an address."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_document
def test_every_link_leads_to_a_file_and_a_heading(path):
    for place, anchor in LINK.findall(path.read_text()):
        target = path.parent / place if place else path
        assert target.exists(), place
        assert not anchor or anchor[1:] in anchors(target), place + anchor


@every_document
def test_every_make_command_is_in_the_makefile(path):
    targets = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z][\w-]*)", path.read_text(), re.MULTILINE)) <= targets


def test_the_parameters_that_a_cluster_adds_are_pipeline_parameters():
    known = set()
    for path in pipeline_files():
        parameters = json.loads(path.read_text())["pipelines"][0]["app_data"]["properties"]["pipeline_parameters"]
        known |= {item["name"] for item in parameters}
    table = (ROOT / "runtime-images" / "openshift" / "README.md").read_text().partition("## What you will want")[2]
    rows = re.findall(r"^\| (`[A-Z].*?) \|", table, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert len(named) > 10
    assert named <= known
