"""Scores that are on a cluster: an LMEvalJob by its name, an EvalHub job by its address. Both by published schemas."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from helpers.errors import InvalidResults, NotFound, SourceUnreachable
from helpers.records.imports import read_source
from tests.records.imports.conftest import FACTS

(REPORT,) = (FACTS / "lm-eval-0.4.13" / "smollm2").glob("results_*")


def lm_eval_job(**status):
    """As the operator leaves it: `status.results` is lm-eval's report as text."""
    return {
        "apiVersion": "trustyai.opendatahub.io/v1alpha1",
        "kind": "LMEvalJob",
        "metadata": {"name": "nightly"},
        "spec": {"model": "local-completions", "taskList": {"taskNames": ["ops_assistant"]}},
        "status": {"state": "Complete", "reason": "Succeeded", "results": REPORT.read_text()} | status,
    }


def evalhub_job(**metrics):
    """As `GET /api/v1/evaluations/jobs/{id}` returns it (EvalHub's OpenAPI description, EvaluationJobResource)."""
    return {
        "resource": {"id": "7a1", "created_at": "2026-08-01T08:00:00Z", "updated_at": "2026-08-01T09:00:00Z"},
        "status": {"state": "completed", "message": {"message": "done", "message_code": "job_completed"}},
        "name": "nightly",
        "model": {"name": "granite-2b", "url": "http://granite/v1"},
        "benchmarks": [{"id": "arc_easy", "provider_id": "lm_evaluation_harness", "parameters": {"num_fewshot": 5}}],
        "results": {
            "benchmarks": [
                {
                    "id": "arc_easy",
                    "provider_id": "lm_evaluation_harness",
                    "metrics": {"acc_stderr": 0.009, "acc": 0.69, "acc_norm": 0.637} | metrics,
                }
            ]
        },
    }


@pytest.fixture
def project(kubernetes_api, monkeypatch):
    """A project of a user who may read everything in it."""
    monkeypatch.setenv("KUBECONFIG", str(kubernetes_api.kubeconfig(token="admin-token")))
    return kubernetes_api


@pytest.fixture
def evalhub():
    """An address that answers with whatever the test puts there, for whoever has the token."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            allowed = self.headers["Authorization"] == "Bearer secret"
            self.send_response(200 if allowed else 401)
            self.end_headers()
            self.wfile.write(json.dumps(server.job if allowed else {}).encode())

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        server.url = f"http://127.0.0.1:{server.server_address[1]}/api/v1/evaluations/jobs/7a1"
        yield server
        server.shutdown()
        thread.join()


def test_an_lmevaljob_is_read_by_its_name_without_answers(project):
    project.put(lm_eval_job())
    found = read_source("nightly=lmevaljob/nightly")
    assert (found.model, dict(found.samples)) == ("nightly", {})
    ops = next(each for each in found.evaluations if each.task == "ops_assistant")
    assert (ops.n, ops.samples, ops.interval.method) == (36, "", "wilson")


@pytest.mark.parametrize(
    ("status", "said"),
    [({"state": "Running", "results": ""}, "has no results: Running"), ({"results": '{"results'}, "is no JSON")],
    ids=["running", "cut short"],
)
def test_a_job_without_results_is_refused(project, status, said):
    project.put(lm_eval_job(**status))
    with pytest.raises(InvalidResults, match=said):
        read_source("lmevaljob/nightly")
    with pytest.raises(NotFound, match="no LMEvalJob other"):
        read_source("lmevaljob/other")


def test_an_evalhub_job_has_an_interval_where_it_says_how_many_questions_it_asked(evalhub, monkeypatch):
    monkeypatch.setenv("EVALHUB_TOKEN", "secret")
    evalhub.job = evalhub_job(num_samples=2376)
    found = read_source(evalhub.url)
    (arc,) = found.evaluations
    assert (found.model, arc.metric, arc.score, arc.n, arc.num_fewshot) == ("granite-2b", "acc", 0.69, 2376, 5)
    assert arc.interval.low < 0.69 < arc.interval.high
    assert not found.samples


def test_without_that_number_there_is_no_verdict(evalhub, monkeypatch):
    monkeypatch.setenv("EVALHUB_TOKEN", "secret")
    evalhub.job = evalhub_job()
    with pytest.raises(InvalidResults, match=r"arc_easy: acc 0\.690; how many questions were asked is not told"):
        read_source(evalhub.url)


def test_a_card_says_the_same_as_its_job(tmp_path):
    job = evalhub_job(num_samples=100)
    card = {
        "card_version": "1.0", "schema_version": "1.0",
        "metadata": {"evaluation_job_id": "7a1", "updated_at": "2026-08-01T09:00:00Z"},
        "context": {"model": job["model"], "benchmarks": job["benchmarks"]},
        "results": {"status": {"state": "completed"}, **job["results"]},
    }  # fmt: skip
    path = tmp_path / "card.json"
    path.write_text(json.dumps(card))
    (arc,) = read_source(str(path)).evaluations
    assert (arc.score, arc.n, arc.num_fewshot) == (0.69, 100, 5)


def test_what_does_not_answer_or_is_not_done_is_said(evalhub, monkeypatch):
    evalhub.job = evalhub_job(num_samples=100) | {"status": {"state": "running"}}
    with pytest.raises(SourceUnreachable, match=r"HTTP 401.*EVALHUB_TOKEN"):
        read_source(evalhub.url)
    monkeypatch.setenv("EVALHUB_TOKEN", "secret")
    with pytest.raises(InvalidResults, match="the job is running"):
        read_source(evalhub.url)
    with pytest.raises(SourceUnreachable, match="does not answer"):
        read_source("http://127.0.0.1:9/api/v1/evaluations/jobs/7a1")
