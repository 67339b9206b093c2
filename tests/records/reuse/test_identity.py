"""What makes a result another one, each part by itself."""

from __future__ import annotations

import pytest

from helpers import load_test
from helpers.artifacts import Hardware
from helpers.evaluation import lm_eval
from helpers.evaluation.lm_eval.tasks import content
from helpers.records.reuse import identity
from tests.plugins.records import a_selection, an_endpoint

ENDPOINT = an_endpoint(a_selection())
OTHER_SERVERS = {
    "another model": {"digest": "sha256:" + "b" * 64},
    "another engine": {"engine": "sglang"},
    "another version of the engine": {"engine_version": "0.33.0"},
    "other engine arguments": {"engine_args": ("--dtype", "float32")},
    "values of two arguments swapped": {"engine_args": ("--seed", "2", "--swap-space", "1")},
    "another context length": {"max_model_len": 4096},
    "another KV cache": {"kv_cache_gib": 4},
    "other hardware": {"hardware": Hardware(type="H200", count=2)},
    "more hardware": {"hardware": Hardware(type="Xeon", count=4)},
}
SAME_SERVERS = {
    "another address": {"url": "http://other:1", "handle": "pod", "auth": "service-account", "target": "kserve"},
    "another name": {"model": "small"},
    "another start": {"startup_seconds": 2.0},
    "other memory to be seen": {"hardware": Hardware(type="Xeon", count=2, memory_gib=None)},
    "arguments in another order": {"engine_args": ("--swap-space", "2", "--seed", "1")},
}


def three(questions, changes):
    """The identities of a sweep, an evaluation and single answers on one server."""
    plain = {"engine_args": ("--seed", "1", "--swap-space", "2")}
    served = ENDPOINT.model_copy(update=plain | changes)
    load, task = load_test.Settings(), lm_eval.Settings(include_path=questions)
    return identity.of_sweep(load, served), of_evaluation(task, served), identity.of_answers(served)


@pytest.mark.parametrize("changes", OTHER_SERVERS.values(), ids=OTHER_SERVERS)
def test_what_is_served_on_what_is_part_of_every_identity(changes, questions):
    assert all(one != other for one, other in zip(three(questions, {}), three(questions, changes), strict=True))


@pytest.mark.parametrize("changes", SAME_SERVERS.values(), ids=SAME_SERVERS)
def test_where_it_is_served_and_under_which_name_is_none(changes, questions):
    assert three(questions, {}) == three(questions, changes)


def of_evaluation(settings, endpoint=ENDPOINT):
    return identity.of_evaluation(settings, endpoint, lm_eval.check_task(settings))


