"""Which metric is the score, and what guessing would reach, for tasks as lm-eval itself and others write them."""

from __future__ import annotations

import json
from pathlib import Path

import lm_eval
import pytest

from helpers.errors import NotMeasurable
from helpers.evaluation.samples import read_samples
from tests.plugins.records import KNOWLEDGE

LM_EVAL = Path(lm_eval.__file__).parent / "tasks"
CHOICES = [["red", "green", "blue", "grey"], ["yes", "no"], ["one", "two", "three", "four"]]


@pytest.fixture
def task(tmp_path, settings):
    """Write a task with its rows; returns its settings."""
    folder = tmp_path / "tasks"
    folder.mkdir()

    def make(name, yaml, rows, code="", **more):
        data = folder / f"{name}.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in rows))
        if code:
            (folder / "code.py").write_text(code)
        files = f"{{test: {data}, validation: {data}, train: {data}}}"
        (folder / f"{name}.yaml").write_text(
            f"task: {name}\ndataset_path: json\ndataset_name: null\ndataset_kwargs: {{data_files: {files}}}\n{yaml}"
        )
        return settings(**{"task": name, "include_path": folder} | more)

    return make


def question(body):
    return body["messages"][-1]["content"]


GSM8K = [
    {"question": f"What is {n} and one?", "answer": f"Add one to {n}, which may be 7.\n#### {n + 1}"}
    for n in range(3, 9)
]


@pytest.mark.parametrize(("metric", "right"), [("auto", 0), ("exact_match,flexible-extract", 6), ("exact_match", 0)])
def test_gsm8k_is_scored_by_its_first_filter_or_the_one_that_is_named(server, measure, task, metric, right):
    server.chat = lambda body: {"content": f"{int(question(body).split()[3]) + 1}"}  # right, without the ####
    found = measure(task("my_gsm8k", f"include: {LM_EVAL}/gsm8k/gsm8k.yaml\n", GSM8K, metric=metric, num_fewshot=2))
    assert found.metric == ("exact_match,flexible-extract" if right else "exact_match,strict-match")
    assert (found.correct, found.n, found.score_kind, found.api) == (right, 6, "proportion", "chat")
    assert found.unparsed == 6 - right
    samples = read_samples(measure.folder / KNOWLEDGE.samples, found.metric)
    assert [sample.status for sample in samples] == ["answered" if right else "unparsed"] * 6
    both = {"exact_match,strict-match": 0.0, "exact_match,flexible-extract": 1.0}
    asked = {found.metric: both[found.metric]} if "," in metric else both
    assert all(sample.scores == asked for sample in samples), "each filter has its score"


def test_the_number_of_worked_examples_is_the_yamls_own(server, measure, task):
    server.chat = lambda body: {"content": "4"}
    found = measure(task("my_gsm8k", f"include: {LM_EVAL}/gsm8k/gsm8k.yaml\n", GSM8K))
    assert found.num_fewshot == 5
    assert len(server.chats[0]["messages"]) == 2 * 5 + 1


def test_mmlu_pro_knows_what_guessing_scores_from_its_options(server, measure, task):
    rows = [
        {
            "question": f"Which is {n}?", "options": [str(k) for k in range(count)], "answer": "A", "category": "law",
            "cot_content": "A: Let's think step by step. The answer is (A).",
        }
        for n, count in enumerate((10, 10, 5))
    ]  # fmt: skip
    server.chat = lambda body: {"content": "Hm. The answer is (A)."}
    found = measure(task("my_pro", f"include: {LM_EVAL}/mmlu_pro/_default_template_yaml\n", rows, num_fewshot=1))
    assert (found.correct, found.n) == (3, 3)
    assert found.chance == pytest.approx((0.1 + 0.1 + 0.2) / 3)


def test_truthfulqa_takes_the_first_metric_that_stays_between_0_and_1(server, measure, task):
    rows = [
        {"question": f"What is {n}?", "correct_answers": ["It is a number", "A count"], "incorrect_answers": ["A cow"]}
        for n in range(4)
    ]
    server.chat = lambda body: {"content": "It is a number."}
    yaml = f"include: {LM_EVAL}/truthfulqa/truthfulqa_gen.yaml\n"
    found = measure(task("my_truth", yaml, rows))
    assert (found.metric, found.score_kind, found.n, found.num_fewshot) == ("bleu_acc", "proportion", 4, 0)
    asked = len(server.chats)
    with pytest.raises(NotMeasurable, match="bleu_max"):
        measure(task("my_truth", yaml, rows, metric="bleu_max"))
    assert len(server.chats) == asked


IFEVAL = """
output_type: generate_until
test_split: test
num_fewshot: 0
doc_to_text: prompt
doc_to_target: 0
process_results: !function code.check
metric_list:
  - {metric: inst_level_strict_acc, aggregation: !function code.flat, higher_is_better: true}
  - {metric: prompt_level_strict_acc, aggregation: mean, higher_is_better: true}
"""
CHECK = """
def check(doc, results):
    found = [word in results[0] for word in doc["words"]]
    return {"prompt_level_strict_acc": all(found), "inst_level_strict_acc": found}

def flat(items):
    return sum(map(sum, items)) / sum(map(len, items))
"""


def test_ifeval_is_scored_by_prompt_as_its_instructions_are_lists(server, measure, task):
    rows = [{"prompt": f"Say {n} and 4", "words": [str(n), "4"]} for n in range(4)]
    server.chat = lambda body: {"content": "2 and 4"}
    found = measure(task("my_ifeval", IFEVAL, rows, CHECK))
    assert (found.metric, found.correct, found.n, found.chance) == ("prompt_level_strict_acc", 1, 4, None)


