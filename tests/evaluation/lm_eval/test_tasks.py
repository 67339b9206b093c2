"""Tasks as people post them: found, located and refused as lm-eval itself finds, loads and skips them."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from lm_eval.api.task import ConfigurableTask
from lm_eval.tasks import TaskManager
from lm_eval.tasks._index import TaskIndex

from helpers.errors import InvalidDataset, UnknownTask
from helpers.evaluation.lm_eval import Settings, check_task
from helpers.evaluation.lm_eval.tasks.catalogue import PACKAGE, Catalogue
from helpers.evaluation.lm_eval.tasks.placing import place

CHOICE = """
output_type: multiple_choice
test_split: test
doc_to_text: "{{question}}"
doc_to_choice: choices
doc_to_target: answer
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""


def rows(count, first=0):
    made = ({"question": f"Q{n}?", "choices": [f"a{n}", f"b{n}"], "answer": n % 2} for n in range(first, first + count))
    return "".join(json.dumps(row) + "\n" for row in made)


def written(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text.replace("HERE", str(folder)), "utf-8")


def of(files, **more):
    """A task's YAML with the data files that it names."""
    kwargs = {"data_files": files, **more}
    return f"task: mine\ndataset_path: json\ndataset_kwargs: {json.dumps(kwargs)}\n" + CHOICE


