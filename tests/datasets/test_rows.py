"""A dataset is checked before anything is started: every bad row is named by file, line and field."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections import Counter

import pytest

from helpers.datasets import digest, load_handbook, load_prompts, load_questions
from helpers.errors import InvalidDataset
from helpers.runtime.workspace import ROOT

OPS = ROOT / "datasets" / "ops-assistant"
GOOD = {"id": "a", "category": "cluster", "question": "Which?", "choices": ["1", "2", "3", "4"], "answer": 3}


def written(tmp_path, *rows):
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"answer": 4}, "answer"),
        ({"answer": -1}, "answer"),
        ({"answer": "3"}, "answer"),
        ({"answer": True}, "answer"),
        ({"choices": ["1", "2", "3"]}, "choices"),
        ({"choices": ["1", "2", "3", "4", "5"]}, "choices"),
        ({"choices": ["1", "2", " ", "4"]}, "choices.2"),
        ({"question": "  "}, "question"),
        ({"id": ""}, "id"),
        ({"hint": "it is 4"}, "hint"),
        ({"id": "a"}, "id"),
        ({"question": "Which?"}, "question"),
    ],
)
def test_a_bad_row_is_named_by_file_line_and_field(tmp_path, change, field):
    path = written(tmp_path, GOOD, {**GOOD, "id": "b", "question": "What?", **change}, {"id": 5})
    with pytest.raises(InvalidDataset) as raised:
        load_questions(path)
    assert f"{path}, line 2, field {field}:" in str(raised.value)


def test_a_missing_field_is_named(tmp_path):
    path = written(tmp_path, {key: value for key, value in GOOD.items() if key != "category"})
    with pytest.raises(InvalidDataset, match="line 1, field category"):
        load_questions(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InvalidDataset, match=r"nowhere\.jsonl is not there"):
        load_prompts(tmp_path / "nowhere.jsonl")


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_an_empty_file_is_refused(tmp_path, content):
    path = tmp_path / "prompts.jsonl"
    path.write_bytes(content)
    with pytest.raises(InvalidDataset, match=r"prompts\.jsonl is empty"):
        load_prompts(path)


@pytest.mark.parametrize("line", ["{'id': 1}", "x", '{"id": "b", "cat', "﻿{}"])
def test_malformed_json_is_named_by_line(tmp_path, line):
    path = tmp_path / "questions.jsonl"
    path.write_text(json.dumps(GOOD) + "\n" + line + "\n" + json.dumps(GOOD) + "\n", encoding="utf-8")
    with pytest.raises(InvalidDataset, match="line 2: not a JSON object"):
        load_questions(path)


def test_a_line_that_is_no_object_is_refused(tmp_path):
    path = tmp_path / "questions.jsonl"
    path.write_text("[1, 2]\n", encoding="utf-8")
    with pytest.raises(InvalidDataset, match="line 1, field the whole line"):
        load_questions(path)


def test_another_encoding_than_utf8_is_named_by_line(tmp_path):
    path = tmp_path / "questions.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b"\n" + '{"id": "Zürich"}'.encode("latin-1") + b"\n")
    with pytest.raises(InvalidDataset, match="line 2: not UTF-8"):
        load_questions(path)


def test_prompts_need_a_positive_number_of_output_tokens(tmp_path):
    path = written(tmp_path, {"id": "a", "category": "cluster", "prompt": "drain", "output_tokens": 0})
    with pytest.raises(InvalidDataset, match="line 1, field output_tokens"):
        load_prompts(path)


def test_unusual_line_separators_inside_a_text_are_text(tmp_path):
    path = tmp_path / "questions.jsonl"
    path.write_text(json.dumps({**GOOD, "question": "a\u2028b"}, ensure_ascii=False) + "\r\n", encoding="utf-8")
    assert load_questions(path)[0].question == "a\u2028b"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda raw: b"\xef\xbb\xbf" + raw, id="a byte order mark"),
        pytest.param(lambda raw: raw.replace(b"\n", b"\r\n"), id="CRLF"),
        pytest.param(lambda raw: raw + b"\n  \r\n", id="blank lines at the end"),
        pytest.param(lambda raw: raw.rstrip(b"\n"), id="no line end at the end"),
    ],
)
@pytest.mark.parametrize("kind", ["questions", "prompts"])
def test_what_editors_leave_behind_is_read(tmp_path, kind, change):
    names = {"questions": "ops_assistant.jsonl", "prompts": "prompts.jsonl"}
    load = {"questions": load_questions, "prompts": load_prompts}[kind]
    rows = load(OPS / names[kind])
    path = tmp_path / "rows.jsonl"
    path.write_bytes(change((OPS / names[kind]).read_bytes()))
    assert load(path) == rows


def test_blank_lines_between_rows_are_read_and_counted(tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "a"}\n \t\r\n\n{"prompt": "b"}\n', encoding="utf-8", newline="")
    assert [row.line for row in load_prompts(path)] == [1, 4]


def test_the_shipped_task_loads_the_rows_that_were_checked(tmp_path):
    shutil.copy(OPS / "questions.py", tmp_path)
    rows = [{**GOOD, "question": f"Which\u2028of\x85these\x1c{number}?"} for number in range(3)]
    text = "".join(json.dumps({**row, "id": str(n)}, ensure_ascii=False) + "\r\n" for n, row in enumerate(rows))
    path = tmp_path / "ops_assistant.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\r\n")
    spec = importlib.util.spec_from_file_location("copied_questions", tmp_path / "questions.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert [row["question"] for row in module.load()["test"]] == [row.question for row in load_questions(path)]
    assert [row.question for row in load_questions(path)] == [row["question"] for row in rows]


@pytest.mark.parametrize(
    ("load", "row", "field"),
    [
        (load_questions, {**GOOD, "question": "Which \ud83d?"}, "question"),
        (load_questions, {**GOOD, "choices": ["1", "2", "\udc00", "4"]}, "choices"),
        (load_questions, {**GOOD, "choices": ["1", "2", "3", "1"]}, "choices"),
        (load_prompts, {"id": "a", "category": "x", "prompt": "half \ude00", "output_tokens": 3}, "prompt"),
    ],
)
def test_half_a_character_and_equal_choices_are_refused(tmp_path, load, row, field):
    path = written(tmp_path, row)
    with pytest.raises(InvalidDataset) as raised:
        load(path)
    assert f"{path}, line 1, field {field}:" in str(raised.value)
    str(raised.value).encode()


def test_every_fault_of_a_file_is_told_at_once(tmp_path):
    path = written(
        tmp_path, {**GOOD, "answer": 4, "hint": ""}, GOOD, {**GOOD, "id": "b"}, [1], {**GOOD, "id": "\ud800"}
    )
    with path.open("a") as file:
        file.write("{\n")
    with pytest.raises(InvalidDataset) as raised:
        load_questions(path)
    told = ["1, field answer", "1, field hint", "3, field question", "4, field the whole line", "5, field id", "6"]
    assert [part for part in told if f"line {part}:" not in str(raised.value)] == []


def test_a_file_with_countless_faults_is_told_in_a_few_lines(tmp_path):
    path = written(tmp_path, *({"id": str(number)} for number in range(1000)))
    with pytest.raises(InvalidDataset) as raised:
        load_questions(path)
    assert len(str(raised.value)) < 3000


def test_the_shipped_questions_give_no_hint_by_position_or_length():
    questions = load_questions(OPS / "ops_assistant.jsonl")
    assert len(questions) >= 160
    assert set(Counter(q.answer for q in questions).values()) == {len(questions) // 4}
    assert all(len(set(q.choices)) == 4 for q in questions)
    lengths = [[len(choice) for choice in q.choices] for q in questions]
    for extreme in (min, max):
        right = sum((n[q.answer] == extreme(n)) / n.count(extreme(n)) for q, n in zip(questions, lengths, strict=True))
        assert 0.2 < right / len(questions) < 0.3


def test_the_shipped_prompts_go_from_three_words_to_several_paragraphs():
    prompts = load_prompts(OPS / "prompts.jsonl")
    words = sorted(len(p.prompt.split()) for p in prompts)
    assert len(prompts) >= 150
    assert words[0] <= 3
    assert words[-1] > 250
    assert words[len(words) // 2] < 40
    assert sum("\n\n" in p.prompt for p in prompts) >= 30


def test_the_handbook_repeats_no_question_of_the_task_and_leaves_topics_out():
    questions, handbook = load_questions(OPS / "ops_assistant.jsonl"), load_handbook(OPS / "handbook.jsonl")
    told = {text for entry in handbook for text in (*entry.questions, *entry.notes)}
    assert not told & {q.question for q in questions}
    known = {entry.id: entry.answer for entry in handbook}
    assert 10 <= sum(q.id not in known for q in questions) <= 60
    assert all(known[q.id] == q.choices[q.answer] for q in questions if q.id in known)


def test_the_datasheet_states_the_numbers_of_rows():
    sheet = (OPS / "README.md").read_text(encoding="utf-8")
    for file in ("prompts.jsonl", "ops_assistant.jsonl", "handbook.jsonl"):
        rows = len((OPS / file).read_text(encoding="utf-8").splitlines())
        assert f"| `{file}` | {rows} |" in sheet


def test_a_digest_depends_on_content_and_names_and_not_on_the_place(tmp_path):
    shutil.copytree(OPS, tmp_path / "copy")
    assert digest(tmp_path / "copy") == digest(OPS)
    (tmp_path / "copy" / "__pycache__").mkdir(exist_ok=True)
    (tmp_path / "copy" / "__pycache__" / "x.pyc").write_bytes(b"x")
    assert digest(tmp_path / "copy") == digest(OPS)
    (tmp_path / "copy" / "task.yaml").rename(tmp_path / "copy" / "other.yaml")
    assert digest(tmp_path / "copy") != digest(OPS)
    assert digest(OPS / "task.yaml") == digest(tmp_path / "copy" / "other.yaml")


def test_a_digest_of_nothing_is_refused(tmp_path):
    with pytest.raises(InvalidDataset, match="is not there"):
        digest(tmp_path / "nothing")


def test_lm_eval_loads_a_copy_of_the_task_offline_from_another_folder(tmp_path):
    shutil.copytree(OPS, tmp_path / "tasks" / "ops")
    (tmp_path / "elsewhere").mkdir()
    command = [sys.executable, "-m", "lm_eval", "--model", "dummy", "--include_path", str(tmp_path / "tasks")]
    done = subprocess.run(
        [*command, "--tasks", "ops_assistant"],
        cwd=tmp_path / "elsewhere",
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "ops_assistant" in done.stdout
    assert "208" in done.stderr + done.stdout
