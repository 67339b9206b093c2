"""Faults of a task that only its own templates, code and data show: told with file and field before it is asked."""

from __future__ import annotations

import json

import pytest
from lm_eval.api.task import ConfigurableTask
from lm_eval.tasks import TaskManager

from helpers.errors import EvaluationFailed, InvalidDataset
from helpers.evaluation.lm_eval import Settings, check_task, documents, evaluate
from helpers.evaluation.lm_eval.tasks.placing import place

from .test_tasks import CHOICE, DATA, of, written

ROWS = of({"test": "data/a.jsonl"})
FOLDER = "task: mine\ndataset_path: data\n" + CHOICE
LETTERS = ROWS.replace("doc_to_choice: choices", "doc_to_choice: ['x', 'y']")
EQUAL = json.dumps({"question": "q", "choices": ["a", "a"], "answer": 0}) + "\n"


@pytest.fixture
def loaded(monkeypatch, tmp_path):
    monkeypatch.setattr(ConfigurableTask, "download", ConfigurableTask.download)  # put back after place()
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path.with_name(f"{tmp_path.name}-cache")))

    def load(files):
        written(tmp_path, DATA | files)
        task = check_task(Settings(task="mine", include_path=tmp_path))
        place(task.calls)
        return task, TaskManager(include_path=tmp_path, include_defaults=False).load(["mine"])["tasks"]

    return load


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (
            {"mine.yaml": ROWS.replace("doc_to_target: answer", "doc_to_target: gold")},
            "field doc_to_target, question 1:",
        ),
        (
            {"mine.yaml": LETTERS.replace("doc_to_target: answer", "doc_to_target: '{{ \"xyz\"[question[1]|int] }}'")},
            "field doc_to_target, question 3: 'z' is none of the 2",
        ),
        (
            {
                "mine.yaml": ROWS.replace("doc_to_choice: choices", "doc_to_choice: '{{choices | list}}'"),
                "data/a.jsonl": EQUAL,
            },
            "field doc_to_choice, question 1: two choices are 'a'",
        ),
        (
            {"mine.yaml": ROWS.replace('"{{question}}"', '"{{ 1 // (2 - question[1]|int) }}"')},
            "field doc_to_text, question 3: ZeroDivisionError",
        ),
        (
            {"mine.yaml": ROWS + "metadata: {cluster: topic}\n"},
            "field metadata.cluster, question 1: there is no 'topic' in it",
        ),
    ],
)
def test_questions_that_cannot_be_asked_or_scored_are_told_by_field(loaded, files, told):
    task, tasks = loaded(files)
    with pytest.raises(InvalidDataset) as refused:
        documents.check(tasks, task.own, 0)
    assert f"mine.yaml, {told}" in refused.value.what


@pytest.mark.parametrize(
    "files",
    [
        {"mine.yaml": ROWS},
        {"mine.yaml": LETTERS},
        {"mine.yaml": ROWS.replace("doc_to_target: answer", "doc_to_target: '{{choices[answer]}}'")},
        {"mine.yaml": ROWS.replace("doc_to_target: answer", "doc_to_target: [0, 1]")},
        {
            "mine.yaml": ROWS.replace("doc_to_target: answer", "doc_to_target: ''")
            + "process_results: !function u.p\n",
            "u.py": "def p(doc, results):\n    return {'acc': 1.0}\n",
        },
        {  # as Winogrande: the texts before one and the same end are the choices
            "mine.yaml": ROWS.replace('"{{question}}"', "answer").replace(
                "doc_to_target: answer", "doc_to_target: ' end'"
            ),
        },
    ],
)
def test_whatever_lm_eval_scores_is_no_fault(loaded, files):
    task, tasks = loaded(files)
    documents.check(tasks, task.own, 0)


def test_what_others_published_and_what_a_limit_leaves_out_is_not_looked_at(loaded):
    task, tasks = loaded({"mine.yaml": ROWS.replace('"{{question}}"', '"{{ 1 // (2 - question[1]|int) }}"')})
    documents.check(tasks, {}, 0)
    documents.check(tasks, task.own, 2)


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"mine.yaml": FOLDER.replace("test_split: test", "test_split: tst")}, "mine.yaml, field test_split: "),
        (
            {"mine.yaml": ROWS + "process_docs: !function u.p\n", "u.py": "\ndef p(docs):\n    return docs['nope']\n"},
            "u.py, line 3: ",
        ),
    ],
)
def test_the_last_words_of_lm_eval_name_file_and_field_or_line(server, settings, endpoint, tmp_path, files, told):
    folder = tmp_path / "task"
    written(folder, DATA | files)
    with pytest.raises(EvaluationFailed) as failed:
        evaluate(settings(task="mine", include_path=folder), endpoint(), tmp_path / "out", show=lambda _: None)
    assert f"{folder}/{told}" in failed.value.what
    assert server.prompts == []
