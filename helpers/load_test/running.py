"""One run of GuideLLM against the endpoint: the sweep, or a load point once more."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from helpers.artifacts import Endpoint, LoadPoint
from helpers.errors import EndpointUnreachable, ServerChanged, SweepFailed
from helpers.load_test import command, process
from helpers.load_test.keeping import Kept
from helpers.load_test.report import first_error, measured
from helpers.load_test.settings import LONGEST, Settings
from helpers.load_test.tokens import bytes_only
from helpers.load_test.workload import Workload
from helpers.runtime import memory, partial
from helpers.runtime.environment import masked
from helpers.serving.client import healthy

LAST_WORDS, SHOWN_LINES = 5, 30  # lines of the log in the message, and above it
SECONDS_AROUND_A_STRATEGY = 240  # far more than GuideLLM needs, its warm-up too: beyond that it hangs


class Ended(NamedTuple):
    """How GuideLLM ended: its exit code, None where it hung; what the server said where it answered no request."""

    code: int | None
    refused: str


class Load(NamedTuple):
    """What is asked of which endpoint, where the reports go, and what an earlier attempt has kept of them."""

    settings: Settings
    endpoint: Endpoint
    requests: Workload
    folder: Path
    say: Callable[[str], None]
    guard: partial.Guard
    kept: Path

    def measure(self, again: LoadPoint | None = None, step: int = 0) -> Path:
        """Run the sweep, or the repeats of `again`, and return GuideLLM's report.

        What an earlier attempt measured is not measured again. Raises SweepFailed, or ServerChanged where the server
        became another one: what was measured since it was last the deployed one is withheld.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        names = command.files(self.settings.name, repeats=again is not None)
        page, report, log = (self.folder / name for name in (names.page, names.report, names.log))
        kept = Kept(self.kept / (f"repeats-{step}-{again.rate or again.streams}" if again else "sweep"))
        if kept.restore((page, report)):
            self.say("all of these loads were measured before this stage was interrupted, and are kept")
            return report
        if before := len(kept.loads()):
            loads = "1 load was" if before == 1 else f"{before} loads were"
            self.say(f"{loads} measured before this stage was interrupted, and kept; the rest follows")
        kills = memory.kills()
        ended = self._run(names, kept, again)
        if ended.code is None and healthy(self.endpoint.url):
            log.replace(self.folder / names.hung)
            self.say(f"GuideLLM hung on a server that answers, it begins again; {names.hung} shows where")
            ended = self._run(names, kept, again)
        if ended.refused:
            shutil.rmtree(kept.folder, ignore_errors=True)
            raise self._nothing_answered(ended.refused)
        if ended.code != 0 or not report.is_file() or not healthy(self.endpoint.url):
            self._show(log)
            with contextlib.suppress(EndpointUnreachable):  # which is told below
                self.guard.check()
            raise self._failure(ended.code, kept, log, memory.kills() > kills)
        try:
            self.guard.check()
        except ServerChanged:
            _remove(page, report)
            raise
        kept.finish((page, report))
        return report

    def _run(self, names: command.Files, kept: Kept, again: LoadPoint | None) -> Ended:
        """Run GuideLLM where nothing of an earlier run lies."""
        _remove(self.folder / names.report, self.folder / names.page)
        strategies = self.settings.repeats if again else self.settings.strategies
        limit = (self.settings.max_seconds or LONGEST) + SECONDS_AROUND_A_STRATEGY
        with tempfile.TemporaryDirectory(prefix="assay-loads-") as temporary:
            made = Path(temporary)
            requests = self.requests
            if requests.tokenizer is None:
                requests = replace(requests, tokenizer=bytes_only(made / "tokenizer"))
            line = command.build_command(self.settings, self.endpoint, requests, self.folder, again)
            environment = command.build_environment(self.settings, kept.folder, made, os.environ, plain=requests.plain)
            left, log = strategies - len(kept.loads()), self.folder / names.log
            longest = self.settings.max_seconds or 0.0
            code = process.run(line, environment, log, left, self.say, limit, lambda: self._keep(kept, made), longest)
            return Ended(code, _refused([*kept.loads(), *sorted(made.glob("*.json"))]))

    def _keep(self, kept: Kept, made: Path) -> None:
        """Keep the loads that have ended, once it is known that the server was the deployed one to their end."""
        try:
            self.guard.check()
        except EndpointUnreachable:
            return  # what GuideLLM makes of that is told at its end
        while (path := made / f"{len(kept.loads())}.json").is_file():
            data = path.read_bytes()
            if not measured(json.loads(data)) or not healthy(self.endpoint.url):
                return  # it is in the report, and an attempt that has to begin again measures it again
            kept.add(len(kept.loads()), data)

    def _show(self, log: Path) -> None:
        """Show the end of GuideLLM's log: the file itself is gone with the pod."""
        if lines := _lines(log):
            self.say("\n".join([f"The end of {log}:", *lines[-SHOWN_LINES:]]))

    def _failure(self, code: int | None, kept: Kept, log: Path, short_of_memory: bool) -> SweepFailed:
        url = self.endpoint.url
        do = f"See the end of GuideLLM's log above and the server's own log, then {partial.again()}"
        if not healthy(url):
            what = f"{url} stopped answering during the sweep of {self.endpoint.model}"
        elif code == -signal.SIGKILL or short_of_memory:
            what = f"GuideLLM {memory.killed()}"
            do = f"{memory.more()}, or ask for less at once (MAX_CONCURRENCY, STREAMS), then {partial.anew()}"
        else:
            ended = "hung twice" if code is None else f"ended with code {code}"
            what = f"GuideLLM {ended} on {url}: {' / '.join(_lines(log)[-LAST_WORDS:]) or 'it said nothing'}"
        if good := len(kept.loads()):
            what += f"; the first {good} strategies were measured and are kept, they will not be measured again"
        return SweepFailed(what, do=do)

    def _nothing_answered(self, error: str) -> SweepFailed:
        return SweepFailed(
            f"No request to {self.endpoint.url} ({self.endpoint.model}) was answered: {error}",
            do="Correct what the server complains about, or give slow requests more time with MAX_SECONDS, and then "
            + partial.anew(),
        )


def _refused(paths: Sequence[Path]) -> str:
    """Return what the first failed request said where none at all was answered, "" where one was."""
    loads = [json.loads(path.read_bytes()) for path in paths]
    if not loads or any(each["metrics"]["request_totals"]["successful"] for each in loads):
        return ""
    return first_error({"benchmarks": loads}) or "none ended in the time that its load had"


def _remove(*files: Path) -> None:
    for path in files:
        path.unlink(missing_ok=True)


def _lines(log: Path) -> list[str]:
    if not log.is_file():
        return []
    return [text.strip() for text in masked(log.read_text("utf-8", "replace")).splitlines() if text.strip()]
