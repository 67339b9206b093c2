"""What is refused before anything starts, and the command that is run otherwise."""

from __future__ import annotations

import pytest

from helpers.errors import InvalidDataset, InvalidParameter, UnknownTask
from helpers.evaluation.lm_eval import Settings, build_command, check_task
from helpers.runtime.workspace import ROOT


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("task", "--help"),
        ("num_fewshot", 1000),
        ("limit", -1),
        ("num_concurrent", 0),
        ("batch_size", 0),
        ("confidence", 1.0),
        ("seed", -1),
        ("colour", "red"),
    ],
)
def test_a_parameter_out_of_bounds_is_refused_by_name(name, value):
    with pytest.raises(InvalidParameter, match=name.upper()):
        Settings(**{name: value})


def test_an_instruction_may_hold_any_character():
    told = "--Answer the customer's question, kurz und höflich.\n"
    assert Settings(system_instruction=told).system_instruction == told
    for wrong in ({"gen_kwargs": "until='x'"}, {"system_instruction": "a\0b"}):
        with pytest.raises(InvalidParameter):
            Settings(**wrong)


def test_settings_do_not_change_after_they_were_checked():
    with pytest.raises(ValueError, match="frozen"):
        Settings().limit = 3


def test_the_projects_task_is_found_and_every_row_checked():
    task = check_task(Settings(include_path=ROOT / "datasets"))
    assert task.offline
    assert not task.collection
    assert task.members == ("ops_assistant",)
    assert task.questions >= 150
    assert task.digest.startswith("sha256:")


def test_an_unknown_task_is_answered_with_the_closest_names(questions):
    with pytest.raises(UnknownTask, match="ops_assistant") as failure:
        check_task(Settings(task="ops_asistant", include_path=questions))
    assert "'ops_asistant'" in str(failure.value)


def test_an_include_path_that_is_no_folder_is_named(tmp_path):
    with pytest.raises(UnknownTask, match="nowhere"):
        check_task(Settings(include_path=tmp_path / "nowhere"))


def test_a_task_without_its_questions_is_named(questions):
    (questions / "ops_assistant.jsonl").unlink()
    with pytest.raises(InvalidDataset, match=r"ops_assistant\.jsonl"):
        check_task(Settings(include_path=questions))


def test_a_task_whose_data_file_is_not_there_is_named(tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "task: mine\ndataset_path: json\ntest_split: test\ndataset_kwargs: {data_files: {test: rows.jsonl}}\n"
    )
    with pytest.raises(InvalidDataset, match=r"rows\.jsonl"):
        check_task(Settings(task="mine", include_path=tmp_path))
    (tmp_path / "rows.jsonl").write_text("{}\n")
    assert check_task(Settings(task="mine", include_path=tmp_path)).calls["mine"]["kwargs"] == {
        "data_files": {"test": str(tmp_path / "rows.jsonl")}
    }


def test_yaml_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "broken.yaml").write_text("task: mine\nnum_fewshot: [\n")
    with pytest.raises(UnknownTask, match=r"broken\.yaml"):
        check_task(Settings(task="mine", include_path=tmp_path))


def test_the_command_says_everything_but_the_key(endpoint, settings, tmp_path, monkeypatch):
    monkeypatch.setenv("ENDPOINT_API_KEY", "sesame")
    chosen = settings(limit=5, num_concurrent=3, batch_size=7, allow_partial=True)
    place = endpoint(url="http://host:1/")
    command = build_command(chosen, place, tmp_path, task=check_task(chosen))
    line = " ".join(command)
    assert command[1:3] == ["-m", "helpers.evaluation.lm_eval.harness"]
    for expected in (
        "--task ops_assistant",
        "--model scripted",
        "--url http://host:1 ",
        "--limit 5",
        "--num-concurrent 3",
        "--batch-size 7",
        "--max-length 2048",
        "--api auto",
        "--metric auto",
        f"--output {tmp_path}",
    ):
        assert expected in line
    assert "--with-defaults" not in line
    assert "sesame" not in line


def test_lm_evals_own_tasks_are_indexed_only_for_a_task_that_is_not_ours(endpoint, tmp_path):
    assert "--with-defaults" in build_command(Settings(task="arc_easy"), endpoint(), tmp_path)


def test_an_instruction_that_begins_with_a_dash_is_no_option_of_the_command(endpoint, tmp_path):
    settings = Settings(include_path=ROOT / "datasets", system_instruction="-x")
    assert "--system-instruction=-x" in build_command(settings, endpoint(), tmp_path, task=check_task(settings))
