"""Whoever may write to the registry approves nothing: only ModelOps' key does, and its decisions cannot be moved."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from helpers import storage
from helpers.errors import InvalidInput, NoMatch, NotApproved, SignatureInvalid
from helpers.registry import connect
from helpers.registry.history import Decision
from helpers.runtime import keys, signing
from helpers.runtime.workspace import ROOT
from tests.plugins.attackers import DIGEST, OTHER, a_version, attacker, other_key, registry, text

__all__ = ["attacker", "registry"]
REJECTED = "a flaw was found"


@pytest.fixture
def rejected(registry):
    """A version that was approved, and that a person has rejected since."""
    selection = a_version(registry)
    registry.set_approval(selection.model_version_id, "approved", ["good"])
    registry.set_approval(selection.model_version_id, "rejected", [REJECTED], by="Ada")
    return selection


def refused(registry, selection, *told):
    """Neither lookup nor deployment takes the version, both say why, and the audit does."""
    with pytest.raises(SignatureInvalid) as deployed:
        registry.confirm(selection)
    with pytest.raises(NoMatch) as looked_up:
        registry.select(registry.shortlist(), selection.name, selection.version)
    for error in (deployed.value, looked_up.value):
        for part in told:
            assert part in str(error)
    assert audit(selection.name).returncode == 1


def audit(name, *more):
    command = [sys.executable, "-m", "helpers.registry", name, "--audit", *more]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def forged(private, **about):
    """What an attacker signs with a key of his own."""
    known = {"model": "alpha", "version": "1.0", "digest": DIGEST, "serial": 1}
    document = signing.sign(Decision("approved", "good", **(known | about)).payload(), private)
    return {name: text(value) for name, value in {"approval": "approved", **document.fields()}.items()}


def test_the_chain_holds_and_its_audit_says_so(registry, rejected):
    history, doubt = registry.audit(registry.find("alpha", "1.0"))
    assert doubt == ""
    first, second = (link.decision for link in history.chain)
    assert (first.serial, first.previous, second.serial) == (1, "", 2)
    assert second.previous == history.chain[0].digest
    assert (second.model, second.version, second.digest) == ("alpha", "1.0", DIGEST)
    assert history.standing.decision == second
    done = audit("alpha")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["alpha", "approval-000001", "approval-000002"]
    with pytest.raises(NotApproved, match=REJECTED):
        registry.confirm(rejected)


def patch_the_approval(attacker, key):
    attacker.show(key, approval="approved", approval_reasons="good", approval_by="")


def post_an_unsigned_approval(attacker, key):
    attacker.post(key, "approval-" + "f" * 32, {name: text(name) for name in ("approval", "approval_by")})
    patch_the_approval(attacker, key)


def post_one_of_a_key_of_his_own(attacker, key):
    before = attacker.registry.history(key).decided[-1].digest
    about = {"serial": 3, "previous": before}
    attacker.post(key, "approval-000003", forged(other_key()[0], **about))
    patch_the_approval(attacker, key)


def post_the_old_approval_again(attacker, key):
    (approved, _) = attacker.documents(key)
    attacker.post(key, "approval-000003", approved["customProperties"])
    patch_the_approval(attacker, key)


def edit_the_rejection(attacker, key):
    (_, rejection) = attacker.documents(key)
    said = rejection["customProperties"]["signed"]["string_value"].replace("rejected", "approved")
    attacker.rewrite(rejection, signed=said, approval="approved")
    patch_the_approval(attacker, key)


def hide_the_rejection(attacker, key):
    (_, rejection) = attacker.documents(key)
    attacker.rewrite(rejection, signed="", signature="", key="")
    patch_the_approval(attacker, key)


def delete_the_rejection(attacker, key):
    (_, rejection) = attacker.documents(key)
    attacker.delete(rejection)
    patch_the_approval(attacker, key)


def delete_all_decisions(attacker, key):
    for document in attacker.documents(key):
        attacker.delete(document)
    patch_the_approval(attacker, key)
    attacker.show(key, approval_decision="")


ATTACKS = {
    patch_the_approval: "approval=approved",
    post_an_unsigned_approval: "is not signed",
    post_one_of_a_key_of_his_own: "is signed by the key sha256:",
    post_the_old_approval_again: "is a copy of approval-000001",
    edit_the_rejection: "was changed after the key",
    hide_the_rejection: "approval-000002 is not signed",
    delete_the_rejection: "approval-000002, which the version shows, is gone",
    delete_all_decisions: "no decision says so",
}


@pytest.mark.parametrize(("attack", "told"), ATTACKS.items(), ids=lambda item: getattr(item, "__name__", ""))
def test_who_may_write_to_the_registry_cannot_approve(attacker, registry, rejected, attack, told):
    attack(attacker, rejected.model_version_id)
    refused(registry, rejected, told)


def test_an_approved_versions_files_cannot_be_exchanged(attacker, registry):
    selection = a_version(registry)
    registry.set_approval(selection.model_version_id, "approved", ["good"])
    registry.confirm(selection)
    attacker.show(selection.model_version_id, digest=OTHER)
    refused(registry, selection.model_copy(update={"digest": OTHER}), f"is about alpha 1.0 {DIGEST}", OTHER)


def test_a_decision_cannot_be_moved_to_another_version(attacker, registry):
    good, bad = a_version(registry), a_version(registry, "2.0", OTHER)
    registry.set_approval(good.model_version_id, "approved", ["good"])
    (document,) = attacker.documents(good.model_version_id)
    attacker.post(bad.model_version_id, document["name"], document["customProperties"])
    attacker.show(bad.model_version_id, approval="approved", approval_reasons="good", approval_by="")
    refused(registry, bad, "is about alpha 1.0")


def test_a_removed_decision_in_the_middle_breaks_the_chain(attacker, registry, rejected):
    key = rejected.model_version_id
    registry.set_approval(key, "approved", ["the flaw is mended"], by="Ada")
    registry.confirm(rejected)
    attacker.delete(attacker.documents(key)[1])
    refused(registry, rejected, "approval-000003 does not follow approval-000001")
    attacker.delete(attacker.documents(key)[0])
    refused(registry, rejected, "the decision before approval-000003 is gone")


def test_a_shortened_history_is_told_by_the_store_that_the_attacker_cannot_write(attacker, registry, tmp_path):
    uri = f"{(tmp_path / 'store').as_uri()}/models/{DIGEST.removeprefix('sha256:')}"
    selection = a_version(registry, uri=uri)
    key = selection.model_version_id
    registry.set_approval(key, "approved", ["good"])
    registry.set_approval(key, "rejected", [REJECTED], by="Ada")
    kept = storage.listing((tmp_path / "store" / "decisions" / "alpha" / "1.0").as_uri())
    assert kept == ["approval-000001.json", "approval-000002.json"]
    attacker.delete(attacker.documents(key)[1])
    attacker.show(
        key, approval="approved", approval_reasons="good", approval_by="", approval_decision="approval-000001"
    )
    with pytest.raises(
        SignatureInvalid, match=r"approval-000002.json \(rejected, serial 2\) is gone from the registry"
    ):
        registry.confirm(selection)
    assert audit("alpha").returncode == 1


def test_who_may_write_to_the_bucket_only_changes_nothing(registry, tmp_path):
    uri = f"{(tmp_path / 'store').as_uri()}/models/{DIGEST.removeprefix('sha256:')}"
    selection = a_version(registry, uri=uri)
    registry.set_approval(selection.model_version_id, "approved", ["good"])
    place = (tmp_path / "store" / "decisions" / "alpha" / "1.0").as_uri()
    decision = Decision("rejected", "bad", by="Mallory", model="alpha", version="1.0", digest=DIGEST, serial=9)
    document = signing.sign(decision.payload(), other_key()[0])
    storage.put(json.dumps(document.fields()).encode(), f"{place}/approval-000009.json")
    storage.put(b"[", f"{place}/torn.json")
    storage.delete(f"{place}/approval-000001.json")
    registry.confirm(selection)


def test_a_persons_new_decision_sets_aside_what_was_forged_and_nothing_later(attacker, registry, rejected):
    key = rejected.model_version_id
    post_one_of_a_key_of_his_own(attacker, key)
    with pytest.raises(SignatureInvalid, match="cannot be decided on by files"):
        registry.set_approval(key, "approved", ["measured again"])
    assert len(attacker.documents(key)) == 3, "and nothing was written"
    registry.set_approval(key, "approved", ["looked into it"], by="Ada")
    registry.confirm(rejected)
    assert audit("alpha").returncode == 0
    attacker.post(key, "approval-000005", forged(other_key()[0], serial=5))
    refused(registry, rejected, "approval-000005 is signed by the key")


def test_decisions_of_before_are_refused_until_a_person_signs_them_anew(attacker, registry):
    keys.make_own_keys()
    selection = a_version(registry)
    key = selection.model_version_id
    old = {"approval": "approved", "approval_reasons": "meets the thresholds", "approval_by": ""}
    attacker.post(key, "approval-" + "0" * 32, {name: text(value) for name, value in old.items()})
    attacker.show(key, **old, approval_decision="approval-" + "0" * 32)
    refused(registry, selection, "is not signed")
    command = [sys.executable, "-m", "helpers.registry", "approve", "alpha", "1.0", "--reason", "seen before"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    registry.confirm(selection)
    assert audit("alpha").returncode == 0


def test_who_has_another_key_signs_nothing(attacker, registry, rejected, monkeypatch):
    key, (private, public) = rejected.model_version_id, other_key()
    trusted = (keys.MODEL_OPS.path.with_suffix(".pub")).read_text()
    monkeypatch.setenv("SIGNING_KEY", private.decode())
    monkeypatch.setenv("SIGNING_PUBLIC_KEY", trusted)
    with pytest.raises(InvalidInput, match=r"SIGNING_KEY has the fingerprint sha256:.*only sha256:.* is trusted"):
        registry.set_approval(key, "approved", ["I say so"], by="Mallory")
    assert len(attacker.documents(key)) == 2
    monkeypatch.setenv("SIGNING_PUBLIC_KEY", public.decode())  # a project that trusts another key
    refused(registry, rejected, keys.fingerprint(public))


def test_a_project_of_ai_engineers_signs_no_decision_though_it_holds_the_key(attacker, registry, rejected, monkeypatch):
    monkeypatch.setenv("PROJECT_ROLE", "ai-engineers")
    with pytest.raises(InvalidInput, match="This project is AI engineers'"):
        registry.set_approval(rejected.model_version_id, "approved", ["I say so"], by="Mallory")
    assert len(attacker.documents(rejected.model_version_id)) == 2


def test_a_pod_without_a_trusted_key_takes_no_version_and_says_what_it_lacks(registry, monkeypatch):
    selection = a_version(registry)
    registry.set_approval(selection.model_version_id, "approved", ["good"])
    keys.MODEL_OPS.path.unlink()
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    with pytest.raises(NoMatch, match="no SIGNING_PUBLIC_KEY"):
        registry.select(registry.shortlist(), "alpha")
    with pytest.raises(InvalidInput, match="no SIGNING_KEY"):
        registry.set_approval(selection.model_version_id, "rejected", ["bad"])


def test_eight_that_decide_at_once_make_one_chain(registry):
    key = a_version(registry).model_version_id
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: connect("local").set_approval(key, "approved", [f"reason {i}"]), range(8)))
    history = registry.history(key)
    assert (len(history.chain), history.doubt) == (8, "")


# Figures by which versions are shortlisted

CHAT = {"kind": "load_test", "ttft_p95_ms": 300.0, "identity": "not shown"}
ACCURACY = {"kind": "evaluation", "tier": "accuracy", "metric": "acc", "acc": 0.5, "n": 208}


def measured(registry, key, record, **figures):
    """Attach a baseline and decide on it, as log_results does."""
    summary = {"purpose": "baseline", "use_case": "baseline", "measurements": ",".join(figures)}
    registry.attach_record(key, record, f"file:///{record}", summary, figures)
    registry.set_approval(key, "approved", ["good"], record=record, record_digest=DIGEST, measurements=figures)


@pytest.fixture
def baseline(registry):
    """A version with a baseline of two records, and a decision on each."""
    key = a_version(registry).model_version_id
    measured(registry, key, "r1", chat=CHAT, knowledge={**ACCURACY, "acc": 0.4})
    measured(registry, key, "r2", knowledge=ACCURACY)
    return key


def shortlisted(registry):
    [row] = registry.shortlist()
    return row


def test_a_baseline_that_was_decided_on_is_shortlisted(registry, baseline):
    row = shortlisted(registry)
    assert (row.excluded, row.accuracy, row.ttft_p95_ms) == ("", 0.5, 300.0)


@pytest.mark.parametrize("figure", [
    "baseline.knowledge.acc", "baseline.chat.ttft_p95_ms", "baseline.more.acc", "baseline.knowledge.acc_low",
])  # fmt: skip
def test_a_figure_that_somebody_else_wrote_is_not_shortlisted(registry, attacker, baseline, figure):
    attacker.show_figure(baseline, figure, 0.99)
    assert "is not the one that was decided on" in shortlisted(registry).excluded
    with pytest.raises(NoMatch, match="is not the one that was decided on"):
        registry.select(registry.shortlist(), "alpha", "1.0")


def test_a_baseline_that_nobody_decided_on_is_not_shortlisted_until_somebody_does(registry, baseline):
    better = {**ACCURACY, "acc": 0.99}
    summary = {"purpose": "baseline", "use_case": "baseline", "measurements": "knowledge"}
    registry.attach_record(baseline, "r3", "file:///r3", summary, {"knowledge": better})
    assert "is not the one that was decided on" in shortlisted(registry).excluded
    measured(registry, baseline, "r3", knowledge=better)
    assert (shortlisted(registry).excluded, shortlisted(registry).accuracy) == ("", 0.99)
