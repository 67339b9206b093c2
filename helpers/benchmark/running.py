"""One run of GuideLLM against the endpoint: the sweep, or a load point once more."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from helpers.artifacts import Endpoint, LoadPoint
from helpers.benchmark import command, process
from helpers.benchmark.report import first_error, load
from helpers.benchmark.settings import Settings
from helpers.benchmark.workload import Workload
from helpers.errors import SweepFailed
from helpers.serving.client import healthy

LOG_LINES = 5
SECONDS_AROUND_A_STRATEGY = 240  # far more than GuideLLM needs, its warm-up too: beyond that it hangs


class Load(NamedTuple):
    """What is asked of which endpoint, and where the reports go."""

    settings: Settings
    endpoint: Endpoint
    requests: Workload
    folder: Path
    say: Callable[[str], None]

    def measure(self, again: LoadPoint | None = None) -> Path:
        """Run the sweep, or the repeats of `again`, and return GuideLLM's report. Raises SweepFailed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        names = command.REPEATS if again else command.SWEEP
        report, partial, log = (self.folder / name for name in (names.report, names.partial, names.log))
        code = self._run(names, again)
        if code is None and healthy(self.endpoint.url):
            log.replace(self.folder / names.hung)
            self.say(f"GuideLLM hung on a server that answers, all is measured once more; {names.hung} shows where")
            code = self._run(names, again)
        if code != 0 or not report.is_file():
            raise _failure(code, self.endpoint, partial, log)
        if not any(b["metrics"]["request_totals"]["successful"] for b in load(report)["benchmarks"]):
            raise _nothing_answered(self.endpoint, report)
        if not healthy(self.endpoint.url):
            raise _failure(code, self.endpoint, report, log)
        partial.unlink(missing_ok=True)
        return report

    def _run(self, names: command.Files, again: LoadPoint | None) -> int | None:
        """Run GuideLLM where nothing of an earlier run lies; return its exit code, or None where it hung."""
        for old in (names.report, names.partial, names.page):
            (self.folder / old).unlink(missing_ok=True)
        line = command.build_command(self.settings, self.endpoint, self.requests, self.folder, again)
        environment = command.build_environment(self.settings, self.folder, os.environ, names)
        strategies = self.settings.repeats if again else self.settings.strategies
        limit = self.settings.max_seconds + SECONDS_AROUND_A_STRATEGY
        return process.run(line, environment, self.folder / names.log, strategies, self.say, limit)


def _failure(code: int | None, endpoint: Endpoint, kept: Path, log: Path) -> SweepFailed:
    finished = load(kept)["benchmarks"] if kept.is_file() else []
    good = [b for b in finished if b["metrics"]["request_totals"]["successful"]]
    if finished and not good:
        return _nothing_answered(endpoint, kept)
    if healthy(endpoint.url):
        ended = "hung twice" if code is None else f"ended with code {code}"
        what = f"GuideLLM {ended} on {endpoint.url}: {_last_words(log)}"
    else:
        what = f"{endpoint.url} stopped answering during the sweep of {endpoint.model}"
    what += f"; the first {len(good)} strategies were measured and are kept in {kept}" if good else ""
    return SweepFailed(what, do=f"Read {log} and the server's own log, run deploy_model, then this stage again")


def _nothing_answered(endpoint: Endpoint, report: Path) -> SweepFailed:
    error = first_error(load(report)) or "they were cut off before they ended"
    return SweepFailed(
        f"Every request to {endpoint.url} ({endpoint.model}) failed; the first said: {error}",
        do="Correct what the server complains about, or give slow requests more time with MAX_SECONDS, and run again",
    )


def _last_words(log: Path) -> str:
    lines = [text.strip() for text in log.read_text("utf-8", "replace").splitlines() if text.strip()]
    return " / ".join(lines[-LOG_LINES:]) if lines else "it said nothing"
