"""What the stage does when the server answers, refuses or dies; the child runs in this process where that will do."""

from __future__ import annotations

import json

import pytest
from tokenizers import Tokenizer

from helpers.errors import EndpointUnreachable, EvaluationFailed, IncompleteCoverage, InvalidDataset, NotMeasurable
from helpers.evaluation.samples import read_samples
from tests.plugins.records import KNOWLEDGE

CHOICES = 4


def one_choice_of(server, measure):
    """A prompt that the server was asked, for it to refuse from now on."""
    measure()
    prompt = server.prompts[5]
    server.prompts.clear()
    return prompt


def test_every_question_is_asked_once_per_choice_and_scored(server, measure):
    evaluation = measure()
    assert (evaluation.n, evaluation.failed, evaluation.total) == (10, 0, 10)
    assert len(server.prompts) == 10 * CHOICES
    assert evaluation.score == evaluation.correct / 10
    assert evaluation.interval.low < evaluation.score < evaluation.interval.high
    assert evaluation.metric == "acc"
    assert evaluation.versions["lm_eval"]
    assert evaluation.request_seconds > 0
    samples = read_samples(measure.folder / KNOWLEDGE.samples, "acc")
    assert sum(sample.score for sample in samples) == evaluation.correct
    assert (
        json.loads((measure.folder / KNOWLEDGE.results).read_text())["results"]["ops_assistant"]["acc,none"]
        == evaluation.score
    )


def test_the_score_is_the_same_however_hard_the_server_is_pressed(measure, settings):
    scores = {measure(settings(num_concurrent=n, batch_size=size)).correct for n, size in ((1, 1), (4, 1), (3, 7))}
    assert len(scores) == 1


def test_a_complete_run_leaves_no_answers_behind_so_that_the_next_one_measures(server, measure):
    measure()
    assert not (measure.folder / KNOWLEDGE.journal).exists()
    server.prompts.clear()
    measure()
    assert len(server.prompts) == 10 * CHOICES


def test_a_refused_question_is_not_a_wrong_answer(server, measure, settings):
    bad = one_choice_of(server, measure)
    server.refuse = lambda tokens: 400 if tokens == bad else None
    with pytest.raises(IncompleteCoverage, match=r"1 of 10 questions .* HTTP 400"):
        measure()
    partial = measure(settings(allow_partial=True))
    assert (partial.n, partial.failed, partial.total) == (9, 1, 10)
    assert json.loads((measure.folder / KNOWLEDGE.results).read_text())["results"] == {}, (
        "lm-eval's own mean counts it as wrong"
    )


def test_running_again_asks_only_what_has_no_answer(server, measure):
    whole = measure()
    bad = server.prompts[5]
    server.refuse = lambda tokens: 400 if tokens == bad else None
    with pytest.raises(IncompleteCoverage):
        measure()
    server.refuse = lambda tokens: None
    server.prompts.clear()
    again = measure()
    assert server.prompts == [bad]
    assert again.correct == whole.correct
    assert again.settings["answers_reused"] == 10 * CHOICES - 1


def test_another_models_answers_are_never_taken(server, measure, endpoint, settings):
    bad = one_choice_of(server, measure)
    server.refuse = lambda tokens: 400 if tokens == bad else None
    with pytest.raises(IncompleteCoverage):
        measure()
    server.prompts.clear()
    measure(settings(allow_partial=True), endpoint(digest="sha256:" + "b" * 64))
    assert len(server.prompts) == 10 * CHOICES - 1


def test_a_passing_fault_is_asked_again(server, measure, settings):
    seen = set()

    def once(tokens):
        return None if tokens in seen else seen.add(tokens) or 503

    server.refuse = once
    evaluation = measure(settings(batch_size=1, num_concurrent=40))
    assert evaluation.failed == 0


def test_a_server_that_dies_midway_is_named_and_the_answers_so_far_are_kept(server, measure, settings):
    one = settings(num_concurrent=1)  # more in flight: what was answered and not read yet is lost
    whole = measure()
    server.prompts.clear()
    server.dies_after = 16
    with pytest.raises(EndpointUnreachable, match="stopped answering") as failure:
        measure(one)
    assert server.url in str(failure.value)
    assert "run this stage again" in failure.value.do
    assert len((measure.folder / KNOWLEDGE.journal).read_text().splitlines()) == 1 + 16
    server.dies_after = None
    server.prompts.clear()
    assert measure().correct == whole.correct
    assert len(server.prompts) == 10 * CHOICES - 16


