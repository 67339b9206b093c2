"""The embedded registry answers 621 recorded calls as the real server did, except where DIFFERENCES.md says why not."""

from __future__ import annotations

import json
import re
from collections import Counter
from fnmatch import fnmatchcase
from typing import Any

import pytest

from helpers.runtime.workspace import ROOT
from tests.facts.registry.calls import run
from tests.plugins.registry import serving

TABLE = ROOT / "helpers" / "local" / "registry" / "DIFFERENCES.md"
RECORDED = ROOT / "tests" / "facts" / "registry" / "mysql.jsonl"


@pytest.fixture(scope="module")
def recorded() -> dict[str, dict[str, Any]]:
    answers = [json.loads(line) for line in RECORDED.read_text().splitlines()]
    return comparable({answer["call"]: answer for answer in answers})


@pytest.fixture(scope="module")
def answered(tmp_path_factory) -> dict[str, dict[str, Any]]:
    with serving(tmp_path_factory.mktemp("registry") / "registry.db") as server:
        calls = run(server.address)
        calls.http.close()
        return comparable(calls.out)


@pytest.fixture(scope="module")
def table() -> list[tuple[list[str], int]]:
    """The rows of the table: which calls, and how many of them."""
    rows = [line.split(" | ") for line in TABLE.read_text().splitlines() if line.startswith("| `")]
    return [(re.findall("`([^`]+)`", row[0]), int(row[1])) for row in rows]


def comparable(answers: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Give ids the name of the call that first showed them: a refused insert uses one up on MySQL."""
    first: dict[tuple[bool, str], str] = {}
    for call, answer in answers.items():
        if answer["status"] in (200, 201) and "id" in answer["body"]:
            first.setdefault(("artifactType" in answer["body"], answer["body"]["id"]), call)

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(item) for item in value]
        if isinstance(value, str) and len(value) > 1000:
            return f"{value[:40]}… ({len(value)} characters)"
        if not isinstance(value, dict):
            return value
        shown = {name: plain(item) for name, item in value.items()}
        for name, artifact in (("id", "artifactType" in value), ("registeredModelId", False)):
            if name in value:
                shown[name] = first.get((artifact, value[name]), f"nobody {value[name]}")
        if (False, value.get("name")) in first:  # an empty name is answered as the id of the parent
            shown["name"] = first[False, value["name"]]
        return shown

    def named(call: str) -> str:  # some filters have the id of a model in them
        return re.sub(r"((?:registeredModelId|registered_model_id|\.id) = '?)\d+", r"\1MODEL", call)

    bodies = {call: plain(answer["body"]) for call, answer in answers.items()}
    for call, answer in answers.items():
        if answer["status"] >= 400 and "message" in bodies[call]:
            bodies[call]["message"] = "a sentence"
    return {named(call): {"status": answer["status"], "body": bodies[call]} for call, answer in answers.items()}


def different(recorded: dict[str, Any], answered: dict[str, Any]) -> list[str]:
    # As text: for Python 1.0 is 1, and on the real server it is not.
    texts = [
        {call: json.dumps(answer, sort_keys=True) for call, answer in all_.items()} for all_ in (recorded, answered)
    ]
    return [call for call, text in texts[0].items() if texts[1][call] != text]


def test_each_recorded_call_is_made(recorded, answered):
    assert len(recorded) == 621
    assert recorded.keys() == answered.keys()


def test_a_difference_stands_in_the_table(recorded, answered, table):
    patterns = [pattern for patterns, _ in table for pattern in patterns]
    unexplained = {
        call: {"real": recorded[call], "here": answered[call]}
        for call in different(recorded, answered)
        if not any(fnmatchcase(call, pattern) for pattern in patterns)
    }
    assert not unexplained, json.dumps(unexplained, indent=1, ensure_ascii=False)[:4000]


def test_what_stands_in_the_table_differs(recorded, answered, table):
    calls = different(recorded, answered)
    counted = [sum(any(fnmatchcase(call, one) for one in patterns) for call in calls) for patterns, _ in table]
    assert counted == [number for _, number in table]
    useless = [one for patterns, _ in table for one in patterns if not any(fnmatchcase(call, one) for call in calls)]
    assert not useless, "these no longer differ"


def test_nothing_is_accepted_that_the_real_server_refuses(recorded, answered):
    lenient = [call for call in recorded if answered[call]["status"] < 400 <= recorded[call]["status"]]
    assert lenient == []


def test_no_call_is_answered_by_an_error_that_nobody_expected(recorded, answered):
    errors = Counter(answer["status"] for answer in answered.values() if answer["status"] >= 500)
    assert errors == Counter(answer["status"] for answer in recorded.values() if answer["status"] >= 500)
