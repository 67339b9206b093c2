"""Only questions that no earlier evaluation asked are asked: real lm-eval, and a server that counts the prompts."""

from __future__ import annotations

import json

import pytest

from helpers.artifacts import Endpoint, Hardware, now
from helpers.errors import IncompleteCoverage
from helpers.evaluation import lm_eval
from helpers.evaluation.lm_eval.results import ELSEWHERE
from helpers.evaluation.samples import read_samples
from helpers.records import logbook, reuse
from helpers.registry import connect
from helpers.runtime.workspace import ROOT
from tests.plugins.records import CHAT, KNOWLEDGE, a_sweep, about

CHOICES, FIRST, MORE = 4, 10, 3
QUESTIONS = (ROOT / "datasets" / "ops-assistant" / "ops_assistant.jsonl").read_text("utf-8").splitlines()


@pytest.fixture
def endpoint(server, tokenizer):
    """The scripted server as one that was verified."""
    return Endpoint(
        target="local", url=server.url, model="scripted", tokenizer=str(tokenizer), max_model_len=2048,
        engine_version="0.32.0", hardware=Hardware(type="test", count=1), digest="sha256:" + "a" * 64,
        digest_verified=True, started=now(),
    )  # fmt: skip


@pytest.fixture
def stage(server, endpoint, questions, tmp_path, registry_server):
    """Runs the stage and returns (its result, how many prompts were sent, what was said)."""

    def run(folder="artifacts", endpoint=endpoint, *, fresh=False, **changes):
        server.prompts.clear()
        said = []
        known = reuse.Settings(registry=registry_server.address, fresh=fresh)
        settings = lm_eval.Settings(**{"include_path": questions, "batch_size": 8} | changes)
        result = reuse.evaluate(settings, endpoint, known, tmp_path / folder, said.append)
        result.write(tmp_path / folder)
        return result, len(server.prompts), said

    return run


@pytest.fixture
def log(endpoint, tmp_path, registry_server):
    """Logs the evaluation in a folder, as log_results does."""
    registry = connect(registry_server.address)
    selection = registry.register_candidate("ops-small", "1.0.0", uri="file:///m", digest=endpoint.digest, size_bytes=1)

    def log(folder="artifacts"):
        for part in (selection, endpoint, about(selection, a_sweep())):
            part.write(tmp_path / folder)
        (tmp_path / folder / CHAT.report).write_text("{}")
        return logbook.log(logbook.Settings(store=(tmp_path / "store").as_uri()), registry, tmp_path / folder)

    return log


def add_questions(questions):
    (questions / "ops_assistant.jsonl").write_text("\n".join(QUESTIONS[: FIRST + MORE]) + "\n")


@pytest.mark.load
def test_added_questions_are_the_only_ones_that_are_asked_and_the_score_is_that_of_a_fresh_run(
    stage, log, questions, tmp_path
):
    first, sent, _ = stage()
    assert sent == FIRST * CHOICES
    record = log()
    add_questions(questions)
    more, sent, said = stage("mixed")
    assert sent == MORE * CHOICES
    assert (more.n, more.failed) == (FIRST + MORE, 0)
    assert f"40 of 52 answers are taken over from record {record.record_id} (ops-small 1.0.0)" in said
    assert more.settings["answers_reused"] == FIRST * CHOICES
    assert record.record_id in more.settings["answers_from"]
    assert more.identity != first.identity
    assert more.answers_identity == first.answers_identity
    fresh, sent, _ = stage("fresh", fresh=True)
    assert sent == (FIRST + MORE) * CHOICES
    assert fresh.identity == more.identity
    assert answers(tmp_path / "mixed") == answers(tmp_path / "fresh")


def answers(folder):
    return read_samples(folder / KNOWLEDGE.samples, "acc")


def test_the_working_folders_own_answers_count_too(stage, questions):
    stage()
    add_questions(questions)
    _, sent, said = stage()
    assert sent == MORE * CHOICES
    assert any("are taken over from the evaluation in" in line for line in said)