DATA = {"data/a.jsonl": rows(3), "data/b.jsonl": rows(2, first=3)}
TEMPLATE = "dataset_path: json\n" + CHOICE
PARTS = {
    "one.yaml": "include: _default_template_yaml\ntask: one\ntag: [some, others]\n"
    "dataset_kwargs: {data_files: {test: data/a.jsonl}}\n",
    "two.yaml": "include: _default_template_yaml\ntask: two\ntag: some\nnum_fewshot: 0\n"
    "dataset_kwargs: {data_files: {test: data/b.jsonl}}\n",
    "_default_template_yaml": TEMPLATE,
}
# shape -> files, name that is asked for, questions of each member
SHAPES = {
    "a string": ({"mine.yaml": of("data/a.jsonl").replace("test_split: test", "test_split: train")}, {"mine": 3}),
    "a file of a split": ({"mine.yaml": of({"test": "data/a.jsonl"})}, {"mine": 3}),
    "a list of a split": ({"mine.yaml": of({"test": ["data/a.jsonl", "data/b.jsonl"]})}, {"mine": 5}),
    "a list": (
        {"mine.yaml": of(["data/a.jsonl", "data/b.jsonl"]).replace("test_split: test", "test_split: train")},
        {"mine": 5},
    ),
    "a pattern": ({"mine.yaml": of({"test": "data/*.jsonl"})}, {"mine": 5}),
    "a pattern of folders": ({"mine.yaml": of({"test": "**/b.jsonl"})}, {"mine": 2}),
    "an absolute name": ({"mine.yaml": of({"test": "HERE/data/a.jsonl"})}, {"mine": 3}),
    "a name from above": ({"deep/er/mine.yaml": of({"test": "../../data/a.jsonl"})}, {"mine": 3}),
    "a name from the repository's root": ({"deep/er/mine.yaml": of({"test": "data/a.jsonl"})}, {"mine": 3}),
    "a folder of data": (
        {
            "deep/mine.yaml": f"task: mine\ndataset_path: json\ndataset_kwargs: {{data_dir: set}}\n{CHOICE}",
            "deep/set/test.jsonl": rows(4),
        },
        {"mine": 4},
    ),
    "a local data set": (
        {"deep/mine.yaml": f"task: mine\ndataset_path: ./set\n{CHOICE}", "deep/set/test.jsonl": rows(4)},
        {"mine": 4},
    ),
    "a local data set beside the YAML": (
        {"deep/mine.yaml": f"task: mine\ndataset_path: set\n{CHOICE}", "deep/set/data/test.jsonl": rows(4)},
        {"mine": 4},
    ),
    "blank lines between": (
        {"mine.yaml": of({"test": "x.jsonl"}), "x.jsonl": rows(2) + "\n \n" + rows(1)},
        {"mine": 3},
    ),
    "one array under the name of lines": (
        {"mine.yaml": of({"test": "x.jsonl"}), "x.jsonl": f"[{','.join(rows(3).splitlines())}]"},
        {"mine": 3},
    ),
    "CSV": (
        {
            "mine.yaml": "task: mine\ndataset_path: csv\ndataset_kwargs: {data_files: {test: x.csv}}\n"
            + CHOICE.replace("choices", "['a', 'b']"),
            "x.csv": "question,answer\nQ,0\nP,1\n",
        },
        {"mine": 2},
    ),
    "data in a template": (
        {
            "deep/mine.yaml": "include: ../_base_yaml\ntask: mine\n",
            "_base_yaml": TEMPLATE + "dataset_kwargs: {data_files: {test: data/a.jsonl}}\n",
        },
        {"mine": 3},
    ),
    "nested and absolute templates": (
        {
            "deep/mine.yaml": "include: HERE/shared/_one\ntask: mine\n",
            "shared/_one": "include: ../_two\ndataset_kwargs: {data_files: {test: data/b.jsonl}}\n",
            "_two": TEMPLATE,
        },
        {"mine": 2},
    ),
    "several templates": (
        {
            "mine.yaml": "include: [_one, _two]\ntask: mine\n",
            "_one": "dataset_path: csv\ndataset_kwargs: {data_files: {test: data/a.jsonl}}\n",
            "_two": TEMPLATE,
        },
        {"mine": 3},
    ),
    "a tag": ({**PARTS}, {"some": {"one": 3, "two": 2}}),
    "a group": (
        {
            **PARTS,
            "all.yaml": "group: all\ntask: [one, two]\naggregate_metric_list: [{metric: acc, weight_by_size: true}]\n",
        },
        {"all": {"one": 3, "two": 2}},
    ),
    "a group of groups and tags": (
        {
            **PARTS,
            "top.yaml": "group: top\ntask: [others, {group: inner, task: [two]}, low]\n",
            "low.yaml": "group: low\ngroup_alias: L\ntask: [{task: one, num_fewshot: 2}]\n",
        },
        {"top": {"one": 3, "two": 2}},
    ),
    "a group with a task of its own": (
        {
            **PARTS,
            "top.yaml": "group: top\ntask:\n  - one\n  - task: within\n    dataset_path: json\n"
            "    dataset_kwargs: {data_files: {test: data/b.jsonl}}\n    " + CHOICE.strip().replace("\n", "\n    "),
        },
        {"top": {"one": 3, "top::within": 2}},
    ),
    "code beside the YAML": (
        {
            "mine.yaml": of({"test": "data/a.jsonl"}) + "process_docs: !function lib.parts.first\n",
            "lib/parts.py": "def first(docs):\n    return docs.select([0])\n",
        },
        {"mine": 1},
    ),
    "two tasks with equal names for other data": (
        {
            "x/one.yaml": of({"test": "rows.jsonl"}).replace("task: mine", "task: x_one\ntag: both"),
            "x/rows.jsonl": rows(1),
            "y/one.yaml": of({"test": "rows.jsonl"}).replace("task: mine", "task: y_one\ntag: both"),
            "y/rows.jsonl": rows(2),
        },
        {"both": {"x_one": 1, "y_one": 2}},
    ),
    "foreign YAML beside the task": (
        {
            "mine.yaml": of({"test": "data/a.jsonl"}),
            "values.yaml": "replicas: 3\n",
            "broken.yaml": "a: [\n",
            "manifests.yaml": "kind: Pod\n---\nkind: Job\n",
            "cloud.yaml": "bucket: !Ref Name\n",
            "list.yaml": "- task\n",
            "empty.yaml": "",
            "workflow.yaml": "task: {name: build}\n",
            "old.yaml": "task: another\ngroup: [x]\n",
            "lost.yaml": "include: nowhere.yaml\ntask: third\n",
        },
        {"mine": 3},
    ),
}


@pytest.fixture
def lm_eval_loads(monkeypatch, tmp_path):
    """How many questions real lm-eval finds for each member, given what check_task found."""
    monkeypatch.setattr(ConfigurableTask, "download", ConfigurableTask.download)  # put back after place()
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path.with_name(f"{tmp_path.name}-cache")))

    def load(task, include_path):
        monkeypatch.chdir("/")
        place(task.calls)
        loaded = TaskManager(include_path=include_path, include_defaults=False).load([task.name])["tasks"]
        return {name: len(one.eval_docs) for name, one in loaded.items()}

    return load


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_found_and_loads_in_lm_eval_with_the_same_members(tmp_path, shape, lm_eval_loads):
    files, asked = SHAPES[shape]
    written(tmp_path, DATA | files)
    ((name, found),) = asked.items()
    task = check_task(Settings(task=name, include_path=tmp_path))
    expected = found if isinstance(found, dict) else {name: found}
    assert set(task.members) == set(expected)
    assert lm_eval_loads(task, tmp_path) == expected
    assert (task.offline, task.remote, task.collection, task.content.gaps) == (True, (), False, ())


