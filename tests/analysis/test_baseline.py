"""Of several earlier records, the one that later ones are held against."""

from __future__ import annotations

import pytest

from helpers.analysis.gate.baseline import find_baseline, standing
from helpers.errors import NotFound
from helpers.registry import AttachedRecord, Verdict, connect
from tests.plugins.records import a_record

RECORDS = [AttachedRecord("ops", "1.0", "1", name, f"file:///{name}", {}) for name in "abc"]


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ("", "c"),
        ("a:first", "a"),
        ("b:fail", "a"),
        ("a:fail b:fail", None),
        ("a:pass b:inconclusive c:fail", "a"),
        ("a:pass c:pass", "c"),
        ("a:pass c:pass c:fail", "a"),
        ("c:pass a:accepted", "a"),
        ("b:fail c:fail b:accepted", "b"),
        ("b:fail b:accepted c:pass", "c"),
        ("elsewhere:pass", "c"),
    ],
    ids=lambda value: value or "none",
)
def test_it_is_what_passed_last_or_was_accepted_since(verdicts, expected):
    told = [Verdict(*each.split(":")) for each in verdicts.split()]
    found = standing(RECORDS, told)
    assert (found and found.record_id) == expected


def test_without_records_there_is_none():
    assert standing([], [Verdict("a", "pass")]) is None


def test_a_tuned_candidate_is_held_against_its_parent(registry_server):
    registry = connect("local")
    known = {"uri": "file:///x", "size_bytes": 1, "license": "mit"}
    for place, name in enumerate(("granite", "granite-ops")):
        registry.register_candidate(name, "2.0", digest=f"sha256:{place:064}", **known)
    candidate = a_record("granite-ops", parent=f"sha256:{0:064}")
    with pytest.raises(NotFound, match=r"granite 2\.0 for ops-assistant"):
        find_baseline(registry, candidate)
    with pytest.raises(NotFound, match="no version"):
        find_baseline(registry, candidate.model_copy(update={"parent": f"sha256:{9:064}"}))
