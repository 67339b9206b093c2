"""Follow a run until it ends."""

from __future__ import annotations

import warnings
from typing import Any

from helpers.errors import StageFailed
from helpers.pipelines.definition import Pipeline
from helpers.pipelines.failures import explained
from helpers.pipelines.processor import Say
from helpers.pipelines.runtimes import Runtime
from helpers.pipelines.submitting import Submitted, credentials
from helpers.polling import wait_for

ENDED = ("SUCCEEDED", "FAILED", "SKIPPED", "CANCELED")
DAY = 86_400


def follow(run: Submitted, pipeline: Pipeline, runtime: Runtime, say: Say = print, *, interval: float = 5) -> None:
    """Print each task's state when it changes; return when the run has succeeded. Raises StageFailed, TimedOut."""
    from kfp import Client

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        namespace = runtime.metadata.get("user_namespace")
        client = Client(host=runtime.api_endpoint, namespace=namespace, **credentials(runtime))
    seen: dict[str, str] = {}

    def look() -> str | None:
        with explained(pipeline, runtime):
            state = client.get_run(run.run_id)
        for name, now in _stages(state, pipeline).items():
            if seen.get(name) != now:
                seen[name] = now
                say(f"  {name:<18} {now.lower()}")
        return str(state.state) if state.state in ENDED else None

    ended = wait_for(look, what=f"the end of {run.url}", do="Look at the run", timeout=DAY, interval=interval)
    if ended != "SUCCEEDED":
        failed = [name for name, state in seen.items() if state == "FAILED"]
        raise StageFailed(
            f"{pipeline.name} {ended.lower()}{' in ' + ', '.join(failed) if failed else ''}",
            do=f"Read the failed notebook's page in {run.files}, and {run.url}",
        )


def _stages(run: Any, pipeline: Pipeline) -> dict[str, str]:
    """Return each stage's state. The server calls the tasks run-a-file, run-a-file-2 and so on, in their order."""
    details = (run.run_details.task_details if run.run_details else None) or []
    found = {task.display_name: task.state for task in details if task.display_name and task.state}
    called = ["run-a-file" if number == 1 else f"run-a-file-{number}" for number in range(1, len(pipeline.stages) + 1)]
    return {stage: found[name] for stage, name in zip(pipeline.stages, called, strict=True) if name in found}