@pytest.mark.parametrize("folder", ["arc", "bbh", "gsm8k", "hellaswag", "ifeval", "mmlu", "mmlu_pro", "truthfulqa"])
def test_the_harness_own_collection_is_read_as_lm_eval_reads_it(folder):
    index = TaskIndex.build([PACKAGE / "tasks" / folder])
    catalogue = Catalogue(PACKAGE / "tasks" / folder)
    entries = {name: (entry.kind.name.lower(), entry.tags or set()) for name, entry in index.items()}
    assert set(catalogue._entries) == set(entries)
    for name, (kind, tags) in entries.items():
        assert catalogue._entries[name].kind == kind
        if kind == "tag":
            assert {member.name for member in catalogue.members(name)} == tags
    assert not catalogue.collection


SUBJECTS = ["biology", "business", "chemistry", "computer science", "economics", "engineering", "health", "history"]
SUBJECTS += ["law", "math", "other", "philosophy", "physics", "psychology"]
FOUR = {"question": "?", "choices": ["a", "b", "c", "d"], "answer": 2}
TEN = {"question": "?", "options": ["a", "b"], "answer": "A", "cot_content": "A: x"}
ENDINGS = {"ind": 1, "activity_label": "x", "ctx_a": "a", "ctx_b": "b", "endings": ["a", "b"], "label": "1"}
# folder, and how its YAML is left -> name, splits, rows, members
REAL = {
    "mmlu/default": ("mmlu_stem", "dev test", [FOUR], 5),
    "gsm8k": ("gsm8k", "train test", [{"question": "1+1?", "answer": "2 #### 2"}], 1),
    "hellaswag": ("hellaswag", "train validation", [ENDINGS], 1),
    "bbh/cot_zeroshot": ("bbh_cot_zeroshot", "test", [{"input": "a", "target": "b"}], 27),
    "mmlu_pro": ("mmlu_pro", "validation test", [{**TEN, "category": subject} for subject in SUBJECTS], 14),
}


@pytest.mark.parametrize("folder", REAL)
def test_a_real_task_with_ones_own_data(tmp_path, folder, lm_eval_loads):
    """YAML, templates and code as they are, but for where the data lies, and a few of mmlu's subjects."""
    name, splits, documents, count = REAL[folder]
    here, data = tmp_path / "here", tmp_path / "rows.jsonl"
    shutil.copytree(PACKAGE / "tasks" / folder, here, ignore=shutil.ignore_patterns("__pycache__"))
    data.write_text("".join(json.dumps(row) + "\n" for row in documents))
    for path in here.rglob("mmlu_*.yaml"):
        if not path.name.startswith(("mmlu_college_", "mmlu_pro")):
            path.unlink()
    named = json.dumps({"data_files": dict.fromkeys(splits.split(), "../rows.jsonl")})
    local = f"dataset_path: json\ndataset_kwargs: {named}\n"
    for path in here.rglob("*"):
        if path.is_file() and path.suffix != ".md" and "dataset_path:" in (text := path.read_text("utf-8")):
            kept = [line for line in text.splitlines() if not line.startswith("dataset_path")]
            path.write_text("\n".join(kept) + "\n" + local, "utf-8")
    task = check_task(Settings(task=name, include_path=here))
    found = lm_eval_loads(task, here)
    assert found == dict.fromkeys(task.members, 1)
    assert len(found) == count


NOT_READ = {
    "two files": (
        {"a.yaml": of({"test": "data/a.jsonl"}), "b/c.yaml": of({"test": "data/b.jsonl"})},
        ["a.yaml", "b/c.yaml"],
    ),
    "a member in two files": (
        {**PARTS, "three.yaml": PARTS["two.yaml"], "g.yaml": "group: mine\ntask: [one, two]\n"},
        ["three.yaml", "two.yaml"],
    ),
    "a .yml file": ({"mine.yml": of({"test": "data/a.jsonl"})}, ["mine.yml", ".yaml"]),
    "a broken file": ({"x.yaml": "task: mine\ndoc_to_text: [\n"}, ["x.yaml"]),
    "a template that is not there": ({"x.yaml": "include: _gone\ntask: mine\n"}, ["x.yaml", "_gone"]),
    "templates in a circle": ({"x.yaml": "include: _y\ntask: mine\n", "_y": "include: x.yaml\n"}, ["x.yaml"]),
    "a group in place of a tag": ({"x.yaml": "group: some\n" + of({"test": "data/a.jsonl"})}, ["x.yaml", "tag"]),
    "groups in place of tags": ({"x.yaml": "group: [some]\n" + of({"test": "data/a.jsonl"})}, ["x.yaml", "tag"]),
    "an empty group": ({"x.yaml": "group: mine\n"}, ["x.yaml"]),
    "a group in itself": ({"x.yaml": "group: mine\ntask: [{group: mine}]\n"}, ["mine > mine"]),
}


