"""In a pod: the project's rules are kept as the record has them, and Thanos is asked about the project alone."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from helpers import errors
from helpers.monitoring import Prometheus, Settings, install, observe, watched
from tests.plugins.records import a_record

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
SETTINGS = Settings(model_name="ops-small", model_version="1.0", served_as="granite", window_minutes=60)


@pytest.fixture
def thanos():
    """Answers each question with the same late first tokens, for 20 minutes; notes who asked what."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            asked.append((self.headers.get("Authorization"), query))
            late = "time_to_first_token_seconds_bucket" in query["query"]
            times = range(int(NOW.timestamp()) - 1200, int(NOW.timestamp()) + 1, 30)
            result = [{"metric": {}, "values": [[when, "0.3"] for when in times]}] if late else []
            status = 200 if query.get("namespace") else 403
            data = json.dumps({"status": "success", "data": {"result": result}}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def test_the_newest_records_rules_take_the_place_of_the_ones_before(pod):
    first, second = a_record(), a_record(slowness=2.0)
    told = [install(watched(SETTINGS, record)) for record in (first, first, second)]
    assert ["new" in line for line in told] == [True, False, True]
    (rule,) = pod.all("PrometheusRule")
    (summary,) = {each["annotations"]["record"] for each in rule["spec"]["groups"][1]["rules"]}
    assert summary == second.record_id


def test_thanos_is_asked_about_the_project_with_the_pods_own_token(pod, thanos, monkeypatch):
    url, asked = thanos
    monkeypatch.setattr("helpers.monitoring.prometheus.THANOS", url)
    seen = observe(SETTINGS, watched(SETTINGS, a_record()), Prometheus.found(), at=NOW)
    assert {(token, query["namespace"]) for token, query in asked} == {("Bearer runner-token", pod.namespace)}
    assert all('namespace="' + pod.namespace in query["query"] for _, query in asked)
    fired = {each.alert: each for each in seen.fired}
    assert fired["TTFTMissesSLO"].until is None
    assert fired["TTFTMissesSLO"].since == NOW - timedelta(minutes=20)
    assert fired["TTFTMissesSLO"].summary == "95% of TTFT lie within 300ms, the SLO is 100 ms"
    assert next(each for each in seen.signals if each.name == "errors:ratio").last is None  # not seen is not zero


@pytest.mark.parametrize("url", ["http://prometheus.example:9090", "https://prometheus.example", "http://x.team.svc"])
def test_nobody_elses_prometheus_gets_the_pods_token(pod, url):
    assert not Prometheus.found(url).headers
    assert Prometheus.found("https://x.team.svc").headers


def test_a_prometheus_that_refuses_or_is_away_is_told(thanos):
    with pytest.raises(errors.Forbidden, match="403"):
        observe(SETTINGS, watched(SETTINGS, a_record()), Prometheus(thanos[0]), at=NOW)
    with pytest.raises(errors.EndpointUnreachable):
        observe(SETTINGS, watched(SETTINGS, a_record()), Prometheus("http://127.0.0.1:9"), at=NOW)
    with pytest.raises(errors.NotFound, match="Prometheus"):
        Prometheus.found()
