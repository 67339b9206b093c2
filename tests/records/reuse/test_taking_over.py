"""A result that is known is shown and taken over; what cannot be had is told, and measured."""

from __future__ import annotations

import shutil

import pytest

from helpers import storage
from helpers.artifacts import Evaluation, LoadTest
from helpers.errors import EndpointUnreachable
from helpers.records import reuse
from helpers.statistics import wilson
from tests.plugins.records import CHAT, KNOWLEDGE, holding
from tests.plugins.registry import MEMORY
from tests.plugins.registry import serving as registry_at
from tests.records.reuse.conftest import LOADS, SCORES

STAGES = {"sweep": LOADS, "evaluation": SCORES}
NAMES = {"sweep": "chat", "evaluation": "knowledge"}
both = pytest.mark.parametrize("name", STAGES)


def ask(recorded, name, folder, said=None, **changes):
    """Run a stage as its notebook does; nothing answers at the endpoint, so measuring fails."""
    given = {"endpoint": recorded.endpoint, "known": recorded.known} | changes
    rest = (folder, (said if said is not None else []).append, given.get("serve"))
    if name == "sweep":
        return reuse.sweep(given.get("load", recorded.load), given["endpoint"], given["known"], *rest)
    return reuse.evaluate(given.get("task", recorded.task), given["endpoint"], given["known"], *rest)


def measures(recorded, name, folder, **changes):
    """Run a stage that must measure; return what it said before it failed."""
    said = []
    with pytest.raises(EndpointUnreachable):  # it went as far as it can without a model
        ask(recorded, name, folder, said, **changes)
    return said


@both
def test_a_known_result_comes_with_its_raw_files_and_says_whose_it_is(recorded, tmp_path, name):
    said, folder = [], tmp_path / "second"
    taken = ask(recorded, name, folder, said)
    record = recorded.record
    assert taken == getattr(record, name).model_copy(update={"taken_from": record.record_id})
    for file in STAGES[name]:
        assert (folder / file).read_bytes() == (tmp_path / "first" / file).read_bytes()
    assert len(said) == 1
    assert f"record {record.record_id}, ops-small 1.0.0" in said[0]
    assert "2026-11-02" in said[0]
    assert "FRESH=true" in said[0]
    assert sorted(path.name for path in folder.iterdir()) == sorted(STAGES[name]), "and no draft is left"


@both
def test_a_server_is_asked_for_only_where_something_is_measured(recorded, tmp_path, name):
    asked = []

    def serve():
        asked.append(name)
        return recorded.endpoint

    ask(recorded, name, tmp_path / "taken", serve=serve)
    assert asked == []
    known = reuse.Settings(registry=recorded.registry.address, fresh=True)
    measures(recorded, name, tmp_path / "fresh", known=known, serve=serve)
    assert asked == [name]


@both
def test_fresh_measures_again(recorded, tmp_path, name):
    known = reuse.Settings(registry=recorded.registry.address, fresh=True)
    measures(recorded, name, tmp_path / "first", known=known)
    measures(recorded, name, tmp_path / "second", known=known)


@both
def test_other_hardware_measures_and_says_that_nothing_is_known(recorded, tmp_path, name):
    more = recorded.endpoint.hardware.model_copy(update={"count": 64})
    said = measures(
        recorded, name, tmp_path / "second", endpoint=recorded.endpoint.model_copy(update={"hardware": more})
    )
    assert said == [
        f"No earlier measurement of this model has the same data, tools, engine, hardware and parameters, so "
        f"{NAMES[name]} is measured."
    ]


@both
def test_what_nobody_verified_is_never_taken_over_and_says_why(recorded, tmp_path, name):
    existing = recorded.endpoint.model_copy(update={"target": "existing", "digest_verified": False})
    (why,) = measures(recorded, name, tmp_path / "second", endpoint=existing)
    assert why == (
        "Nobody verified which model http://127.0.0.1:9 serves, or on what hardware, so nothing is taken over."
    )


@both
def test_an_engine_that_hides_its_version_is_never_taken_over(recorded, tmp_path, name):
    hidden = recorded.endpoint.model_copy(update={"engine_version": "unknown"})
    (why,) = measures(recorded, name, tmp_path / "second", endpoint=hidden)
    assert "does not say which version of vllm it is" in why


@pytest.mark.parametrize("hardware", ["CPU", "nvidia.com/gpu"])
def test_a_sweep_on_hardware_without_a_name_is_measured_and_its_answers_are_not(recorded, tmp_path, hardware):
    some = recorded.endpoint.hardware.model_copy(update={"type": hardware})
    nameless = recorded.endpoint.model_copy(update={"hardware": some})
    (why,) = measures(recorded, "sweep", tmp_path / "second", endpoint=nameless)
    assert f"is known as {hardware} only" in why
    said = measures(recorded, "evaluation", tmp_path / "third", endpoint=nameless)
    assert not any("known as" in line for line in said)