@pytest.mark.parametrize("kind", NOT_READ)
def test_what_lm_eval_would_not_read_is_refused_with_its_files(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(Catalogue, "_read_collection", lambda self: setattr(self, "collection", True))
    files, named = NOT_READ[kind]
    written(tmp_path, DATA | files)
    with pytest.raises(UnknownTask) as refused:
        check_task(Settings(task="mine", include_path=tmp_path))
    assert [name for name in named if name not in str(refused.value)] == []


BAD_DATA = {
    "no such file": (of({"test": ["data/a.jsonl", "gone.jsonl", "lost.jsonl"]}), ["gone.jsonl", "lost.jsonl"]),
    "no match": (of({"test": "data/*.json"}), ["data/*.json"]),
    "no data": ("task: mine\n" + CHOICE, ["dataset_path"]),
    "no file": ("task: mine\ndataset_path: json\n" + CHOICE, ["data_files"]),
    "no folder": ("task: mine\ndataset_path: ./gone\n" + CHOICE, ["./gone"]),
    "half a character": (of({"test": "half.jsonl"}), ["half.jsonl, line 2, field question"]),
    "no JSON": (of({"test": "torn.jsonl"}), ["torn.jsonl, line 1", "line 2"]),
    "equal choices": (of({"test": "equal.jsonl"}), ["equal.jsonl, line 1, field choices"]),
    "an answer outside": (of({"test": "outside.jsonl"}), ["line 1, field answer", "line 2, field answer"]),
    "nothing": (of({"test": "empty.jsonl"}), ["empty.jsonl"]),
}
BAD_ROWS = {
    "half.jsonl": rows(1) + '{"question": "\\ud83d", "choices": ["a", "b"], "answer": 0}\n',
    "torn.jsonl": "{\n{\n",
    "equal.jsonl": '{"question": "q", "choices": ["a", "a"], "answer": 0}\n',
    "outside.jsonl": '{"question": "q", "choices": ["a", "b"], "answer": 2}\n'
    '{"question": "p", "choices": ["a", "b"], "answer": "c"}\n',
    "empty.jsonl": "",
}


@pytest.mark.parametrize("kind", BAD_DATA)
def test_data_that_cannot_be_used_is_refused_with_file_line_and_field(tmp_path, kind):
    text, named = BAD_DATA[kind]
    written(tmp_path, DATA | BAD_ROWS | {"mine.yaml": text})
    with pytest.raises(InvalidDataset) as refused:
        check_task(Settings(task="mine", include_path=tmp_path))
    assert [name for name in named if name not in str(refused.value)] == []


SCIQ = of({"test": "data/a.jsonl"}).replace("choices\n", '"{{[right, wrong]}}"\n').replace("answer\n", "0\n")
SIDES = '{"right": "a", "wrong": "b", "question": "q", "answer": 1}\n'
LETTERS = of({"test": "data/a.jsonl"}).replace("choices\n", '["A", "B"]\n')
# what the load test would have been waited for: fault -> YAML, rows, what is told
LATE = {
    "a field that no row has": (SCIQ.replace("{{question}}", "{{frage}}"), SIDES, "doc_to_text: no row has 'frage'"),
    "a field that one row lacks": (SCIQ, SIDES + SIDES.replace("wrong", "worng"), "line 2, field wrong: is missing"),
    "a split that is not there": (SCIQ.replace("test_split: test", "test_split: validation"), SIDES, "no 'validation'"),
    "files without a split": (of("data/a.jsonl"), rows(1), "files without a split's name are `train`"),
    "no split": (SCIQ.replace("test_split: test\n", ""), SIDES, "field test_split"),
    "another kind": (SCIQ.replace("multiple_choice", "multiple-choice"), SIDES, "field output_type: 'multiple-choice'"),
    "an index outside a template's list": (SCIQ.replace("target: 0", "target: 2"), SIDES, "field doc_to_target: 2"),
    "indices counted from 1": (LETTERS, SIDES + SIDES.replace("1}", "2}"), "line 2, field doc_to_target: 2 is none"),
    "the same in a template": (LETTERS.replace("answer\n", '"{{answer}}"\n'), SIDES.replace("1}", '"2"}'), "line 1"),
    "a letter that is no choice": (LETTERS, SIDES.replace("1}", '"C"}'), "'C' is none of the 2 choices"),
    "choices by a template": (
        of({"test": "data/a.jsonl"}).replace("choices\n", '"{{choices}}"\n').replace("answer\n", '"{{answer}}"\n'),
        '{"question": "q", "choices": ["a", "a"], "answer": 0}\n', "line 1, field choices: two choices are 'a'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", LATE)
def test_a_yaml_that_does_not_fit_its_rows_is_refused_before_anything_is_asked(tmp_path, fault):
    text, data, told = LATE[fault]
    written(tmp_path, {"mine.yaml": text, "data/a.jsonl": data})
    with pytest.raises(InvalidDataset) as refused:
        check_task(Settings(task="mine", include_path=tmp_path))
    assert told in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        SCIQ,
        LETTERS,
        LETTERS.replace("answer\n", '"{{right|upper}}"\n'),
        SCIQ.replace("{{question}}", "{% if hint %}{{hint}}{% endif %}{{question}}"),
        SCIQ.replace("{{question}}", "{{hint|default('')}}{{question}}"),
        SCIQ.replace("{{question}}", "{{frage}}") + "process_docs: !function any.thing\n",
    ],
)
def test_a_yaml_that_fits_its_rows_is_taken(tmp_path, text):
    written(tmp_path, {"mine.yaml": text, "data/a.jsonl": SIDES, "any.py": "def thing(docs):\n    return docs\n"})
    assert check_task(Settings(task="mine", include_path=tmp_path)).members == ("mine",)


