"""What is written to registry and store, and which of the records there a comparison shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers import logbook
from helpers.artifacts import Record
from helpers.registry import Registry, connect
from tests.plugins.records import (
    a_sweep,
    about,
    an_endpoint,
    an_evaluation,
    some_samples,
    write_samples,
)


@pytest.fixture
def registry(registry_server) -> Registry:
    return connect("local")


@pytest.fixture
def logged(registry, tmp_path, monkeypatch):
    """Logs what one person's run measured on the one version, into a folder of that run, and returns the record."""
    known = {"uri": "file:///m", "digest": f"sha256:{'a' * 64}", "size_bytes": 1}
    selection = registry.register_candidate("ops-small", "1.0", **known)

    def log(person: str, share: float) -> Record:
        monkeypatch.setenv("ELYRA_RUN_NAME", f"run-of-{person}")
        folder = tmp_path / person
        samples = some_samples(share)
        folder.mkdir()
        for part in (a_sweep(), an_evaluation(samples)):
            about(selection, part).write(folder)
        for part in (selection, an_endpoint(selection)):
            part.write(folder)
        write_samples(samples, folder / "lm_eval_samples.jsonl")
        (folder / "guidellm.json").write_text("{}")
        (folder / "lm_eval_results.json").write_text("{}")
        settings = logbook.Settings(store=(tmp_path / "store").as_uri())
        record = logbook.log(settings, registry, folder)
        record.write(folder)
        return record

    return log


def shown(registry: Registry, person: str, folder: Path, monkeypatch) -> list[str]:
    monkeypatch.setenv("ELYRA_RUN_NAME", f"run-of-{person}")
    compared = logbook.compare_all(registry, logbook.Filter(), folder / person)
    return [row.record_id for row in compared.standings]


def test_of_two_who_measure_one_version_each_sees_his_own_record(registry, logged, tmp_path, monkeypatch, capsys):
    ada, grace = logged("ada", 0.5), logged("grace", 0.6)
    assert shown(registry, "ada", tmp_path, monkeypatch) == [ada.record_id]
    assert f"{grace.record_id} was logged since" in capsys.readouterr().out
    assert shown(registry, "grace", tmp_path, monkeypatch) == [grace.record_id]


def test_whoever_measured_nothing_sees_the_newest_and_so_does_another_run(registry, logged, tmp_path, monkeypatch):
    logged("ada", 0.5)
    grace = logged("grace", 0.6)
    (tmp_path / "linus").mkdir()
    assert shown(registry, "linus", tmp_path, monkeypatch) == [grace.record_id]
    (tmp_path / "ada").rename(tmp_path / "later")  # a folder that an earlier run has left
    assert shown(registry, "later", tmp_path, monkeypatch) == [grace.record_id]