@pytest.mark.parametrize(
    "changes",
    [
        {"profile": "concurrent"},
        {"workload": "rag"},
        {"scale": 0.5},
        {"sweep_size": 6},
        {"max_concurrency": 8},
        {"max_seconds": 60},
        {"max_requests": 100},
        {"repeats": 5},
        {"warmup": 0},
        {"seed": 7},
        {"slo_ttft_ms": 200},
        {"slo_itl_ms": 20},
        {"slo_e2e_ms": 2000},
        {"error_limit": 0.05},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_every_parameter_of_the_load_makes_another_sweep(changes):
    assert identity.of_sweep(load_test.Settings(), ENDPOINT) != identity.of_sweep(
        load_test.Settings(**changes), ENDPOINT
    )


def test_prompts_count_by_what_they_say_and_not_by_where_they_lie(tmp_path):
    def sweep(name, text, **more):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        settings = load_test.Settings(workload="prompts", prompts=str(tmp_path / name), **more)
        return identity.of_sweep(settings, ENDPOINT)

    assert sweep("one/prompts.jsonl", "a") == sweep("two/others.jsonl", "a", workers=3)
    assert sweep("one/prompts.jsonl", "a") != sweep("one/prompts.jsonl", "b")


@pytest.mark.parametrize("changes", [{"num_fewshot": 2}, {"limit": 5}, {"seed": 1}], ids=lambda item: next(iter(item)))
def test_what_is_asked_makes_another_evaluation(changes, questions):
    plain = lm_eval.Settings(include_path=questions)
    assert of_evaluation(plain) != of_evaluation(plain.model_copy(update=changes))


def test_how_hard_the_server_is_pressed_and_the_confidence_do_not(questions):
    plain = lm_eval.Settings(include_path=questions)
    pressed = {
        "num_concurrent": 1,
        "batch_size": 1,
        "request_timeout": 9,
        "confidence": 0.9,
        "allow_partial": True,
        "ask_again": 5,
    }
    assert of_evaluation(plain) == of_evaluation(plain.model_copy(update=pressed))


@pytest.mark.parametrize("name", ["task.yaml", "questions.py", "ops_assistant.jsonl", "new.py"])
def test_every_file_that_makes_questions_or_score_is_part_of_the_evaluation(questions, name):
    plain = lm_eval.Settings(include_path=questions)
    before = of_evaluation(plain)
    (questions / "README.md").write_text("for people only\n")
    assert of_evaluation(plain) == before
    path = questions / name
    text = path.read_text() if path.exists() else ""
    path.write_text(text.removesuffix(text.splitlines()[-1] + "\n") if name.endswith("jsonl") else text + "# more\n")
    assert of_evaluation(plain) != before


def test_the_same_task_in_another_folder_is_the_same(questions, tmp_path):
    moved = questions.rename(tmp_path / "moved")
    before = of_evaluation(lm_eval.Settings(include_path=moved))
    assert before == of_evaluation(lm_eval.Settings(include_path=moved.rename(questions)))


@pytest.mark.parametrize("tool", ["guidellm", "lm_eval", "transformers", "tokenizers"])
def test_another_version_of_a_tool_measures_again(questions, monkeypatch, tool):
    before = three(questions, {})
    real = identity.version
    monkeypatch.setattr(identity, "version", lambda name: "99" if name == tool else real(name))
    same = [one == other for one, other in zip(before, three(questions, {}), strict=True)]
    assert same == ([False, True, True] if tool == "guidellm" else [True, False, False])


def test_another_tokenizer_answers_anew(tmp_path, questions):
    def with_tokenizer(text):
        (tmp_path / "tokenizer.json").write_text(text)
        served = an_endpoint(a_selection(), tokenizer=str(tmp_path))
        return of_evaluation(lm_eval.Settings(include_path=questions), served), identity.of_answers(served)

    first, second = with_tokenizer("{}"), with_tokenizer("[]")
    assert first[0] != second[0]
    assert first[1] != second[1]


PARTS = {
    "tasks/one.yaml": "include: ../shared/_default_template_yaml\ntask: one\ndoc_to_text: !function code.util.text\n",
    "tasks/code/util.py": "from pathlib import Path\ndef text(doc):\n    return Path(__file__).with_name('p.txt')\n",
    "tasks/code/p.txt": "Answer:",
    "tasks/templates/prompt.jinja": "{{question}}",
    "tasks/all.yaml": "group: all\ntask: [one]\naggregate_metric_list: [{metric: acc}]\n",
    "shared/_default_template_yaml": "include: _base\ndescription: Answer the question.\n",
    "shared/_base": "dataset_path: json\ndataset_kwargs: {data_files: {test: '../data/*.jsonl'}}\ntest_split: test\n",
    "data/a.jsonl": '{"question": "q"}\n',
}


@pytest.fixture
def parts(tmp_path):
    for name, text in PARTS.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize("name", [*PARTS, "data/b.jsonl", "tasks/new.txt"])
def test_whatever_a_task_is_made_of_is_part_of_its_identity_wherever_it_lies(parts, name):
    group = lm_eval.Settings(task="all", include_path=parts / "tasks")
    before, task = of_evaluation(group), lm_eval.check_task(group)
    assert before
    assert {path.resolve() for path in task.content.files.values()} == {parts / name for name in PARTS}
    path = parts / name
    comment = "# more\n" if "jsonl" not in name else '{"question": "r"}\n'
    path.write_text(path.read_text() + comment if path.exists() else comment)
    assert of_evaluation(group) not in ("", before)


@pytest.mark.parametrize("name", ["tasks/README.md", "tasks/.git/HEAD", "tasks/code/__pycache__/x.pyc", "other/x.txt"])
def test_what_no_task_is_made_of_is_not(parts, name):
    group = lm_eval.Settings(task="all", include_path=parts / "tasks")
    before = of_evaluation(group)
    (parts / name).parent.mkdir(exist_ok=True)
    (parts / name).write_text("x")
    assert of_evaluation(group) == before


def test_another_version_of_a_package_that_the_code_imports_is_another_task(parts, monkeypatch):
    settings = lm_eval.Settings(task="one", include_path=parts / "tasks")
    (parts / "tasks/code/util.py").write_text("import os.path, yaml, numpy.linalg\nimport code\n")
    before, real = of_evaluation(settings), content.version
    assert before
    monkeypatch.setattr(content, "version", lambda name: "99" if name.lower() == "pyyaml" else real(name))
    assert of_evaluation(settings) != before


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tasks/code/util.py", "import nobody_knows_this\n"),
        ("tasks/code/util.py", "import os\nroot = os.environ['ROOT']\n"),
        ("tasks/one.yaml", "task: one\ntest_split: test\ndataset_path: org/data\n"),
        ("tasks/one.yaml", "task: one\ntest_split: test\ndataset_path: org/data\ndataset_kwargs: {revision: main}\n"),
        (
            "tasks/one.yaml",
            "task: one\ntest_split: train\ndataset_path: json\ndataset_kwargs: {data_files: 'https://example.org/x'}\n",
        ),
        ("tasks/one.yaml", "include: ../shared/_base\ntask: one\nuse_prompt: promptsource:x\n"),
    ],
)
def test_a_task_of_which_not_everything_is_known_has_no_identity(parts, name, text):
    (parts / name).write_text(text)
    assert of_evaluation(lm_eval.Settings(task="one", include_path=parts / "tasks")) == ""


def test_data_of_a_commit_is_known(parts):
    fixed = f"task: one\ntest_split: test\ndataset_path: org/data\ndataset_kwargs: {{revision: {'a' * 40}}}\n"
    (parts / "tasks/one.yaml").write_text(fixed)
    assert of_evaluation(lm_eval.Settings(task="one", include_path=parts / "tasks"))