@both
def test_the_working_folders_own_result_stands_without_any_registry(recorded, tmp_path, name):
    said = []
    stands = ask(recorded, name, tmp_path / "first", said, known=reuse.Settings(registry="http://127.0.0.1:9"))
    assert stands == getattr(recorded.record, name)
    assert said[0].endswith("stands; FRESH=true measures it again.")


@both
def test_a_raw_file_that_was_changed_in_the_working_folder_is_not_trusted(recorded, tmp_path, name):
    (tmp_path / "first" / STAGES[name][0]).write_text("of a run that failed later\n")
    assert ask(recorded, name, tmp_path / "first").taken_from == recorded.record.record_id
    assert (tmp_path / "first" / STAGES[name][0]).read_text() != "of a run that failed later\n"


def lose_the_store(recorded):
    shutil.rmtree(recorded.folder / "store")


def change_a_raw_file(recorded):
    for file in (CHAT.report, KNOWLEDGE.samples):
        storage.put(b"{}", recorded.record.raw[file])


def lose_a_raw_file(recorded):
    for file in (CHAT.page, KNOWLEDGE.results):
        storage.delete(recorded.record.raw[file])


def break_the_record(recorded):
    (entry,) = recorded.registry.records()
    storage.put(b'{"record_id": 7}', entry.uri)


@both
@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lose_the_store, "record.json is not in the store"),
        (change_a_raw_file, "is not the file that was recorded"),
        (lose_a_raw_file, "is not in the store"),
        (break_the_record, "cannot be read"),
    ],
    ids=lambda item: getattr(item, "__name__", None),
)
def test_what_cannot_be_had_is_told_in_a_sentence_and_measured(recorded, tmp_path, name, harm, told):
    harm(recorded)
    (why,) = measures(recorded, name, tmp_path / "second")
    assert why.startswith("No earlier result is taken over: ")
    assert told in why
    assert not [file for file in STAGES[name] if (tmp_path / "second" / file).exists()], "all files or none"


@both
@pytest.mark.parametrize(
    ("registry", "told"),
    [
        ("http://127.0.0.1:9", "does not answer"),
        ("local", "No local registry is known"),
    ],
)
def test_without_a_registry_it_measures(recorded, tmp_path, monkeypatch, name, registry, told):
    monkeypatch.delenv("REGISTRY_ADDRESS_LOCAL")
    (why,) = measures(recorded, name, tmp_path / "second", known=reuse.Settings(registry=registry))
    assert told in why


def test_a_registry_that_refuses_the_token_is_named_and_one_that_takes_it_is_read(recorded, tmp_path, monkeypatch):
    with registry_at(MEMORY, "sesame") as closed:
        (why,) = measures(recorded, "sweep", tmp_path / "second", known=reuse.Settings(registry=closed.address))
        assert "HTTP 401" in why
        monkeypatch.setenv("REGISTRY_TOKEN", "sesame")
        (why,) = measures(recorded, "sweep", tmp_path / "second", known=reuse.Settings(registry=closed.address))
        assert "so chat is measured" in why


def test_another_confidence_gives_another_interval_of_the_same_answers(recorded, tmp_path):
    wide = recorded.task.model_copy(update={"confidence": 0.99})
    taken = ask(recorded, "evaluation", tmp_path / "second", task=wide)
    assert taken.interval == wilson(taken.correct, taken.n, 0.99)
    assert taken.settings["confidence"] == 0.99
    assert taken.score == recorded.record.evaluation.score


def test_the_newest_record_counts_and_the_first_origin_is_kept(recorded, tmp_path):
    for name, artifact in (("second", None), ("third", None)):
        folder = tmp_path / name
        for stage in STAGES:
            artifact = ask(recorded, stage, folder)
            artifact.write(folder)
        for part in (recorded.selection, recorded.endpoint.model_copy(update={"startup_seconds": 1.0})):
            part.write(folder)
        logged = recorded.log(folder, use_case=f"case-{name}")
        assert logged.record_id != recorded.record.record_id
        assert logged.sweep.taken_from == logged.evaluation.taken_from == recorded.record.record_id
    assert len(recorded.registry.records()) == 3


def test_a_file_name_in_a_record_leads_nowhere_else(recorded, tmp_path):
    (entry,) = recorded.registry.records()
    record = recorded.record
    files = {"../escaped": next(iter(record.sweep.files.values())), **record.sweep.files}
    sweep = record.sweep.model_copy(update={"files": files, "report": "../escaped"})
    raw = {**record.raw, "../escaped": record.raw[CHAT.report]}
    storage.put(holding(record, sweep).model_copy(update={"raw": raw}).model_dump_json().encode(), entry.uri)
    measures(recorded, "sweep", tmp_path / "second")
    assert not (tmp_path / "escaped").exists()


def test_the_stages_still_read_what_was_taken_over(recorded, tmp_path):
    folder = tmp_path / "second"
    for stage in STAGES:
        ask(recorded, stage, folder).write(folder)
    assert LoadTest.read_named("chat", folder).chosen == recorded.sweep.chosen
    assert Evaluation.read_named("knowledge", folder).taken_from == recorded.record.record_id
