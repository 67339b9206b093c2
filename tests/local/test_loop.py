"""What of `make loop` is its own: a channel on this machine, and the decision that it waits for."""

from __future__ import annotations

import os
from datetime import timedelta

from helpers.artifacts.base import now
from helpers.local import loop
from helpers.monitoring.triggers import Raised, Trigger
from helpers.reporting.notifying import Message, notify
from helpers.runtime.environment import NOTIFY_URLS


def test_where_nobody_named_a_channel_the_loop_is_one(monkeypatch, capsys):
    monkeypatch.delenv(NOTIFY_URLS, raising=False)
    with loop._channel():
        notify(Message("Take granite", "Take granite 1.0.", ("granite 1.0: 0.8",), "Sure", "nobody"))
        assert os.environ[NOTIFY_URLS].startswith("json://127.0.0.1:")
    assert NOTIFY_URLS not in os.environ
    said = capsys.readouterr().out
    assert "channel: Take granite" in said
    assert "granite 1.0: 0.8" in said


def test_a_channel_that_somebody_named_stays(monkeypatch):
    monkeypatch.setenv(NOTIFY_URLS, "json://127.0.0.1:1")
    with loop._channel():
        assert os.environ[NOTIFY_URLS] == "json://127.0.0.1:1"


def test_only_a_decision_of_now_is_waited_for(tmp_path):
    raised = Raised(alert="TTFTMissesSLO", model="granite", version="1.0", since=now())
    file = tmp_path / "triggers.jsonl"

    def decided(decision, minutes):
        line = Trigger(at=now() - timedelta(minutes=minutes), source="prometheus", raised=raised, decision=decision)
        with file.open("a") as lines:
            lines.write(line.model_dump_json() + "\n")

    decided("started", 60)
    decided("only noted", 0)
    assert loop._started(file) is None
    decided("started", 0)
    assert loop._started(file).decision == "started"
