"""A registry and a store that version 1 filled stay readable, comparable, and worth taking over from."""

from __future__ import annotations

import json
import shutil

import pytest

from helpers import storage
from helpers.analysis import loading
from helpers.artifacts import Record
from helpers.datasets.criteria import load_criteria
from helpers.records.reuse import known
from helpers.records.reuse.archive import Archive
from helpers.registry import connect
from helpers.registry.documents import post
from helpers.runtime.keys import make_own_keys
from helpers.runtime.workspace import ROOT
from tests.plugins.models import CRITERIA
from tests.plugins.records import a_record, some_samples
from tests.plugins.stored import attach, stored

FACTS = ROOT / "tests" / "facts" / "version-1"


@pytest.fixture
def registry(registry_server, tmp_path):
    """A registry with one record as version 1 wrote it, whose files lie in a store."""
    found = connect(registry_server.address)
    place = tmp_path / "store"
    shutil.copytree(FACTS, place)
    content = json.loads((FACTS / "record.json").read_text())
    content["raw"] = {path.name: path.as_uri() for path in place.glob("lm_eval_*")}
    uri = storage.put(json.dumps(content).encode(), (place / "record.json").as_uri())
    selection = content["selection"]
    about = {name: selection[name] for name in ("uri", "digest", "size_bytes", "license")}
    version = found.register_candidate(selection["name"], selection["version"], **about)
    summary = json.loads((FACTS / "summary.json").read_text())
    post(found._connection, version.model_version_id, f"record-{content['record_id']}", uri, summary)
    return found


def test_its_two_measurements_have_the_names_of_today():
    old = json.loads((FACTS / "record.json").read_text())
    record = Record.model_validate(old)
    assert [each.name for each in record.measurements] == ["chat", "knowledge"]
    chat, knowledge = record.measurements
    assert (knowledge.score, knowledge.score_kind) == (old["evaluation"]["score"], "proportion")
    assert len(chat.points) == len(old["sweep"]["points"])
    assert {metric.name for metric in chat.metrics} >= {"ttft_p95_ms", "requests_per_second"}
    assert knowledge.metrics[0].value == knowledge.score
    assert Record.model_validate_json(record.model_dump_json()) == record


def test_a_new_record_is_compared_with_it(registry, tmp_path):
    log = some_samples(0.9, n=24)
    attach(registry, *stored(a_record("newer", samples=log), log, tmp_path / "new"))
    comparison = loading.compare_all(registry, loading.Filter(), load_criteria(CRITERIA))
    assert {row.label for row in comparison.standings} == {"newer 1.0", "ops-small 1.0"}
    assert len(comparison.pairs) == 1
    rows = {(row.name, row.metric): row for row in comparison.tiers}
    assert all(cell.value is not None for cell in rows["knowledge", "acc"].cells)


def test_its_evaluation_which_nobody_signed_is_measured_again(registry, tmp_path):
    make_own_keys()
    wanted, archive, said = known.evaluation("facts", "e" * 64), Archive(registry.address), []
    assert known.recorded(wanted, archive, tmp_path / "here") is None
    assert archive.tell(said.append)
    assert "has no signature of a trusted key" in said[0]
