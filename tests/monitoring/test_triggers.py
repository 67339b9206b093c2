"""Which alerts start a run: one for each version and window, from a webhook only with the token, and written down."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from helpers.errors import PipelinesUnreachable
from helpers.monitoring.receiving import server
from helpers.monitoring.triggers import Triggers, read

NOW = datetime.now(UTC)


def alert(name="TTFTMissesSLO", *, version="1.0", action="regression", since=NOW, ends=None, status="firing"):
    """One alert as Alertmanager posts it; Prometheus posts the same without a status."""
    labels = {"alertname": name, "model": "granite", "version": version, "use_case": "mine", "action": action}
    known = {"labels": labels, "annotations": {"summary": "late"}, "startsAt": since.isoformat()}
    return known | ({"endsAt": ends.isoformat()} if ends else {}) | ({"status": status} if status else {})


class Receiver:
    """A receiver that starts nothing but remembers what it was asked to start."""

    def __init__(self, folder):
        self.started, self.broken = [], False
        self.triggers = Triggers(folder, self.start, cool_down=3600)
        self.http = server(self.triggers, "right", say=lambda line: None)
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def start(self, raised, name):
        if self.broken:
            raise PipelinesUnreachable("away", do="wait")
        self.started.append((raised.action, raised.model, raised.version, raised.use_case, raised.cause))
        return name, True

    def post(self, body, token="right"):
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.post(f"http://127.0.0.1:{self.http.server_port}/api/v2/alerts", json=body, headers=headers)

    def decisions(self, body):
        answer = self.post(body)
        assert answer.status_code == 200, answer.text
        return [line["decision"] for line in answer.json()]


@pytest.fixture
def receiver(tmp_path):
    made = Receiver(tmp_path)
    yield made
    made.http.shutdown()
    made.http.server_close()


def test_alertmanagers_body_starts_one_run_for_a_version_whatever_else_fires(receiver):
    raised = [alert(), alert("ITLMissesSLO"), alert("KvCacheFull", action="notify")]
    body = {"version": "4", "groupKey": "g", "alerts": raised}
    assert receiver.decisions(body) == ["started", "cooling down", "only noted"]
    assert receiver.decisions(body) == ["cooling down", "cooling down", "only noted"]  # it posts again and again
    assert receiver.decisions({"alerts": [alert(version="2.0"), alert(status="resolved")]}) == ["started", "resolved"]
    cause = f"TTFTMissesSLO since {NOW:%Y-%m-%dT%H:%M:%SZ}"
    assert receiver.started == [("regression", "granite", version, "mine", cause) for version in ("1.0", "2.0")]
    lines = read(receiver.triggers.file)
    assert [line.decision for line in lines].count("started") == 2
    assert {line.run for line in lines if line.decision == "cooling down"} == {lines[0].run}


def test_prometheus_own_body_says_by_its_end_what_is_over(receiver):
    later, before = (datetime.now(UTC) + timedelta(minutes=minutes) for minutes in (4, -4))
    assert receiver.decisions([alert(status="", ends=before), alert(status="", ends=later)]) == ["resolved", "started"]


def test_an_alert_can_name_no_pipeline_that_deploys_or_approves(receiver):
    assert receiver.decisions([alert(action=name) for name in ("model-ops", "ai-engineer", "remove-expired")]) == (
        ["only noted"] * 3
    )
    assert not receiver.started


@pytest.mark.parametrize(
    ("body", "token", "status"),
    [
        ([], "wrong", 401), ([alert(version="../x")], "right", 400), ({"what": 1}, "right", 400),
        ([alert(name="a b; rm")], "right", 400), (["x" * (1 << 20)], "right", 413),
    ],
)  # fmt: skip
def test_what_is_no_alert_or_comes_without_the_token_is_refused(receiver, body, token, status):
    assert receiver.post(body, token).status_code == status
    assert not receiver.started
    assert not receiver.triggers.file.exists()


def test_what_could_not_be_started_is_tried_again(receiver):
    receiver.broken = True
    assert receiver.post([alert()]).status_code == 503
    receiver.broken = False
    assert receiver.decisions([alert()]) == ["started"]


def test_a_window_that_is_over_makes_room(receiver):
    assert receiver.decisions([alert()]) == ["started"]
    line = json.loads(receiver.triggers.file.read_text())
    line["at"] = (NOW - timedelta(hours=2)).isoformat()
    receiver.triggers.file.write_text(json.dumps(line) + "\n")
    assert receiver.decisions([alert()]) == ["started"]
