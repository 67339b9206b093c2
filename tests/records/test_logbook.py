"""What is written to registry and store, and which of the records there a comparison shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.analysis import loading
from helpers.artifacts import Record
from helpers.errors import InvalidInput
from helpers.records import logbook
from helpers.registry import Registry, connect
from tests.plugins.criteria import asked
from tests.plugins.models import BASELINE, POLICY
from tests.plugins.records import (
    CHAT,
    KNOWLEDGE,
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
        write_samples(samples, folder / KNOWLEDGE.samples)
        (folder / CHAT.report).write_text("{}")
        (folder / KNOWLEDGE.results).write_text("{}")
        settings = logbook.Settings(store=(tmp_path / "store").as_uri())
        record = logbook.log(settings, registry, folder)
        record.write(folder)
        return record

    return log


@pytest.mark.parametrize("more", [{"purpose": "baseline"}, {"decide_approval": True}], ids=["baseline", "approval"])
def test_what_another_tool_measured_is_no_baseline_and_approves_nothing(registry, tmp_path, monkeypatch, more):
    monkeypatch.setenv("ELYRA_RUN_NAME", "an-import")
    known = {"uri": "file:///m", "digest": f"sha256:{'a' * 64}", "size_bytes": 1}
    selection = registry.register_candidate("ops-small", "1.0", **known)
    evaluation = an_evaluation(some_samples(1.0)).model_copy(update={"imported": True})
    for part in (a_sweep(), evaluation, an_endpoint(selection)):
        about(selection, part).write(tmp_path)
    selection.write(tmp_path)
    files = {"policy": POLICY, "criteria": BASELINE}
    settings = logbook.Settings(store=(tmp_path / "store").as_uri(), **files, **more)
    with pytest.raises(InvalidInput, match=r"knowledge of ops-small 1\.0 was imported"):
        logbook.log(settings, registry, tmp_path)
    assert not registry.records()


def test_a_trial_approves_and_rejects_nothing(registry, tmp_path, monkeypatch):
    monkeypatch.setenv("ELYRA_RUN_NAME", "a-trial")
    known = {"uri": "file:///m", "digest": f"sha256:{'a' * 64}", "size_bytes": 1}
    selection = registry.register_candidate("ops-small", "1.0", **known)
    evaluation = an_evaluation(some_samples(1.0)).model_copy(update={"limit": 160})
    for part in (a_sweep(), evaluation, an_endpoint(selection)):
        about(selection, part).write(tmp_path)
    selection.write(tmp_path)
    for name in (CHAT.report, KNOWLEDGE.results, KNOWLEDGE.samples):
        (tmp_path / name).write_text("{}")
    decided = []
    monkeypatch.setattr(Registry, "set_approval", lambda *given, **_: decided.append(given))
    files = {"policy": POLICY, "criteria": BASELINE}
    settings = logbook.Settings(store=(tmp_path / "store").as_uri(), decide_approval=True, **files)
    assert logbook.log(settings, registry, tmp_path).approval is None
    assert decided == []


def shown(registry: Registry, person: str, folder: Path, monkeypatch) -> list[str]:
    monkeypatch.setenv("ELYRA_RUN_NAME", f"run-of-{person}")
    compared = loading.compare_all(registry, loading.Filter(), asked(), folder / person)
    return [row.record_id for row in compared.standings]


def test_of_two_who_measure_one_version_each_sees_his_own_record(registry, logged, tmp_path, monkeypatch):
    ada, grace = logged("ada", 0.5), logged("grace", 0.6)
    assert shown(registry, "ada", tmp_path, monkeypatch) == [ada.record_id]
    assert shown(registry, "grace", tmp_path, monkeypatch) == [grace.record_id]


def test_whoever_measured_nothing_sees_the_newest_and_so_does_another_run(registry, logged, tmp_path, monkeypatch):
    logged("ada", 0.5)
    grace = logged("grace", 0.6)
    (tmp_path / "linus").mkdir()
    assert shown(registry, "linus", tmp_path, monkeypatch) == [grace.record_id]
    (tmp_path / "ada").rename(tmp_path / "later")  # a folder that an earlier run has left
    assert shown(registry, "later", tmp_path, monkeypatch) == [grace.record_id]
