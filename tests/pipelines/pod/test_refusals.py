"""A node that refused ends the same while its pipeline retries it, and runs when a person does."""

from __future__ import annotations

import time

import pytest

from helpers.pipelines.pod import reasons
from helpers.pipelines.pod.reasons import Reason, Refusals, RefusedBefore

RETRIES = "ASSAY_RETRIES"
KEY = "version/run/refused/regression_gate-1.json"
WHY = Reason("GateFailed: Worse. Keep the baseline.", refused=True)


@pytest.fixture(autouse=True)
def compiled(monkeypatch):
    """As in a pod of what `make submit` compiles."""
    monkeypatch.setenv(RETRIES, "2")


def test_the_two_retries_end_the_same_and_a_person_starts_anew(store):
    Refusals(store, KEY).remember(WHY)
    for _ in range(2):
        with pytest.raises(RefusedBefore) as caught:
            Refusals(store, KEY).repeat()
        assert caught.value.reason == WHY
    Refusals(store, KEY).repeat()


def test_it_counts_for_ten_minutes(store, monkeypatch):
    Refusals(store, KEY).remember(WHY)
    now = time.time()
    monkeypatch.setattr(reasons.time, "time", lambda: now + 601)
    Refusals(store, KEY).repeat()


def test_without_compiled_retries_only_a_person_tries_again_and_the_node_runs(store, s3_bucket, monkeypatch):
    monkeypatch.delenv(RETRIES)
    Refusals(store, KEY).remember(WHY)
    assert not s3_bucket.keys()
    Refusals(store, KEY).repeat()


def test_a_node_that_never_refused_runs(store):
    Refusals(store, KEY).repeat()


def test_a_file_that_cannot_be_read_refuses_nothing(store, s3_bucket):
    for content in (b"{", b"[]", b'{"line": "x"}'):
        s3_bucket.put(KEY, content)
        Refusals(store, KEY).repeat()
