"""Generated answers through chat: what is asked, what is kept of an answer, and what is no answer."""

from __future__ import annotations

import json
import textwrap
from collections import Counter

import pytest

from helpers.errors import EmptyAnswers, EndpointUnreachable, IncompleteCoverage, InvalidParameter, NotMeasurable
from helpers.evaluation.journal import greedy
from helpers.evaluation.lm_eval import Settings
from helpers.evaluation.lm_eval.offered import GENERATED, SCORED, choose, measurable
from helpers.evaluation.samples import read_samples
from helpers.evaluation.told import summary
from helpers.serving.offers import offers
from tests.plugins.records import KNOWLEDGE

ASKED = 6
TASK = """
task: sums
dataset_path: json
dataset_kwargs: {data_files: {test: FOLDER/sums.jsonl, validation: FOLDER/shots.jsonl}}
test_split: test
fewshot_split: validation
fewshot_config: {sampler: first_n}
output_type: generate_until
num_fewshot: 2
doc_to_text: "What is {{question}}?"
doc_to_target: answer
generation_kwargs: {until: [], max_gen_toks: 64, temperature: 0.0}
filter_list:
  - name: number
    filter: [{function: regex, regex_pattern: "(-?[0-9]+)", group_select: -1}, {function: take_first}]
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""


def rows(start, count):
    return "".join(
        json.dumps({"question": f"{n} + 1", "answer": str(n + 1)}) + "\n" for n in range(start, start + count)
    )


@pytest.fixture
def sums(tmp_path, settings):
    """A folder with a generative task; call it with changes to the YAML for its settings."""
    folder = tmp_path / "sums"
    folder.mkdir()
    (folder / "sums.jsonl").write_text(rows(10, ASKED))
    (folder / "shots.jsonl").write_text(rows(1, 3))

    def make(yaml="", **more):
        (folder / "sums.yaml").write_text(TASK.replace("FOLDER", str(folder)) + textwrap.dedent(yaml))
        return settings(**{"task": "sums", "include_path": folder} | more)

    return make


def asked(body):
    """The number that the last question is about."""
    return int(body["messages"][-1]["content"].split()[2])


def samples(measure):
    return read_samples(measure.folder / KNOWLEDGE.samples, "exact_match")


@pytest.fixture
def right(server):
    """Let the server know how to add."""
    server.chat = lambda body: {"content": f"It is {asked(body) + 1}"}
    return server


def test_a_generative_task_goes_through_chat_with_worked_examples_as_turns(right, measure, sums):
    found = measure(sums(system_instruction="You add numbers."))
    assert (found.api, found.n, found.correct, found.total, found.num_fewshot) == ("chat", ASKED, ASKED, ASKED, 2)
    assert right.prompts == []
    roles = [message["role"] for message in right.chats[0]["messages"]]
    assert roles == ["system", "user", "assistant", "user", "assistant", "user"]
    assert right.chats[0]["messages"][0]["content"] == "You add numbers."
    assert right.chats[0]["max_tokens"] == 64
    assert "stop" not in right.chats[0]


def test_settings_of_the_user_win_over_the_tasks(right, measure, sums):
    given = {"num_fewshot": 1, "fewshot_as_multiturn": False}
    found = measure(sums(**given, gen_kwargs="max_gen_toks=9,top_p=0.5,chat_template_kwargs.enable_thinking=false"))
    body = right.chats[0]
    assert found.num_fewshot == 1
    assert [message["role"] for message in body["messages"]] == ["user"]
    assert (body["max_tokens"], body["top_p"], body["chat_template_kwargs"]) == (9, 0.5, {"enable_thinking": False})


def test_do_sample_alone_asks_for_the_likeliest_answer_and_a_temperature_samples(right, measure, sums):
    measure(sums(gen_kwargs="do_sample=true"))
    measure(sums(gen_kwargs="do_sample=true,temperature=0.5"))
    assert [body["temperature"] for body in right.chats[::ASKED]] == [0, 0.5]
    assert not any("do_sample" in body for body in right.chats)
    assert greedy(["x", {"do_sample": True}])
    assert not greedy(["x", {"temperature": 0.5}])


def test_each_answer_is_kept_with_what_the_server_says_of_it(server, measure, sums):
    server.chat = lambda body: {"content": f"{asked(body) + 1}", "reasoning_content": "I count."}
    measure(sums())
    sample = samples(measure)[0]
    [reply] = sample.replies.values()
    assert (reply["text"], sample.prompt.count("assistant"), sample.latency_seconds) == ("11", 2, reply["seconds"])
    assert (reply["finish_reason"], reply["reasoning"]) == ("stop", "I count.")
    assert reply["usage"]["completion_tokens"] == 3
    assert reply["seconds"] > 0
    assert (sample.score, sample.status, sample.input) == (1.0, "answered", "10 + 1")


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({"content": None, "reasoning_content": "hm", "finish_reason": "length"}, "empty"),
        ({"content": " \n"}, "empty"),
        ({"content": "<think>So it is 11, or", "finish_reason": "length"}, "empty"),
        ({"content": "It is 99, or rather", "finish_reason": "length"}, "truncated"),
    ],
    ids=["null", "blank", "only-thinks", "cut-off"],
)
def test_what_is_no_answer_is_no_wrong_one(server, measure, sums, answer, status):
    server.chat = lambda body: answer if asked(body) == 12 else {"content": f"{asked(body) + 1}"}
    found = measure(sums())
    assert (found.n, found.correct, found.total, found.failed) == (ASKED - 1, ASKED - 1, ASKED, 0)
    assert getattr(found, status) == 1
    assert found.empty + found.truncated == 1
    assert found.as_lm_eval == pytest.approx((ASKED - 1) / ASKED)  # which counts it as wrong
    [sample] = [sample for sample in samples(measure) if sample.status != "answered"]
    assert (sample.status, sample.scores) == (status, {})
    assert status in sample.why


def test_a_thought_before_the_answer_is_not_the_answer(server, measure, sums):
    server.chat = lambda body: {"content": f"<think>Not 7.</think>\n{asked(body) + 1}"}
    found = measure(sums())
    assert (found.correct, found.as_lm_eval) == (ASKED, None)
    assert next(iter(samples(measure)[0].replies.values()))["reasoning"] == "<think>Not 7."


@pytest.mark.parametrize("reason", ["stop", "length"])
def test_a_run_of_empty_answers_is_an_alarm(server, measure, sums, reason):
    server.chat = lambda body: {"content": None if reason == "stop" else "1", "finish_reason": reason}
    with pytest.raises(EmptyAnswers):
        measure(sums())
    with pytest.raises(EmptyAnswers):
        measure(sums(allow_partial=True))
    server.chat = lambda body: {"content": f"{asked(body) + 1}"} if asked(body) < 12 else {"content": ""}
    with pytest.raises(EmptyAnswers):
        measure(sums(gen_kwargs="max_gen_toks=65"))
    found = measure(sums(gen_kwargs="max_gen_toks=65", allow_partial=True))
    assert (found.n, found.empty) == (2, ASKED - 2)


def test_a_text_without_the_answer_is_wrong_and_counted(server, measure, sums):
    server.chat = lambda body: {"content": "Who knows?" if asked(body) == 11 else f"{asked(body) + 1}"}
    found = measure(sums())
    assert (found.correct, found.n, found.unparsed) == (ASKED - 1, ASKED, 1)


def test_a_chat_goes_on_from_what_was_answered(right, measure, sums):
    right.dies_after = 2
    with pytest.raises(EndpointUnreachable):
        measure(sums(num_concurrent=1))
    assert len((measure.folder / KNOWLEDGE.journal).read_text().splitlines()) == 1 + 2
    right.dies_after = None
    right.chats.clear()
    found = measure(sums())
    assert len(right.chats) == ASKED - 2
    assert (found.correct, found.settings["answers_reused"]) == (ASKED, 2)


def test_a_failed_request_is_counted_apart(right, measure, sums):
    answers = right.chat
    right.chat = lambda body: 400 if asked(body) == 13 else answers(body)
    with pytest.raises(IncompleteCoverage):
        measure(sums())
    found = measure(sums(allow_partial=True))
    assert (found.n, found.failed, found.empty) == (ASKED - 1, 1, 0)


def changing(server, wrong=(), reworded=()):
    """A server that answers some questions otherwise when they are asked a second time."""
    seen = Counter()

    def answer(body):
        seen[asked(body)] += 1
        again, right = seen[asked(body)] > 1, f"{asked(body) + 1}"
        words = "So it is " if again and asked(body) in reworded else ""
        return {"content": "99" if again and asked(body) in wrong else words + right}

    server.chat = answer


def test_questions_are_asked_again_and_what_changes_is_counted(server, measure, sums):
    changing(server, wrong=[11], reworded=[12])
    found = measure(sums(ask_again=3))
    assert len(server.chats) == ASKED + 3
    assert (found.n, found.correct) == (ASKED, ASKED), "the first answer is the one that counts"
    assert found.again.model_dump() == {"asked": 3, "flips": 1, "reworded": 2}
    assert "3 questions were asked again: 1" in summary(found)


def test_the_same_worked_examples_stand_before_a_question_that_is_asked_again(right, measure, sums):
    measure(sums("fewshot_config: {}", ask_again=ASKED, num_fewshot=2, num_concurrent=1))
    prompts = [json.dumps(body["messages"]) for body in right.chats]
    assert len(prompts) == 2 * ASKED
    assert sorted(prompts[:ASKED]) == sorted(prompts[ASKED:])


def test_more_questions_than_there_are_and_a_trial_ask_each_twice_at_most(right, measure, sums):
    assert measure(sums(ask_again=99)).again.asked == ASKED
    assert measure(sums(ask_again=99, limit=2)).again.asked == 2


def test_sampled_answers_and_none_at_all_are_not_asked_again(right, measure, sums):
    assert measure(sums(SAMPLED, ask_again=3)).again is None
    assert measure(sums()).again is None


SAMPLED = """
repeats: 3
generation_kwargs: {until: [], temperature: 0.9}
"""


def test_repeats_are_samples_of_their_own_and_not_taken_for_one_another(right, measure, sums):
    measure(sums(SAMPLED))
    assert len(right.chats) == 3 * ASKED
    seeds = {}
    for body in right.chats:
        seeds.setdefault(asked(body), set()).add(body["seed"])
    assert {len(found) for found in seeds.values()} == {3}


def test_an_interrupted_run_of_samples_goes_on_with_those_that_lack(right, measure, sums):
    right.dies_after = 5
    with pytest.raises(EndpointUnreachable):
        measure(sums(SAMPLED, num_concurrent=1))
    asked_before = {(asked(body), body["seed"]) for body in right.chats}
    right.dies_after = None
    right.chats.clear()
    measure(sums(SAMPLED))
    asked_after = {(asked(body), body["seed"]) for body in right.chats}
    assert len(asked_before) == 5
    assert asked_before.isdisjoint(asked_after)
    assert len(asked_after) == 3 * ASKED - 5


def test_the_newer_name_of_the_limit_is_used_where_the_server_insists(right, measure, sums):
    answers = right.chat
    right.chat = lambda body: "Use 'max_completion_tokens' instead." if "max_tokens" in body else answers(body)
    assert measure(sums(num_concurrent=1)).correct == ASKED
    assert sum("max_tokens" in body for body in right.chats) == 1


def test_chat_needs_no_tokenizer(right, measure, sums, endpoint):
    assert measure(sums(), endpoint(tokenizer="")).n == ASKED


def test_a_begun_answer_is_continued(right, measure, sums):
    right.chat = lambda body: {"content": "99"}
    measure(sums("gen_prefix: 'It is'"))
    body = right.chats[0]
    assert (body["messages"][-1]["role"], body["continue_final_message"]) == ("assistant", True)
    assert not body["add_generation_prompt"]


def test_completions_take_a_generative_task_too(server, measure, sums):
    server.text = lambda body: f" {int(body['prompt'][0].rsplit(' + ', 1)[0].rsplit(' ', 1)[1]) + 1}"
    found = measure(sums(api="completions"))
    assert (found.api, found.correct, found.n) == ("completions", ASKED, ASKED)
    assert server.chats == []


def test_what_a_server_offers_decides_before_anything_is_asked(server, measure, sums, settings, endpoint):
    server.chat = lambda body: {"content": "1"}
    server.without_logprobs = True
    found = offers(endpoint())
    assert (found.chat, found.completions, bool(found.logprobs)) == ("", "", True)
    measure.offers = found
    server.chats.clear()
    with pytest.raises(NotMeasurable):
        measure(settings())
    assert (server.prompts, server.chats) == ([], [])
    assert measurable(found.model_dump()) == GENERATED


NOTHING = {"chat": "no", "completions": "no", "logprobs": "no"}
ALL = dict.fromkeys(NOTHING, "")


@pytest.mark.parametrize(
    ("wanted", "kinds", "lacks", "api"),
    [
        ("auto", {"generate_until"}, "", "chat"),
        ("auto", {"generate_until"}, "chat", "completions"),
        ("auto", {"generate_until"}, "logprobs", "chat"),
        ("completions", {"generate_until"}, "logprobs", "completions"),
        ("auto", {"multiple_choice"}, "chat", "completions"),
        ("auto", {"multiple_choice"}, "logprobs", None),
        ("auto", {"loglikelihood"}, "completions", None),
        ("auto", {"multiple_choice", "generate_until"}, "", "completions"),
        ("auto", {"multiple_choice", "generate_until"}, "logprobs", None),
        ("chat", {"multiple_choice"}, "", None),
        ("chat", {"generate_until"}, "chat", None),
        ("completions", {"generate_until"}, "completions", None),
    ],
)
def test_the_api_follows_from_the_task_and_the_server(wanted, kinds, lacks, api):
    offered = ALL | ({lacks: "no"} if lacks else {})
    if api:
        assert choose("task", wanted, kinds, offered, "http://server") == api
    else:
        with pytest.raises(NotMeasurable):
            choose("task", wanted, kinds, offered, "http://server")


def test_what_can_be_measured_is_named_by_kind():
    assert measurable(ALL) == f"{GENERATED}, {SCORED}"
    assert measurable(ALL | {"logprobs": "no"}) == GENERATED
    assert GENERATED not in measurable(NOTHING)
    assert SCORED not in measurable(NOTHING)


@pytest.mark.parametrize(
    "bad",
    [{"gen_kwargs": "temperature"}, {"gen_kwargs": "=1"}, {"api": "rest"}, {"metric": "a b"}, {"num_fewshot": "x"}],
)
def test_settings_that_mean_nothing_are_refused(bad):
    with pytest.raises(InvalidParameter, match=next(iter(bad)).upper()):
        Settings(**bad)


def test_words_for_nothing_are_nothing():
    found = Settings(num_fewshot="auto", system_instruction="none", gen_kwargs="none")
    assert (found.num_fewshot, found.system_instruction, found.generation) == (None, "", {})
    assert Settings(gen_kwargs="temperature=0.7,do_sample=True,until=x").generation == {
        "temperature": 0.7, "do_sample": True, "until": "x"
    }  # fmt: skip