MEAN = """
output_type: generate_until
test_split: test
doc_to_text: prompt
doc_to_target: ""
process_results: !function code.score
metric_list: [{metric: overlap, aggregation: mean, higher_is_better: true}]
"""
SCORE = """
def score(doc, results):
    return {"overlap": float(results[0]) if results[0] else 0.0}
"""


def test_a_mean_of_scores_has_an_interval_and_no_right_answers(server, measure, task):
    server.chat = lambda body: {"content": f"0.{question(body).split()[1]}"}
    found = measure(task("my_mean", MEAN, [{"prompt": f"Say {n}"} for n in range(1, 9)], SCORE))
    assert (found.score_kind, found.correct) == ("mean", None)
    assert found.score == pytest.approx(0.45)
    assert found.interval.low < 0.45 < found.interval.high


def test_a_score_that_leaves_its_range_is_refused_by_name_and_its_answers_are_kept(server, measure, task):
    server.chat = lambda body: {"content": question(body).split()[1]}
    settings = task("my_mean", MEAN, [{"prompt": f"Say {n}"} for n in range(4)], SCORE)
    for _ in range(2):
        with pytest.raises(NotMeasurable, match="overlap"):
            measure(settings)
    assert len(server.chats) == 4


PERPLEXITY = """
output_type: loglikelihood_rolling
test_split: test
doc_to_text: ""
doc_to_target: text
metric_list: [{metric: word_perplexity}, {metric: byte_perplexity}]
"""
BLEU = """
output_type: generate_until
test_split: test
doc_to_text: text
doc_to_target: text
metric_list: [{metric: bleu}, {metric: ter}]
"""
WORSE = MEAN.replace("higher_is_better: true", "higher_is_better: false")


@pytest.mark.parametrize(
    ("yaml", "code"), [(PERPLEXITY, ""), (BLEU, ""), (WORSE, SCORE)], ids=["perplexity", "bleu", "lower-is-better"]
)
def test_what_scores_no_single_question_is_refused_before_any_is_asked(server, measure, task, yaml, code):
    server.chat = lambda body: {"content": "1"}
    with pytest.raises(NotMeasurable):
        measure(task("my_whole", yaml, [{"text": "one two", "prompt": "Say 1"}], code))
    assert (server.prompts, server.chats) == ([], [])


CHOICE = """
output_type: multiple_choice
test_split: test
doc_to_text: "{{q}}"
doc_to_choice: choices
doc_to_target: 0
metric_list: [{metric: acc}, {metric: acc_norm}]
"""
ROWS = [{"q": f"What {n}?", "choices": choices} for n, choices in enumerate(CHOICES)]


def test_chance_is_the_mean_of_one_in_the_number_of_choices(measure, task):
    found = measure(task("my_choice", CHOICE, ROWS))
    assert found.chance == pytest.approx((1 / 4 + 1 / 2 + 1 / 4) / 3)
    assert (found.metric, found.api, found.trial) == ("acc", "completions", False)
    assert measure(task("my_choice", CHOICE, ROWS, metric="acc_norm")).metric == "acc_norm"


def test_questions_of_one_topic_widen_the_interval_where_the_yaml_names_the_field(measure, task):
    rows = [{**ROWS[0], "q": f"What {n}?", "topic": f"t{n // 3}"} for n in range(12)]
    alone = measure(task("my_choice", CHOICE, rows))
    found = measure(task("my_choice", CHOICE + "metadata: {cluster: topic}\n", rows))
    assert (alone.clusters, alone.design_effect) == (0, 1.0)
    assert found.clusters == 4
    assert found.design_effect >= 1
    logged = read_samples(measure.folder / KNOWLEDGE.samples, "acc")
    assert {sample.cluster for sample in logged} == {"t0", "t1", "t2", "t3"}


def test_what_the_yaml_says_of_guessing_wins_and_a_limit_makes_a_trial(measure, task):
    found = measure(task("my_choice", CHOICE + "metadata: {chance: 0.6}\n", ROWS, limit=2))
    assert (found.chance, found.limit, found.trial, found.total) == (0.6, 2, True, 2)
    whole = measure(task("my_choice", CHOICE, ROWS, limit=10_000))
    assert (whole.limit, whole.trial) == (0, False), "no question is left out"


def test_several_tasks_are_one_score_over_all_their_questions(measure, task, settings):
    task("first", CHOICE, ROWS)
    made = task("second", CHOICE + "metadata: {chance: 0.1}\n", [ROWS[1]])
    (made.include_path / "both.yaml").write_text("group: both\ntask: [first, second]\n")
    found = measure(settings(task="both", include_path=made.include_path))
    assert (found.n, found.total) == (4, 4)
    assert found.chance == pytest.approx((0.25 + 0.5 + 0.25 + 0.1) / 4)
    samples = read_samples(measure.folder / KNOWLEDGE.samples, found.metric)
    assert {sample.id.split("/")[0] for sample in samples} == {"first", "second"}


def test_a_group_whose_tasks_share_no_metric_is_refused_with_each_ones_own(server, measure, task, settings):
    task("first", CHOICE, ROWS)
    made = task("second", CHOICE.split("metric_list")[0] + "metric_list: [{metric: f1}]\n", ROWS)
    (made.include_path / "both.yaml").write_text("group: both\ntask: [first, second]\n")
    with pytest.raises(NotMeasurable, match=r"first: acc, acc_norm; second: f1"):
        measure(settings(task="both", include_path=made.include_path))
    assert server.prompts == []


def test_an_unknown_metric_is_refused_before_any_question(server, measure, task):
    with pytest.raises(NotMeasurable, match="acc_norm"):
        measure(task("my_choice", CHOICE, ROWS, metric="f1"))
    assert server.prompts == []
