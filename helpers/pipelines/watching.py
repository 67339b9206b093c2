"""Follow a run until it ends, and say what the project and the bucket know of a failure."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

from helpers.artifacts.run import label
from helpers.errors import PipelinesUnreachable, StageFailed
from helpers.pipelines import server
from helpers.pipelines.definition import Pipeline
from helpers.pipelines.failures import explained, may_pass
from helpers.pipelines.finishing import EXIT
from helpers.pipelines.processor import Say
from helpers.pipelines.project import View
from helpers.pipelines.server import Runtime
from helpers.pipelines.submitting import Submitted
from helpers.runtime.patience import patiently
from helpers.runtime.polling import wait_for
from helpers.serving.kserve.names import RUN

ENDED = ("SUCCEEDED", "FAILED", "SKIPPED", "CANCELED")
AGAIN = "it is tried again"
DAY = 86_400
PATIENCE = 300.0  # seconds for which the Pipelines server may be away
GONE = 60.0  # seconds after which a Workflow that is not there does not come back


def follow(
    run: Submitted, pipeline: Pipeline, runtime: Runtime, say: Say = print, *,
    interval: float = 5, patience: float = PATIENCE, gone: float = GONE,
) -> None:  # fmt: skip
    """Print each stage's state when it changes, and why a stage waits; return when the run has succeeded.

    Raises StageFailed where the run failed, NotFound where it was deleted; PipelinesUnreachable or TimedOut where it
    can be followed no longer: then it goes on.
    """
    client = server.connect(runtime)
    watch = _Watch(run, View(runtime, run.run_id, run.stages), say)
    where = f"the Pipelines server ({runtime.api_endpoint})"

    def ask() -> Any:
        with server.quiet():
            return client.get_run(run.run_id)

    def look() -> str | None:
        try:
            with explained(pipeline, runtime):
                state = patiently(ask, what=where, do="The run goes on meanwhile", again=may_pass, seconds=patience)
        except StageFailed as error:  # the token, for example: it says nothing of the run
            raise PipelinesUnreachable(error.what, do=error.do) from error
        except PipelinesUnreachable as error:
            do = "Look at the run when it answers again; to submit again would start a second one"
            raise PipelinesUnreachable(error.what, do=do) from error
        if state.state not in ENDED and watch.deleted(gone):
            raise _deleted(run, pipeline, watch.view)
        watch.tell(state)
        return str(state.state) if state.state in ENDED else None

    ended = wait_for(look, what=f"the end of {run.url}", do="Look at the run", timeout=DAY, interval=interval)
    if ended != "SUCCEEDED":
        raise _failure(run, pipeline, runtime, watch)


class _Watch:
    """What was said of each stage already."""

    def __init__(self, run: Submitted, view: View, say: Say) -> None:
        self.run, self.view, self.say = run, view, say
        self.states: dict[str, str] = {}  # by task
        self.started: set[str] = set()  # tasks whose container has run
        self.reasons: set[tuple[str, str]] = set()
        self.missed: float | None = None

    def tell(self, run: Any) -> None:
        """Print what has changed."""
        details = (run.run_details.task_details if run.run_details else None) or []
        for task in details:
            if (name := task.display_name) in self.run.stages and task.state:
                attempts = _attempts(task, details)
                if any(entry.state == "RUNNING" for item in attempts for entry in item.state_history or ()):
                    self.started.add(name)
                self._say(name, _state(task, attempts))
        if any(state.startswith("waiting") for state in self.states.values()):
            self._say_why(self.view.waiting())

    def _say_why(self, waiting: Mapping[str, str]) -> None:
        for name, reason in waiting.items():
            if self.states.get(name, "").startswith("waiting") and (name, reason) not in self.reasons:
                self.reasons.add((name, reason))
                self.say(f"  {self.run.stages[name]:<18} waiting: {reason}")

    def _say(self, name: str, state: str) -> None:
        if self.states.get(name) != state:
            self.states[name] = state
            why = self.view.last_error(name) if state.endswith(AGAIN) else ""
            self.say(f"  {self.run.stages[name]:<18} {state}{f' ({why})' if why else ''}")

    def deleted(self, seconds: float) -> bool:
        """Return whether the run's Workflow has been gone for so long."""
        if not self.view.gone():
            self.missed = None
            return False
        self.missed = self.missed or time.monotonic()
        return time.monotonic() - self.missed >= seconds

    @property
    def failed(self) -> list[str]:
        """The tasks that failed; the one at the end of the run only where no other did."""
        found = [name for name in self.run.stages if self.states.get(name) == "failed"]
        return [name for name in found if name != EXIT] or found


