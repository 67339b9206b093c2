"""What serves is watched: real vLLM, real Prometheus, and a run of the real local pipeline that a load starts."""

from __future__ import annotations

import json
import os
import signal
import threading
import time

import httpx
import psutil
import pytest

from helpers import serving
from helpers.artifacts.observation import Observation
from helpers.artifacts.run import VARIABLE
from helpers.local import monitor, stack
from helpers.monitoring import triggers
from helpers.monitoring.receiving import server
from helpers.pipelines import starting
from helpers.records import join
from helpers.registry import connect
from helpers.runtime import runs
from helpers.runtime.polling import wait_for
from helpers.runtime.workspace import ROOT
from helpers.serving import targets
from tests.plugins.kernels import execute as execute_notebook
from tests.plugins.models import select, serve_settings
from tests.plugins.records import a_sweep, about, an_endpoint, an_evaluation, some_samples
from tests.plugins.registry import MEMORY
from tests.plugins.registry import serving as registry_at
from tests.plugins.stored import attach, stored

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]
LIMIT = 2.0  # ms: what no server on a CPU keeps under load


class Watching:
    """A served model, its record, and the Prometheus that scrapes it."""

    def __init__(self, folder, tiny_model):
        self.folder = folder
        self.selection = select(tiny_model)
        self.endpoint = serving.deploy(self.selection, serve_settings(target="local", slo=f"ttft:{LIMIT:g}"))
        measured = a_sweep(rates=(1, 2, 4)).model_copy(update={"slo": a_sweep(limit=LIMIT).slo})
        samples = some_samples(0.5)
        parts = [about(self.selection, measured), about(self.selection, an_evaluation(samples))]
        record = join(self.selection, an_endpoint(self.selection), parts, purpose="use-case", use_case="ops-assistant")
        self.record, self.uri = stored(record, samples, folder / "records")
        self.over = threading.Event()

    def ask(self):
        """Ask until it is over, as a user does who waits for each answer."""
        body = {"model": self.endpoint.model, "prompt": "Restart the pod", "max_tokens": 8}
        while not self.over.is_set():
            httpx.post(f"{self.endpoint.url}/v1/completions", json=body, timeout=60)

    def load(self):
        """Ask for four users at once."""
        users = [threading.Thread(target=self.ask) for _ in range(4)]
        for user in users:
            user.start()
        return users


@pytest.fixture(scope="module")
def watching(tmp_path_factory, tiny_model):
    """A stack of its own: vLLM serves, nothing asks yet."""
    folder = tmp_path_factory.mktemp("watching")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASSAY_HOME", str(folder / "home"))
        patch.delenv(VARIABLE, raising=False)  # which would make it a run's own server
        patch.chdir(folder)
        made = Watching(folder, tiny_model)
        try:
            yield made
        finally:
            made.over.set()
            monitor.down()
            serving.remove(made.endpoint)
            stack.down()


@pytest.fixture
def started(watching, monkeypatch):
    """Alerts go to a receiver which starts runs of the real local pipeline, in a folder of the test's own."""
    begun = watching.folder / "runs"

    def start(raised, name):
        monkeypatch.setattr(starting, "here", lambda *given: here(*given, folder=begun))
        return starting.start(raised, name)

    here, found = starting.here, triggers.Triggers(monitor.folder(), start)
    receiver = server(found, monitor.token_file().read_text(), say=lambda line: None)
    thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield begun, found.file, f"http://127.0.0.1:{receiver.server_port}"
    receiver.shutdown()
    receiver.server_close()
    for process in psutil.process_iter(["cmdline"]):
        if str(begun) in " ".join(process.info["cmdline"] or ()) and process.pid != os.getpid():
            os.killpg(process.pid, signal.SIGINT)
            process.wait(60)


def test_a_load_above_the_slo_starts_a_run_whose_parameters_say_why(watching, started, monkeypatch):
    begun, file, receiver = started
    (target,) = json.loads(next(targets.folder().glob("*.json")).read_text())
    assert target["labels"].items() >= {"model": "tiny", "version": "1", "digest": watching.selection.digest}.items()
    metrics = httpx.get(f"{watching.endpoint.url}/metrics").text
    assert f'vllm:time_to_first_token_seconds_bucket{{engine="0",le="{LIMIT / 1000}"' in metrics
    assert "--custom-histogram-buckets" not in " ".join(watching.endpoint.engine_args)
    monitor.up([watching.record], receiver=receiver)
    users, since = watching.load(), time.monotonic()
    wait_for(lambda: runs.of(begun), what="a run", do="read the log", timeout=300, interval=0.2)
    print(f"from the first request to a run: {time.monotonic() - since:.0f} s")
    (_, run), *others = runs.of(begun)
    assert not others
    (line,) = [each for each in triggers.read(file) if each.decision == "started"]
    assert run.kind == "regression"
    assert run.given == {
        "MODEL_NAME": "tiny", "MODEL_VERSION": "1", "USE_CASE": "ops-assistant", "FRESH": "true",
        "TRIGGER": line.raised.cause,
    }  # fmt: skip
    assert line.raised.alert in ("TTFTMissesSLO", "TTFTBudgetBurns")
    assert all(user.is_alive() for user in users)

    with registry_at(MEMORY) as registry:  # and what the notebook sees of the same load
        monkeypatch.setenv("REGISTRY_ADDRESS_LOCAL", registry.address)
        attach(connect("local"), watching.record, watching.uri)
        given = {"registry": "local", "store": (watching.folder / "store").as_uri(), "window_minutes": 5}
        output = watching.folder / "watch_endpoint.ipynb"
        execute_notebook(ROOT / "notebooks" / "watch_endpoint.ipynb", output, parameters=given, cwd=watching.folder)
    watching.over.set()
    for user in users:
        user.join()
    seen = Observation.read(watching.folder / "artifacts")
    assert (seen.kind, seen.label, seen.digest) == ("observation", "tiny 1", watching.selection.digest)
    known = {each.name: each for each in seen.signals}
    assert known["ttft_seconds:p95"].limit == LIMIT / 1000 < known["ttft_seconds:p95"].last
    assert known["requests:rate"].last > 0 == known["errors:ratio"].last
    assert known["requests:rate"].baseline == pytest.approx(watching.record.sweep.headline.requests_per_second)
    assert {"TTFTMissesSLO", "TTFTBudgetBurns"} <= {each.alert for each in seen.fired}
    decided = triggers.read(watching.folder / "artifacts" / triggers.FILE)
    assert {each.decision for each in decided} == {"cooling down", "only noted"}  # by the run that the receiver started
    assert len(runs.of(begun)) == 1
