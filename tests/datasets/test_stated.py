"""What a stage measures: a parameter that is given wins, what is `auto` stands in the use case."""

from __future__ import annotations

from contextlib import chdir

import pytest

from helpers import load_test
from helpers.datasets import stated
from helpers.datasets.making import make_use_case
from helpers.errors import InvalidDataset, InvalidParameter
from helpers.evaluation import lm_eval

AUTO = dict.fromkeys(("workload", "prompts", "scale", "api", "max_seconds", "min_requests", "slo_ttft_ms"), "auto")
TASK = dict.fromkeys(("task", "include_path", "api", "num_fewshot", "metric", "limit", "system_instruction"), "auto")


@pytest.fixture(autouse=True)
def here(tmp_path):
    """A folder of notebooks with the use case `mine`."""
    folder = make_use_case("mine", tmp_path / "datasets")
    file = folder / "use-case.yaml"
    text = file.read_text().replace("prompts: prompts.jsonl", "prompts: prompts.jsonl, min_requests: 20")
    file.write_text(text.replace("task: mine", "task: mine, num_fewshot: 2").replace("itl_ms: 50", "e2e_ms: 9000"))
    with chdir(tmp_path):
        yield folder


def workload(use_case="mine", name="chat", **given):
    return load_test.Settings(**stated.workload(use_case, name, **AUTO | given))


def asked(use_case="mine", name="knowledge", **given):
    return lm_eval.Settings(**stated.evaluation(use_case, name, **TASK | given))


def test_the_use_case_says_what_is_left_to_it():
    found = workload()
    assert (found.workload, found.prompts, found.min_requests) == ("prompts", "datasets/mine/prompts.jsonl", 20)
    assert found.slo.model_dump() == {"ttft_ms": 500, "itl_ms": None, "e2e_ms": 9000}
    found = asked()
    assert (found.task, str(found.include_path), found.num_fewshot) == ("mine", "datasets/mine", 2)


def test_what_is_given_wins():
    found = workload(prompts="other.txt", min_requests="30", slo_ttft_ms="0")
    assert (found.workload, found.prompts, found.min_requests) == ("prompts", "other.txt", 30)
    assert found.slo.model_dump() == {"ttft_ms": None, "itl_ms": None, "e2e_ms": 9000}
    found = asked(num_fewshot="0", limit="5", system_instruction="none")
    assert (found.task, found.num_fewshot, found.limit, found.system_instruction) == ("mine", 0, 5, "")


def test_another_workload_or_task_takes_over_nothing_that_was_said_of_the_first():
    found = workload(workload="rag")
    assert (found.workload_name, found.prompts, found.min_requests) == ("rag_512_64", "", 20)
    found = asked(task="arc_easy")
    assert (found.task, found.num_fewshot, str(found.include_path)) == ("arc_easy", None, "datasets/mine")


def test_a_name_that_the_use_case_does_not_have_is_refused_unless_the_values_are_given():
    with pytest.raises(InvalidDataset, match=r"mails.*chat"):
        workload(name="mails")
    assert "reasoning" in asked(name="reasoning").unwanted
    assert workload(name="mails", workload="rag").slo.ttft_ms == 500
    assert asked(name="reasoning", task="arc_easy").num_fewshot is None


def test_prompts_and_task_alone_need_no_use_case():
    found = workload("a-label", prompts="mails.txt")
    assert (found.workload, found.prompts, found.slo.ttft_ms) == ("prompts", "mails.txt", 500)
    assert workload("a-label", workload="chatbot").workload_name == "chatbot_64_32"
    assert asked("a-label", task="arc_easy").include_path is None
    assert (stated.label("a-label"), stated.task("a-label", "arc_easy")) == ("a-label", "arc_easy")
    for refused in (lambda: workload("a-label"), lambda: asked("a-label"), lambda: stated.task("a-label", "auto")):
        with pytest.raises(InvalidParameter, match="a-label"):
            refused()


def test_results_are_logged_under_the_use_cases_own_name_wherever_it_lies(here, tmp_path):
    elsewhere = tmp_path / "somewhere" / "else"
    elsewhere.parent.mkdir()
    here.rename(elsewhere)
    assert stated.label(str(elsewhere)) == "mine"
    assert stated.task(str(elsewhere), "auto") == "mine"
    with pytest.raises(InvalidDataset, match=r"use-case\.yaml"):
        stated.label("./nowhere")


def test_a_folder_that_was_copied_and_kept_its_name_is_refused(here):
    here.rename(here.with_name("theirs"))
    with pytest.raises(InvalidDataset, match=r"mine.*theirs"):
        stated.label("theirs")


OWN = "  formatting: {tier: format, evaluator: structured_output, data: formats.jsonl, max_tokens: 64}\n"


@pytest.fixture
def with_own_data(here):
    file = here / "use-case.yaml"
    text = file.read_text()
    file.write_text(text.replace("  knowledge:", f"{OWN}  knowledge:"))
    (here / "formats.jsonl").write_text("{}\n")


def test_an_evaluator_gets_its_rows_from_the_use_case(with_own_data):
    found = stated.asked("mine", "formatting", "structured_output", data="auto", max_tokens="auto", limit="5")
    assert found == {"data": "datasets/mine/formats.jsonl", "max_tokens": 64, "limit": "5"}


def test_what_the_use_case_does_not_name_is_not_wanted_unless_it_is_given(with_own_data):
    assert stated.asked("mine", "tools", "tool_calling", data="auto").keys() == {"unwanted"}
    assert stated.asked("mine", "tools", "tool_calling", data="mine.jsonl") == {"data": "mine.jsonl"}
    assert stated.asked("other", "tools", "tool_calling", data="auto").keys() == {"unwanted"}


@pytest.mark.parametrize(("name", "evaluator"), [("formatting", "tool_calling"), ("knowledge", "structured_output")])
def test_a_node_of_another_evaluator_is_refused(with_own_data, name, evaluator):
    with pytest.raises(InvalidDataset, match=name):
        stated.asked("mine", name, evaluator, data="auto")


def test_lm_eval_does_not_ask_what_another_evaluator_is_to_ask(with_own_data):
    with pytest.raises(InvalidDataset, match="structured_output"):
        stated.evaluation("mine", "formatting", **TASK)


def test_records_are_found_by_the_accuracy_whatever_stands_first(with_own_data):
    assert stated.task("mine", "auto") == "mine"
    assert stated.tasks("mine") == {"formatting": "formats", "knowledge": "mine"}