def test_rows_in_anybodys_format_are_left_to_lm_eval(tmp_path):
    others = '{"id": 1, "question": "q", "choices": {"text": ["a", "a"]}, "answer": "B"}\n'
    written(tmp_path, {"mine.yaml": of({"test": "mine.jsonl"}), "mine.jsonl": "\ufeff" + others + "\r\n"})
    assert check_task(Settings(task="mine", include_path=tmp_path)).questions is None


def test_data_elsewhere_is_downloaded_and_pinned_by_a_commit_only(tmp_path):
    commit = "a" * 40
    files = {
        "hub.yaml": f"task: hub\ntag: all\ndataset_path: org/data\n{CHOICE}",
        "web.yaml": of({"test": "https://example.org/x.jsonl"}).replace("mine", "web\ntag: all"),
        "mixed.yaml": of({"test": ["hf://datasets/org/x/y.jsonl", "data/a.jsonl"]}).replace("mine", "mixed"),
        "fixed.yaml": f"task: fixed\ndataset_path: org/data\ndataset_kwargs: {{revision: {commit}}}\n{CHOICE}",
        "file.yaml": of({"test": f"hf://datasets/org/x@{commit}/y.jsonl"}).replace("mine", "file"),
    }
    written(tmp_path, DATA | files)
    found = {name: check_task(Settings(task=name, include_path=tmp_path)) for name in ("all", "mixed", "fixed", "file")}
    assert found["all"].remote == ("hub", "web")
    assert [len(found[name].content.gaps) for name in found] == [2, 1, 0, 0]
    assert all(task.remote and task.offline for task in found.values())
    local = found["mixed"].calls["mixed"]["kwargs"]["data_files"]["test"]
    assert local == ["hf://datasets/org/x/y.jsonl", str(tmp_path / "data/a.jsonl")]


def test_a_group_may_take_tasks_of_the_harness_own_collection(tmp_path):
    written(tmp_path, {"g.yaml": "group: g\ntask: [gsm8k, {task: arc_easy, num_fewshot: 3}]\n"})
    task = check_task(Settings(task="g", include_path=tmp_path))
    assert (set(task.members), task.collection) == ({"gsm8k", "arc_easy"}, True)
    assert task.configs["arc_easy"]["num_fewshot"] == 3
    assert set(task.remote) == {"gsm8k", "arc_easy"}
    assert os.path.commonpath(task.content.files.values()) != str(tmp_path)
