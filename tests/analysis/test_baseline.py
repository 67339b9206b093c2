"""Of several earlier records, the one that later ones are held against."""

from __future__ import annotations

import pytest

from helpers.analysis.gate.baseline import find_baseline, standing
from helpers.errors import NotFound
from helpers.registry import AttachedRecord, Verdict, connect
from tests.plugins.records import a_record, some_samples
from tests.plugins.stored import attach, stored

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


def test_a_tuned_candidate_is_held_against_its_parent_until_a_record_of_its_own_passed(registry_server, tmp_path):
    registry = connect("local")
    samples, made = some_samples(0.5), {}
    for place, name in enumerate(("granite", "granite-ops")):
        known = {"uri": "file:///x", "size_bytes": 1, "license": "mit", "digest": f"sha256:{place:064}"}
        selection = registry.register_candidate(name, "1.0", **known)
        record = a_record(name, samples=samples, parent=f"sha256:{0:064}" if place else "")
        record = record.model_copy(update={"selection": selection}).sealed()
        made[name], uri = stored(record, samples, tmp_path)
        if not place:
            with pytest.raises(NotFound, match="granite-ops"):
                find_baseline(registry, a_record("granite-ops", parent=f"sha256:{0:064}"))
        attach(registry, made[name], uri)
    tuned = made["granite-ops"]
    assert find_baseline(registry, tuned).record_id == made["granite"].record_id
    again = tuned.model_copy(update={"git_commit": "another"}).sealed()
    registry.add_verdict(tuned.selection.model_version_id, Verdict(tuned.record_id, "inconclusive"))
    assert find_baseline(registry, again).record_id == made["granite"].record_id
    registry.add_verdict(tuned.selection.model_version_id, Verdict(tuned.record_id, "pass"))
    assert find_baseline(registry, again).record_id == tuned.record_id
