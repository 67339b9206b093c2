"""A version whose two results are recorded, and an endpoint for it where nothing answers: who measures fails."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from helpers import benchmark, earlier, evaluation, logbook
from helpers.artifacts import Endpoint, Record, Selection, Sweep, run
from helpers.earlier import files, identity
from helpers.earlier.known import EVALUATION, SWEEP
from helpers.registry import Registry, connect
from tests.evaluation.conftest import questions, server, settings, tokenizer
from tests.plugins.records import a_sample, a_sweep, about, an_endpoint, an_evaluation
from tests.plugins.records import questions as rows

__all__ = ["questions", "server", "settings", "tokenizer"]
NOWHERE = "http://127.0.0.1:9"  # the port of `discard`, where nobody listens


@pytest.fixture(autouse=True)
def one_run(monkeypatch):
    """All that a test writes belongs to one pipeline run, in whatever order it is written."""
    monkeypatch.setenv(run.VARIABLE, "a-run")


@dataclass
class Recorded:
    """What was measured, and where it is known."""

    folder: Path
    registry: Registry
    selection: Selection
    endpoint: Endpoint
    load: benchmark.Settings
    task: evaluation.Settings
    record: Record

    @property
    def known(self) -> earlier.Settings:
        return earlier.Settings(registry=self.registry.address)

    @property
    def sweep(self) -> Sweep:
        return self.record.sweep

    def log(self, folder: Path, **changes: object) -> Record:
        """Log what lies in a folder, as log_results does."""
        store = (self.folder / "store").as_uri()
        return logbook.log(logbook.Settings(store=store, **changes), self.registry, folder)


def measured(folder: Path, selection: Selection, endpoint: Endpoint, load, task, share=0.6, **changes) -> None:
    """Leave in `folder` what the stages leave that have measured."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*SWEEP.files, "lm_eval_results.json"):
        (folder / name).write_text(f"{name} of {folder}\n")
    samples = [a_sample(number, row, number < share * 10) for number, row in enumerate(rows(10))]
    (folder / EVALUATION.files[1]).write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    sweep = a_sweep().model_copy(
        update={
            "identity": identity.of_sweep(load, endpoint),
            "repeats_report": "guidellm_repeats.json",
            "files": files.digests(folder, SWEEP.files),
        }
    )
    scored = an_evaluation(samples).model_copy(
        update={
            "identity": identity.of_evaluation(task, endpoint, evaluation.check_task(task)),
            "answers_identity": identity.of_answers(endpoint),
            "files": files.digests(folder, EVALUATION.files),
        }
    )
    for artifact in (selection, endpoint, about(selection, sweep), about(selection, scored.model_copy(update=changes))):
        artifact.write(folder)


@pytest.fixture
def recorded(tmp_path, registry_server, questions):
    """Both results of a version, in the registry and in the store."""
    registry = connect(registry_server.address)
    digest = "sha256:" + "a" * 64
    selection = registry.register_candidate("ops-small", "1.0.0", uri="file:///m", digest=digest, size_bytes=1)
    endpoint = an_endpoint(selection, url=NOWHERE)
    load, task = benchmark.Settings(scale=0.125, slo_ttft_ms=500), evaluation.Settings(include_path=questions)
    measured(tmp_path / "first", selection, endpoint, load, task)
    found = Recorded(tmp_path, registry, selection, endpoint, load, task, record=None)  # type: ignore[arg-type]
    found.record = found.log(tmp_path / "first")
    return found
