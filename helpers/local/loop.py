"""`make loop`: a model is measured, tuned, gated, approved, served and watched, until too much load starts a run."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

from helpers import serving
from helpers.analysis.gate import Judgement
from helpers.artifacts import Endpoint, Record
from helpers.datasets import load_prompts, stated
from helpers.datasets.stated import find_use_case
from helpers.errors import AssayError, InvalidParameter
from helpers.local import monitor, pipelines, run
from helpers.monitoring import triggers
from helpers.monitoring.receiving import server
from helpers.pipelines.starting import start
from helpers.pipelines.values import assigned
from helpers.registry import connect
from helpers.runtime import interrupts, runs
from helpers.runtime.environment import NOTIFY_URLS
from helpers.runtime.polling import wait_for
from helpers.runtime.workspace import ROOT

USERS = 48  # at once: more than a model on a CPU serves within the SLO
COOL_DOWN = 300.0  # seconds: a demonstration that is run again starts a run again
LOUD, LONG = 300, 1800  # seconds: until an alert has started a run, and until that has ended


def main() -> int:
    """Run the whole loop and return the exit code: 0 done, 1 a stage failed."""
    parser = argparse.ArgumentParser(prog="make loop", description=__doc__)
    parser.add_argument("--name", help="name of the run (default: its time, or that of the one that is gone on with)")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="folder that the run's folder is made in")
    parser.add_argument("words", nargs="*", metavar="NAME=VALUE", help="a parameter, as make run takes it")
    arguments = parser.parse_intermixed_args()
    words, all_runs = assigned(arguments.words), arguments.runs.resolve()
    started = time.monotonic()
    try:
        run.check(words)
        folder: Path = all_runs / arguments.name if arguments.name else runs.place(all_runs, "loop", words)
        with _channel(), runs.begun(folder, "loop", words):
            run.run(folder, words)
            loop(folder, words.get("USE_CASE", "ops-assistant"))
    except AssayError as error:
        print(f"\n{type(error).__name__}: {error}", *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
        return 1
    print(f"everything  {pipelines.short(folder)}, in {time.monotonic() - started:.0f} s")
    return 0


def loop(folder: Path, use_case: str) -> None:
    """Serve and watch the version that was measured last, and load it until a rule starts a run. Raises AssayError.

    The server and the watching end with this, whatever happens.
    """
    name = json.loads((folder / "summary.json").read_text())["models"][-1]["name"]
    record = Record.read(folder / f"ai-engineer-{name}" / "notebooks" / "artifacts")
    with _served(record, use_case, folder / "served") as endpoint, _watched(record) as file:
        begun = time.monotonic()
        with _load(endpoint, use_case):
            trigger = wait_for(
                lambda: _started(file), what="an alert that starts a run", do="See the rules in Prometheus",
                timeout=LOUD, interval=0.5,
            )  # fmt: skip
        print(f"alert: {trigger.raised.cause}, {time.monotonic() - begun:.0f} s after the load began", flush=True)
        place = _ended(trigger.raised.cause)
    judged = place / "notebooks" / "artifacts" / Judgement.filename
    state = Judgement.model_validate_json(judged.read_bytes()).state if judged.is_file() else "nothing was judged"
    print(f"regression: {state}, {pipelines.short(place / 'notebooks' / 'regression_gate.html')}")


@contextmanager
def _served(record: Record, use_case: str, folder: Path) -> Iterator[Endpoint]:
    """Serve a version for users, no run's own server, if it is approved."""
    selection, policy = record.selection, ROOT / "pipelines" / "policy.yaml"
    connect("local").confirm(selection)
    settings = serving.Settings(target="local", policy=policy, slo=stated.limits(use_case))
    endpoint = serving.deploy(selection.model_copy(update={"run": ""}), settings, folder)
    try:
        print(f"serve: {selection.label} at {endpoint.url}", flush=True)
        yield endpoint
    finally:
        serving.remove(endpoint)


@contextmanager
def _watched(record: Record) -> Iterator[Path]:
    """Let Prometheus watch by the record's rules and start runs; yield the file with the decisions."""
    found = triggers.Triggers(monitor.folder(), start, COOL_DOWN)
    receiver = server(found, monitor.token_file().read_text(), say=lambda line: print(f"watch: {line}", flush=True))
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    try:
        print(f"watch: {monitor.up([record], receiver=f'http://127.0.0.1:{receiver.server_port}')}", flush=True)
        yield found.file
    finally:
        monitor.down()
        receiver.shutdown()
        receiver.server_close()


@contextmanager
def _load(endpoint: Endpoint, use_case: str) -> Iterator[None]:
    """Let many users ask the use case's prompts at once, each the next when the answer is there."""
    found = find_use_case(use_case)
    files = [each.prompts for each in found.workloads.values() if each.prompts] if found else []
    if not found or not files:
        raise InvalidParameter(f"USE_CASE={use_case} names no prompts to load with", do="Name one that has some")
    prompts = itertools.cycle(load_prompts(found.folder / files[0]))
    over = threading.Event()

    def user() -> None:
        while not over.is_set():
            asked = next(prompts)
            body = {"model": endpoint.model, "messages": asked.messages, "max_tokens": asked.output_tokens}
            httpx.post(f"{endpoint.url}/v1/chat/completions", json=body, timeout=600)

    users = [threading.Thread(target=user, daemon=True) for _ in range(USERS)]
    for each in users:
        each.start()
    print(f"load: {USERS} users ask at once", flush=True)
    try:
        yield
    finally:
        over.set()
        for each in users:
            each.join(60)


def _started(file: Path) -> triggers.Trigger | None:
    """Return the decision that started a run in the last minutes."""
    last = [line for line in triggers.read(file) if line.decision == "started"][-1:]
    recent = [line for line in last if time.time() - line.at.timestamp() < LOUD]
    return recent[0] if recent else None


def _ended(cause: str) -> Path:
    """Wait for the end of the run of this cause and return its folder."""

    def ended() -> Path | None:
        found = [(path, each) for path, each in runs.of(ROOT / "runs") if each.given.get("TRIGGER") == cause]
        return next((path for path, each in found if each.standing != "running"), None)

    return wait_for(ended, what="the end of the regression run", do="Read its log", timeout=LONG, interval=2)


@contextmanager
def _channel() -> Iterator[None]:
    """Where nobody named a channel, listen as one on loopback and print what it is told."""
    if os.environ.get(NOTIFY_URLS):
        yield
        return

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            print(f"channel: {told['title']}", *told["message"].splitlines(), sep="\n    ", flush=True)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing beside what is told."""

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    os.environ[NOTIFY_URLS] = f"json://127.0.0.1:{listener.server_port}"
    try:
        yield
    finally:
        del os.environ[NOTIFY_URLS]
        listener.shutdown()
        listener.server_close()


if __name__ == "__main__":
    sys.exit(interrupts.run(main, "what was measured stays. The same command goes on"))
