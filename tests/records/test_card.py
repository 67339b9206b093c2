"""The evaluation card says what was measured, on what, by whom, how sure that is and what was not, and who vouches."""

from __future__ import annotations

import json

import pytest

from helpers.errors import InvalidInput, SignatureInvalid
from helpers.records import card as cards
from helpers.records import reading
from helpers.registry import connect
from helpers.runtime import keys
from tests.plugins.attackers import other_key
from tests.plugins.stored import measured
from tests.registry.conftest import run

__all__ = ["run"]


@pytest.fixture
def registry(registry_server):
    return connect("local")


@pytest.fixture
def record(registry, tmp_path):
    """A version with a signed record and an unsigned one."""
    found = measured(registry, tmp_path, purpose="baseline")
    measured(registry, tmp_path, score=0.4)
    [attached, _] = registry.records()
    reading.sign(found, attached.uri)
    registry.set_approval(attached.model_version_id, "approved", ["good"], record=found.record_id)
    return found


def test_a_card_has_the_records_numbers_with_their_uncertainty_and_what_is_missing(registry, run, record, tmp_path):
    path = tmp_path / "card.json"
    code, said = run("card", "alpha", "--to", str(path))
    assert code == 0, said.err
    found = json.loads(path.read_text())["card"]
    assert found["model"]["digest"] == record.selection.digest
    assert (found["state"], found["decisions"][0]["record"]) == ("approved", record.record_id)
    first, second = found["records"]
    assert (first["record"], first["digest"]) == (record.record_id, record.digest)
    assert (first["signature_trusted"], second["signature_trusted"]) == (True, False)
    assert (first["measured_by"], first["engine"]) == (record.account, "vllm 0.32.0")
    assert first["tools"]["lm_eval"] == "0.4.13"
    by_name = {each["name"]: each for each in first["measurements"]}
    evaluation, told = record.evaluation, by_name["knowledge"]
    assert (told["data_digest"], told["became_of"]["answered"]) == (evaluation.dataset_digest, evaluation.n)
    [metric] = told["metrics"]
    assert (metric["value"], metric["n"]) == (evaluation.score, evaluation.n)
    assert metric["interval"] == evaluation.interval.model_dump()
    missing = found["not_measured"]
    assert {each.partition(":")[0] for each in missing if "record" not in each} == {
        "format", "tools", "safety", "application",
    }  # fmt: skip
    assert any("chat" in each and "ttft_p95_ms" in each for each in missing), "one measurement says nothing of noise"

    code, said = run("audit", str(path))
    assert (code, record.record_id in said.out) == (0, True)
    assert cards.verified(path) == found


def test_what_cannot_be_read_and_what_was_withdrawn_are_named(registry, record, tmp_path):
    signed, unsigned = registry.records()
    registry.withdraw(unsigned, by="Ada", reason="the wrong questions")
    place = tmp_path / "records" / record.record_id / "record.json"
    place.write_text(place.read_text().replace('"n":160', '"n":161'))
    found = cards.card(registry, registry.find("alpha", "1.0"))
    assert [each["record"] for each in found["not_read"]] == [signed.record_id]
    assert found["withdrawn"] == [{"record": unsigned.record_id, "by": "Ada", "reason": "the wrong questions"}]
    assert found["records"] == []


def test_a_card_that_was_changed_or_that_nobody_trusted_signed_does_not_hold(
    registry, run, record, tmp_path, monkeypatch
):
    path = tmp_path / "card.json"
    text = cards.signed(cards.card(registry, registry.find("alpha", "1.0")))
    path.write_text(text.replace(str(record.evaluation.score), "0.99"))
    with pytest.raises(SignatureInvalid):
        cards.verified(path)
    assert run("audit", str(path))[0] == 1
    path.write_text(text)
    assert run("audit", str(path))[0] == 0
    monkeypatch.setenv(keys.MEASURING.public, other_key()[1].decode())
    with pytest.raises(SignatureInvalid):
        cards.verified(path)
    path.write_text("{}")
    with pytest.raises(InvalidInput):
        cards.verified(path)