def test_a_torn_last_line_costs_one_answer(server, measure, settings):
    server.dies_after = 16
    with pytest.raises(EndpointUnreachable):
        measure(settings(num_concurrent=1))
    journal = measure.folder / KNOWLEDGE.journal
    journal.write_bytes(journal.read_bytes()[:-7])
    server.dies_after = None
    server.prompts.clear()
    measure()
    assert len(server.prompts) == 10 * CHOICES - 15


def test_no_server_at_all(measure, endpoint, settings):
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(EndpointUnreachable, match=url):
            measure(settings(), endpoint(url=url))


def test_a_wrong_key_is_said_at_once(server, measure, monkeypatch):
    server.key = "right"
    monkeypatch.setenv("ENDPOINT_API_KEY", "wrong-key")
    with pytest.raises(EndpointUnreachable, match="ENDPOINT_API_KEY") as failure:
        measure()
    assert "wrong-key" not in str(failure.value)
    assert server.prompts == []


def test_a_prompt_longer_than_the_context_is_not_cut_short(server, measure, endpoint, settings, questions):
    path = questions / "ops_assistant.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[3]["question"] += " And then?" * 60
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(IncompleteCoverage, match=r"1 of 10 .* does not fit the model's context of 512"):
        measure(settings(), endpoint(max_model_len=512))
    assert max(len(prompt) for prompt in server.prompts) < 512


def test_a_server_without_log_probabilities_is_no_model_with_a_score_of_zero(server, measure, settings):
    server.without_logprobs = True
    with pytest.raises(EvaluationFailed, match="None of the 10 questions"):
        measure(settings(allow_partial=True))


def test_an_answer_without_log_probabilities_in_the_middle_is_named(server, measure):
    bad = one_choice_of(server, measure)
    server.loses = bad
    with pytest.raises(
        IncompleteCoverage, match=r"1 of 10 questions .* holds no log-probabilities of the prompt"
    ) as told:
        measure()
    assert "NoneType" not in str(told.value)
    server.loses = None
    server.prompts.clear()
    assert measure().failed == 0
    assert server.prompts == [bad]


def test_the_server_tokenizes_where_nobody_has_its_tokenizer(server, measure, settings, endpoint, tokenizer, tmp_path):
    known = measure(settings())
    asked = sorted(server.prompts)
    (tmp_path / "artifacts" / KNOWLEDGE.journal).unlink(missing_ok=True)
    server.prompts.clear()
    server.tokenizer = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    found = measure(settings(), endpoint(tokenizer=""))
    assert (found.score, found.n) == (known.score, known.n)
    assert sorted(server.prompts) == asked


def test_no_likelihood_is_asked_for_without_any_tokenizer(server, measure, settings, endpoint):
    with pytest.raises(NotMeasurable):
        measure(settings(), endpoint(tokenizer=""))
    assert server.prompts == []


def test_a_limit_asks_the_first_questions_only(server, measure, settings):
    evaluation = measure(settings(limit=3))
    assert (evaluation.n, evaluation.total) == (3, 3)
    assert len(server.prompts) == 3 * CHOICES


def test_worked_examples_stand_before_the_question(server, measure, settings):
    measure(settings(limit=2))
    plain = max(len(prompt) for prompt in server.prompts)
    server.prompts.clear()
    evaluation = measure(settings(limit=2, num_fewshot=2))
    assert evaluation.num_fewshot == 2
    assert min(len(prompt) for prompt in server.prompts) > plain


def test_a_dataset_that_changed_has_another_digest(measure, questions):
    first = measure().dataset_digest
    path = questions / "ops_assistant.jsonl"
    path.write_text(path.read_text().replace("Which", "What", 1))
    assert measure().dataset_digest != first


def test_a_malformed_question_is_refused_before_the_server_is_asked(server, measure, questions):
    path = questions / "ops_assistant.jsonl"
    lines = path.read_text().splitlines()
    lines[4] = json.dumps(json.loads(lines[4]) | {"answer": 4})
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(InvalidDataset, match=r"ops_assistant\.jsonl.*5.*answer"):
        measure()
    assert server.prompts == []
