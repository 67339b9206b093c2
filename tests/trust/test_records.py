"""Whoever may write to the bucket, or measures without a trusted key, makes no measurement that counts."""

from __future__ import annotations

import json
import shutil

import pytest

from helpers import storage
from helpers.analysis import loading
from helpers.analysis.gate.baseline import find_baseline
from helpers.analysis.gate.reading import answers_of
from helpers.artifacts import Record
from helpers.datasets.criteria import load_criteria
from helpers.errors import AssayError, DigestMismatch, EndpointUnreachable, InvalidInput, SignatureInvalid
from helpers.records import reading, reuse
from helpers.registry.history import figure_digests
from helpers.runtime import keys, signing
from tests.plugins.attackers import other_key
from tests.plugins.models import CRITERIA, POLICY
from tests.plugins.records import KNOWLEDGE
from tests.records.reuse.conftest import little_patience, measured, one_run, questions, recorded, server, settings
from tests.records.reuse.conftest import tokenizer as tokenizer

__all__ = ["little_patience", "one_run", "questions", "recorded", "server", "settings", "tokenizer"]
BETTER = 0.99


def entry(recorded):
    return recorded.registry.records()[-1]


def edited(recorded, **values):
    """Change the evaluation in the stored record, as who may write to the bucket does."""
    content = json.loads(storage.get(entry(recorded).uri))
    content["measurements"][1] |= values
    return content


def put(recorded, content):
    storage.put(json.dumps(content).encode(), entry(recorded).uri)


def resealed(content):
    """The content with the digest and the id that fit it."""
    return Record.model_validate(content | {"digest": "", "record_id": "0" * 16}).sealed()


def edit_a_score(recorded):
    put(recorded, edited(recorded, score=BETTER))


def edit_a_score_and_fit_the_digest(recorded):
    put(recorded, resealed(edited(recorded, score=BETTER)).model_dump(mode="json"))


def edit_a_score_and_keep_the_id(recorded):
    put(recorded, edited(recorded, score=BETTER) | {"digest": ""})


def edit_who_served(recorded):
    content = json.loads(storage.get(entry(recorded).uri))
    put(recorded, content | {"endpoint": content["endpoint"] | {"engine_args": []}})


def edit_the_digest_of_a_raw_file(recorded):
    content = json.loads(storage.get(entry(recorded).uri))
    put(recorded, content | {"raw_digests": dict.fromkeys(content["raw_digests"], "0" * 64)})


def remove_the_signature(recorded):
    shutil.rmtree(storage.local_path(entry(recorded).uri).parent / "signatures")


def sign_with_a_key_of_his_own(recorded):
    private, public = other_key()
    place = storage.local_path(entry(recorded).uri).parent / "signatures"
    (file,) = place.iterdir()
    document = signing.sign(json.loads(json.loads(file.read_text())["signed"]), private)
    file.write_text(json.dumps(document.fields()))
    file.with_name(f"{keys.fingerprint(public)[7:23]}.json").write_text(json.dumps(document.fields()))


ATTACKS = {
    edit_a_score: "somebody changed it",
    edit_a_score_and_fit_the_digest: "is record",
    edit_a_score_and_keep_the_id: "is of before, not sha256:",
    edit_who_served: "somebody changed it",
    edit_the_digest_of_a_raw_file: "somebody changed it",
    remove_the_signature: "has no signature of a trusted key",
    sign_with_a_key_of_his_own: "is signed by the key sha256:",
}


@pytest.mark.parametrize(("attack", "told"), ATTACKS.items(), ids=lambda item: getattr(item, "__name__", ""))
def test_a_changed_record_is_neither_read_nor_taken_over(recorded, tmp_path, attack, told):
    reading.read_signed(entry(recorded))
    attack(recorded)
    with pytest.raises(AssayError, match=told):
        reading.read_signed(entry(recorded))
    said = []
    with pytest.raises(EndpointUnreachable):  # it measures, and nothing answers here
        reuse.evaluate(recorded.task, recorded.endpoint, recorded.known, tmp_path / "second", said.append)
    assert told in said[0]
    assert not (tmp_path / "second" / KNOWLEDGE.samples).exists()


