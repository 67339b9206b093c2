"""A version whose two results are recorded, and an endpoint for it where nothing answers: who measures fails."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from helpers import load_test
from helpers.artifacts import Endpoint, LoadTest, Record, Selection, run
from helpers.evaluation import lm_eval
from helpers.records import logbook, reuse
from helpers.records.reuse import files, identity
from helpers.registry import Registry, connect
from tests.evaluation.conftest import little_patience, questions, server, settings, tokenizer
from tests.plugins.records import (
    CHAT,
    CHAT_REPEATS,
    KNOWLEDGE,
    a_sample,
    a_sweep,
    about,
    an_endpoint,
    an_evaluation,
    write_samples,
)
from tests.plugins.records import questions as rows

__all__ = ["little_patience", "questions", "server", "settings", "tokenizer"]
LOADS, SCORES = (CHAT.report, CHAT.page, CHAT_REPEATS.report), (KNOWLEDGE.results, KNOWLEDGE.samples)
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
    load: load_test.Settings
    task: lm_eval.Settings
    record: Record

    @property
    def known(self) -> reuse.Settings:
        return reuse.Settings(registry=self.registry.address)

    @property
    def sweep(self) -> LoadTest:
        return self.record.sweep

    def log(self, folder: Path, **changes: object) -> Record:
        """Log what lies in a folder, as log_results does."""
        store = (self.folder / "store").as_uri()
        return logbook.log(logbook.Settings(store=store, **changes), self.registry, folder)


def measured(folder: Path, selection: Selection, endpoint: Endpoint, load, task, share=0.6, **changes) -> None:
    """Leave in `folder` what the stages leave that have measured."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*LOADS, KNOWLEDGE.results):
        (folder / name).write_text(f"{name} of {folder}\n")
    samples = [a_sample(number, row, number < share * 10) for number, row in enumerate(rows(10))]
    write_samples(samples, folder / KNOWLEDGE.samples)
    sweep = a_sweep().model_copy(
        update={
            "identity": identity.of_sweep(load, endpoint),
            "repeats_report": CHAT_REPEATS.report,
            "files": files.digests(folder, LOADS),
        }
    )
    scored = an_evaluation(samples).model_copy(
        update={
            "identity": identity.of_evaluation(task, endpoint, lm_eval.check_task(task)),
            "answers_identity": identity.of_answers(endpoint),
            "files": files.digests(folder, SCORES),
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
    load, task = load_test.Settings(scale=0.125, slo_ttft_ms=500), lm_eval.Settings(include_path=questions)
    measured(tmp_path / "first", selection, endpoint, load, task)
    found = Recorded(tmp_path, registry, selection, endpoint, load, task, record=None)  # type: ignore[arg-type]
    found.record = found.log(tmp_path / "first")
    return found
