"""Channels hear the verdict in their own form; no name calls anybody, and a dead channel costs one line."""

from __future__ import annotations

import json
import re
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from helpers.analysis.gate.checks import Check
from helpers.analysis.gate.judging import Judgement
from helpers.reporting import notifying
from helpers.reporting.notifying import Message, notify
from tests.plugins.certificates import make_certificates
from tests.plugins.records import a_record

SECRET = "s3cretpath"
EVIL = "<!channel> @all [take me](https://evil.example) <https://evil.example|x> `a` *b* | c"
SAID = Message(
    title="Take alpha 1.0", verdict=f"alpha 1.0 answers best {EVIL}",
    numbers=("alpha: 62.0% (55.1% to 68.9%)", "beta: 41.0% (34.0% to 48.0%)"),
    sure="Not sure: too few questions", act="AI engineers measure more", link="https://dashboard.example/run/1",
)  # fmt: skip


@pytest.fixture
def channels(tmp_path):
    """A listener in the place of a chat server, by https: returns its port and what came in."""
    came: list[tuple[str, dict]] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_POST(self):
            came.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            status = 404 if "dead" in self.path else 202 if "workflow" in self.path else 200
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    certificates = make_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server.server_port, came
    server.shutdown()
    server.server_close()


@pytest.fixture
def slack_here(channels, monkeypatch):
    """Slack's host is fixed: what goes there comes here, and nothing leaves the machine."""
    send = requests.sessions.Session.request

    def request(self, method, url, **more):
        here = url.replace("https://hooks.slack.com", f"https://127.0.0.1:{channels[0]}")
        return send(self, method, here, **{**more, "verify": False})

    monkeypatch.setattr(requests.sessions.Session, "request", request)


def test_slack_mattermost_and_teams_get_the_message_in_their_form_and_nothing_that_calls_anybody(
    channels, slack_here, monkeypatch
):
    port, came = channels
    urls = (
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ?image=no&footer=no",
        f"mmosts://127.0.0.1:{port}/{SECRET}?verify=no&image=no",
        f"workflows://127.0.0.1:{port}/643a8sdf/{SECRET}/?verify=no&image=no",
    )
    monkeypatch.setenv("NOTIFY_URLS", " ".join(urls))
    assert notify(SAID) == "3 of 3 channels were told."
    slack, mattermost, teams = (body for _, body in came)
    shown = (
        slack["attachments"][0]["text"],
        mattermost["text"],
        # Apprise writes Markdown for Teams, in which a backslash takes a sign as it is.
        re.sub(r"\\(.)", r"\1", "\n".join(block["text"] for block in teams["attachments"][0]["content"]["body"])),
    )
    assert teams["attachments"][0]["contentType"] == "application/vnd.microsoft.card.adaptive"
    for text in shown:
        for part in (*SAID.numbers, SAID.sure, SAID.act, SAID.link):
            assert part in text
        for bad in ("<!", "&lt;!", "@all", "](", "https://evil", "*b*", "`"):
            assert bad not in text


def test_a_dead_channel_costs_one_line_without_its_address_and_the_others_are_told(
    channels, slack_here, monkeypatch, capfd, caplog
):
    port, came = channels
    dead = f"jsons://127.0.0.1:{port}/dead/{SECRET}?verify=no"
    good = f"mmosts://127.0.0.1:{port}/{SECRET}?verify=no&image=no"
    monkeypatch.setenv("NOTIFY_URLS", f"{dead} {good} nonsense-{SECRET} mmost://127.0.0.1:9/{SECRET}")
    said = notify(SAID)
    assert said.startswith("WARNING")
    assert "1 (jsons), 3 (no address), 4 (mmost)" in said
    assert "\n" not in said
    assert len(came) == 2
    assert SECRET not in said + "".join(capfd.readouterr()) + caplog.text


def test_nobody_is_told_where_no_channel_is_named(monkeypatch):
    assert "NOTIFY_URLS is not set" in notify(SAID)


@pytest.mark.parametrize(("state", "sure"), [("pass", "Sure"), ("fail", "Sure"), ("inconclusive", "Not sure")])
def test_a_gate_tells_its_state_the_checks_that_decide_and_who_must_act(state, sure, tmp_path, monkeypatch):
    monkeypatch.setenv(notifying.LINK, "https://dashboard.example/runs/{run}/")
    monkeypatch.setenv("ELYRA_RUN_NAME", "regression-7")
    good = Check(name="chat.ttft_p95_ms", allowed="at most 20% more", seen="+1%", state="pass")
    decides = good.model_copy(update={"name": "knowledge.acc", "seen": "-0.100 (-0.150 to -0.050)", "state": state})
    told = notifying.of_judgement(
        Judgement(candidate="alpha 2.0", baseline="alpha 1.0", checks=(good, good, decides)), tmp_path
    )
    assert told.sure.startswith(sure)
    assert (told.numbers[0].startswith("knowledge.acc")) is (state != "pass")
    assert (told.act == "nobody") is (state == "pass")
    assert told.link == "https://dashboard.example/runs/regression-7/gate.md"


def test_a_record_tells_its_score_and_its_speed_with_their_uncertainty(tmp_path):
    record = a_record()
    told = notifying.of_record(record, tmp_path)
    interval = record.evaluation.interval
    assert f"({interval.low:.3f} to {interval.high:.3f})" in told.numbers[0]
    assert "measured once" in told.numbers[1]
    assert told.act == "nobody"