def test_a_score_that_its_log_does_not_say_is_not_taken_over_though_it_is_signed(recorded, tmp_path):
    """Whoever measured has the key, and writes another score than his own log has."""
    better = resealed(edited(recorded, score=BETTER))
    uri = entry(recorded).uri.replace(recorded.record.record_id, better.record_id)
    storage.put(better.model_dump_json().encode(), uri)
    reading.sign(better, uri)
    summary = {**entry(recorded).summary, "record_id": better.record_id, "digest": better.digest}
    known = (better.record_id, uri, summary, entry(recorded).measurements)
    recorded.registry.attach_record(recorded.selection.model_version_id, *known)
    said = []
    taken = reuse.evaluate(recorded.task, recorded.endpoint, recorded.known, tmp_path / "second", said.append)
    assert taken.taken_from == recorded.record.record_id
    assert taken.score == recorded.record.evaluation.score != BETTER


def test_two_groups_sign_one_record_and_each_signature_stays(recorded, monkeypatch):
    private, public = other_key()
    own = keys.MEASURING.path.with_suffix(".pub").read_text()
    monkeypatch.setenv("MEASURING_KEY", private.decode())
    monkeypatch.setenv("MEASURING_PUBLIC_KEY", public.decode())
    with pytest.raises(SignatureInvalid):
        reading.read_signed(entry(recorded))
    reading.sign(recorded.record, entry(recorded).uri)
    reading.read_signed(entry(recorded))
    monkeypatch.setenv("MEASURING_PUBLIC_KEY", own)
    reading.read_signed(entry(recorded))
    monkeypatch.setenv("MEASURING_PUBLIC_KEY", own + public.decode())
    reading.read_signed(entry(recorded))


# What is compared


def compared(recorded):
    asked = loading.Filter(use_case=recorded.record.use_case, task=recorded.record.evaluation.task)
    return loading.compare_all(recorded.registry, asked, load_criteria(CRITERIA))


def held(recorded):
    newer = recorded.record.model_copy(update={"record_id": "f" * 16})
    return find_baseline(recorded.registry, newer)


@pytest.fixture
def told_whose(monkeypatch):
    """The administrator has said whose signatures count, as on a cluster."""
    monkeypatch.setenv("MEASURING_PUBLIC_KEY", keys.MEASURING.path.with_suffix(".pub").read_text())


@pytest.mark.parametrize("read", [compared, held])
@pytest.mark.parametrize("attack", [remove_the_signature, sign_with_a_key_of_his_own, edit_a_score])
def test_a_record_that_nobody_trusted_signed_is_no_row_and_no_baseline(recorded, told_whose, attack, read):
    read(recorded)
    attack(recorded)
    with pytest.raises((SignatureInvalid, InvalidInput), match=recorded.record.record_id):
        read(recorded)


def test_of_two_versions_the_unsigned_one_is_left_out_and_named(recorded, told_whose, tmp_path):
    known = {"uri": "file:///n", "digest": "sha256:" + "b" * 64, "size_bytes": 1}
    other = recorded.registry.register_candidate("ops-large", "1.0.0", **known)
    measured(
        tmp_path / "other",
        other,
        recorded.endpoint.model_copy(update={"digest": other.digest}),
        recorded.load,
        recorded.task,
    )
    recorded.log(tmp_path / "other")
    assert len(compared(recorded).standings) == 2
    remove_the_signature(recorded)
    found = compared(recorded)
    assert [row.name for row in found.standings] == ["ops-small"]
    assert "ops-large 1.0.0 has no signature of a trusted key" in found.not_compared[0]


def swap_two_answers(recorded):
    """Change which questions were right, and keep how many: every score stays as it was."""
    uri = recorded.record.raw[KNOWLEDGE.samples]
    rows = [json.loads(line) for line in storage.get(uri).splitlines()]
    right, wrong = (next(row for row in rows if row["scores"]["acc"] == score) for score in (1, 0))
    right["scores"], wrong["scores"] = wrong["scores"], right["scores"]
    storage.put("".join(f"{json.dumps(row)}\n" for row in rows).encode(), uri)