def test_a_changed_question_is_a_new_one(stage, questions):
    stage()
    rows = [json.loads(line) for line in QUESTIONS[:FIRST]]
    rows[4]["question"] += " (in production)"
    (questions / "ops_assistant.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert stage()[1] == CHOICES


def test_worked_examples_make_every_prompt_another_one(stage, questions):
    (questions / "task.yaml").write_text(
        (questions / "task.yaml").read_text() + "\nfewshot_split: test\nnum_fewshot: 1\n"
    )
    stage()
    assert stage(num_fewshot=2)[1] == FIRST * CHOICES


def test_a_rerun_sends_nothing_at_all(stage, log, server):
    stage()
    log()
    server.dies_after = 0
    taken, sent, _ = stage("elsewhere")
    assert sent == 0
    assert taken.taken_from


@pytest.mark.parametrize(
    "changes", [{"digest": "sha256:" + "b" * 64}, {"engine_version": "0.33.0"}, {"target": "existing"}], ids=str
)
def test_another_servers_answers_are_never_taken(stage, log, endpoint, changes):
    stage()
    log()
    assert stage("elsewhere", endpoint.model_copy(update=changes))[1] == FIRST * CHOICES


def test_a_changed_log_is_not_believed(stage, questions, tmp_path):
    stage()
    path = tmp_path / "artifacts" / KNOWLEDGE.samples
    path.write_text(path.read_text().replace("true", "false"))
    add_questions(questions)
    assert stage()[1] == (FIRST + MORE) * CHOICES


def test_a_question_without_an_answer_is_asked_again_and_the_others_are_not(stage, log, server, questions):
    stage()
    bad = server.prompts[5]
    server.refuse = lambda tokens: 400 if tokens == bad else None
    partial, _, _ = stage("partial", fresh=True, allow_partial=True)
    assert partial.failed == 1
    assert partial.identity == "", "what lacks answers is never taken over whole"
    log("partial")
    server.refuse = lambda tokens: None
    again, sent, _ = stage("elsewhere")
    assert sent == 1, "the other options of the question were answered"
    assert again.failed == 0


def test_what_was_asked_before_a_failure_is_kept_beside_what_was_known(stage, server, questions, tmp_path):
    stage()
    add_questions(questions)
    new = set()
    server.refuse = lambda tokens: new.add(tokens) or (400 if len(new) == 1 else None)
    with pytest.raises(IncompleteCoverage):
        stage(batch_size=1, num_concurrent=1)
    assert (tmp_path / "artifacts" / KNOWLEDGE.journal).exists()
    server.refuse = lambda tokens: None
    whole, sent, _ = stage()
    assert whole.failed == 0
    assert 1 <= sent <= CHOICES + 1
    assert not (tmp_path / "artifacts" / KNOWLEDGE.journal).exists()


def test_a_task_of_which_not_everything_is_known_is_taken_over_by_its_answers_alone(stage, log, questions):
    code = questions / "questions.py"
    code.write_text(code.read_text() + 'import os\nos.environ.get("LANGUAGE")\n')
    assert stage()[0].identity == ""
    log()
    again, sent, said = stage("elsewhere")
    assert sent == 0
    assert not again.taken_from
    assert str(code) in said[0]


def test_a_result_whose_code_used_the_network_is_never_taken_over(stage, questions, server):
    code = questions / "questions.py"
    # Where the kernel fences connections in, nothing comes back: that it was tried is enough.
    asks = f"""
import contextlib, urllib.request
with contextlib.suppress(OSError):
    urllib.request.urlopen('{server.url}/').read()
"""
    code.write_text(code.read_text() + asks)
    found, _, said = stage()
    assert found.identity == ""
    assert found.settings[ELSEWHERE] == "the network"
    assert "the network" in said[-1]
    assert stage("elsewhere")[0].taken_from == ""


GENERATING = """
task: written
dataset_path: json
dataset_kwargs: {data_files: {test: written.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "Q: {{question}}\\nA:"
doc_to_target: "{{choices[answer]}}"
generation_kwargs: {until: ["\\n"], temperature: SAMPLED, max_gen_toks: 8}
metric_list: [{metric: exact_match}]
"""


@pytest.mark.parametrize(("sampled", "asked_again"), [("0.0", 0), ("0.7", FIRST)])
def test_a_written_answer_is_taken_over_unless_it_was_sampled(stage, questions, server, sampled, asked_again):
    asked = []
    server.text = lambda body: asked.append(body["max_tokens"]) or " a Deployment"
    (questions / "written.jsonl").write_text("\n".join(QUESTIONS[:FIRST]) + "\n")
    for comment, expected in (("", FIRST), ("# another file\n", asked_again)):
        (questions / "written.yaml").write_text(GENERATING.replace("SAMPLED", sampled) + comment)
        asked.clear()
        stage(task="written")
        assert asked.count(8) == expected, "max_gen_toks, which no other request has"