def _attempts(task: Any, details: Sequence[Any]) -> list[Any]:
    """Return the executors of a task, the newest last: `executor`, or with retries `executor(0)`, `executor(1)`, ….

    Nothing names an executor's parent: it starts when its task starts or later, and before that ends.
    """
    if not task.start_time:
        return []
    last = task.end_time if task.end_time and task.end_time.year > 1970 else None
    own = [
        item
        for item in details
        if str(item.display_name).partition("(")[0] == "executor"
        and item.start_time
        and item.start_time >= task.start_time
        and (last is None or item.start_time <= last)
    ]
    tries = [item for item in own if "(" in item.display_name] or own
    return sorted(tries, key=lambda item: (item.start_time, item.display_name))


def _state(task: Any, attempts: Sequence[Any]) -> str:
    """Return the word for a task's state, and which attempt this is."""
    newest = attempts[-1] if attempts else task
    number = f" (attempt {len(attempts)})" if len(attempts) > 1 else ""
    if task.state == "RUNNING" and newest.state == "FAILED" and "(" in newest.display_name:
        return f"attempt {len(attempts)} failed, {AGAIN}"
    pending = task.state == "RUNNING" and newest.state == "PENDING"
    return f"{'waiting' if pending else str(task.state).lower()}{number if task.state == 'RUNNING' else ''}"


def _failure(run: Submitted, pipeline: Pipeline, runtime: Runtime, watch: _Watch) -> StageFailed:
    """Return the error for a run that ended otherwise than well, with the last error of the stages that failed."""
    told = []
    for task in watch.failed:
        notebook = f"{run.stages[task].removesuffix(' (exit)')}.ipynb"
        folder = f"{run.files}/exit" if task == EXIT else run.files
        said = watch.view.last_error(task) or _notebook_error(runtime, f"{folder}/{notebook}")
        if not said and task not in watch.started:
            said = "its container never ran: the run was stopped, or its pod could not start"
        told.append(f"{run.stages[task]}: {said or 'its pod is gone and left no message'}")
    stopped = "was stopped" if watch.view.stopped() else "failed"
    return StageFailed(
        f"{pipeline.name} {stopped}{' in ' if told else ''}{'; '.join(told)}".rstrip("."),
        do=f"{_server(watch.view)}. After a repair retry the run on the dashboard ({run.url}), or submit again",
    )


def _deleted(run: Submitted, pipeline: Pipeline, view: View) -> StageFailed:
    return StageFailed(
        f"The Workflow of {pipeline.name} was deleted: its run stays RUNNING for ever and does nothing",
        do=f"{_server(view)}. Archive the run on the dashboard ({run.url}), then submit again",
    )


def _server(view: View) -> str:
    """Return whether a server of the run still stands, and how to free it."""
    standing = view.standing()
    free = f"`oc delete inferenceservice -l {RUN}={label(view.run_id)}`"
    if standing is None:
        return f"Whether a server of this run still stands cannot be seen from here: {free} frees it"
    return f"{', '.join(standing)} of this run still stands: {free} frees it" if standing else "No server of it stands"


def _notebook_error(runtime: Runtime, key: str) -> str:
    """Return the error that an executed notebook in the runtime's bucket ended in, "" where there is none."""
    from elyra.util.cos import CosClient

    with suppress(Exception):
        store = CosClient(config=SimpleNamespace(metadata=dict(runtime.metadata)))
        answer = store.client.get_object(store.bucket, key)
        try:
            return _error_of(json.loads(answer.data))
        finally:
            answer.close()
    return ""


def _error_of(notebook: Mapping[str, Any]) -> str:
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", ())]
    errors = [output for output in outputs if output.get("output_type") == "error"]
    return " ".join(f"{errors[-1]['ename']}: {errors[-1]['evalue']}".split())[:1000] if errors else ""