@pytest.mark.parametrize("read", [compared, lambda recorded: answers_of(recorded.record)])
def test_an_edited_log_in_the_bucket_is_not_read(recorded, read):
    read(recorded)
    swap_two_answers(recorded)
    with pytest.raises(DigestMismatch, match="is not the file that was measured"):
        read(recorded)


# What approves


def decide(recorded, folder, endpoint, **changes):
    known = {"purpose": "baseline", "decide_approval": True, "policy": POLICY}
    measured(folder, recorded.selection, endpoint, recorded.load, recorded.task)
    return recorded.log(folder, **(known | changes))


@pytest.mark.parametrize(
    ("server", "changes", "told"),
    [
        ({"target": "existing"}, {}, "weights are unknown"),
        ({"digest_verified": False}, {}, "whose files nobody verified"),
        ({}, {"purpose": "use-case"}, "is approved by a baseline only"),
        ({}, {"asked": {"knowledge": "another_task"}}, "and ops-assistant asks another_task"),
        ({}, {"asked": {"facts": "ops_assistant"}}, "asks none of that name"),
    ],
    ids=["another server", "unverified", "a use case", "another task", "another name"],
)
def test_only_verified_measurements_of_the_baseline_decide(recorded, tmp_path, server, changes, told):
    before = len(recorded.registry.records())
    with pytest.raises(InvalidInput, match=told):
        decide(recorded, tmp_path / "odd", recorded.endpoint.model_copy(update=server), **changes)
    assert recorded.registry.decisions(recorded.selection.model_version_id) == []
    assert len(recorded.registry.records()) == before


def test_a_log_or_a_score_that_was_edited_before_it_is_logged_decides_nothing(recorded, tmp_path):
    folder = tmp_path / "edited"
    measured(folder, recorded.selection, recorded.endpoint, recorded.load, recorded.task, score=BETTER)
    with pytest.raises(DigestMismatch, match=r"the measurement 0\.9900 of 10"):
        recorded.log(folder, purpose="baseline", decide_approval=True, policy=POLICY)
    measured(folder, recorded.selection, recorded.endpoint, recorded.load, recorded.task)
    (folder / KNOWLEDGE.samples).write_text("")
    with pytest.raises(DigestMismatch, match="is not the file that was measured"):
        recorded.log(folder, purpose="baseline", decide_approval=True, policy=POLICY)
    assert recorded.registry.decisions(recorded.selection.model_version_id) == []


def test_too_few_questions_reject(recorded, tmp_path):
    record = decide(recorded, tmp_path / "few", recorded.endpoint)
    assert record.approval.state == "rejected"
    assert "knowledge has 10 questions, and 100 are the least that approve" in record.approval.reasons


def test_the_figures_that_a_version_shows_are_those_that_were_decided_on(recorded, tmp_path):
    decide(recorded, tmp_path / "few", recorded.endpoint)
    version = recorded.registry.find("ops-small", "1.0.0")
    shown = figure_digests(version.properties)
    assert set(shown) == recorded.registry.history(version.model_version_id).figures
    assert len(shown) == 2


def test_a_baseline_that_nobody_can_sign_is_told_before_anything_is_written(recorded, tmp_path, monkeypatch):
    measured(tmp_path / "pod", recorded.selection, recorded.endpoint, recorded.load, recorded.task, share=0.8)
    keys.MEASURING.path.unlink()
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    before = storage.sizes((recorded.folder / "store").as_uri())
    with pytest.raises(InvalidInput, match="no MEASURING_KEY"):
        recorded.log(tmp_path / "pod", purpose="baseline")
    assert storage.sizes((recorded.folder / "store").as_uri()) == before
    record = recorded.log(tmp_path / "pod")  # a use case: logged, and never taken over
    assert record.digest
    with pytest.raises(SignatureInvalid, match="no MEASURING_PUBLIC_KEY"):
        reading.read_signed(entry(recorded))
