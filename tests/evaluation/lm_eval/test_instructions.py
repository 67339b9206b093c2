"""Instructions that a program can check, by IFEval's rules: what each answer fulfils, without a network."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from lm_eval.tasks.ifeval.instructions_registry import INSTRUCTION_DICT

from helpers.evaluation.lm_eval import Settings, check_task, evaluate
from helpers.evaluation.samples import read_samples
from helpers.runtime.workspace import ROOT
from tests.plugins.records import KNOWLEDGE

FOLDER = ROOT / "datasets" / "ops-assistant" / "instructions"
ROWS = {row["id"]: row for row in map(json.loads, (FOLDER / "instructions.jsonl").read_text("utf-8").splitlines())}
NEED_A_TOKENIZER = {"length_constraints:number_sentences", "change_case:capital_word_frequency"}
FIGURES = ("prompt_strict", "loose", "by_instruction", "by_instruction_loose")


@pytest.fixture(scope="module")
def followed():
    found: dict = {}
    exec((FOLDER / "following.py").read_text("utf-8"), found)
    return lambda name, text: found["followed"](ROWS[name], [text])


def test_the_task_lies_whole_in_its_folder_and_needs_no_network():
    task = check_task(Settings(task="ops_instructions", include_path=FOLDER.parent))
    assert task.offline
    assert not task.content.gaps
    assert all(path.is_relative_to(FOLDER) for path in task.files)


def test_nothing_that_no_digest_covers_is_used_so_that_the_result_can_be_taken_over(
    server, endpoint, settings, tmp_path, monkeypatch
):
    monkeypatch.chdir(FOLDER)
    server.chat = lambda body: {"content": "I cannot help."}
    asked = settings(task="ops_instructions", include_path=FOLDER.parent, limit=4)
    found = evaluate(asked, endpoint(), tmp_path / "artifacts", show=list)
    assert (found.n, found.settings.get("used_elsewhere")) == (4, None)


def test_every_prompt_has_two_instructions_that_are_given_whole():
    assert len(ROWS) == 60
    for row in ROWS.values():
        assert len(row["instruction_id_list"]) == len(row["kwargs"]) == 2, row["id"]
        for name, given in zip(row["instruction_id_list"], row["kwargs"], strict=True):
            assert name not in NEED_A_TOKENIZER
            rule = INSTRUCTION_DICT[name](name)
            rule.build_description(**given)  # what is not given it draws
            assert set(rule.get_instruction_args_keys()) == set(given), row["id"]
            assert (rule.get_instruction_args() or {}) == given, row["id"]


SCORED = """
import json, sys
sys.path.insert(0, sys.argv[1])
sys.addaudithook(lambda event, _: event.startswith(("socket.connect", "socket.getaddrinfo")) and sys.exit(3))
from following import followed
print(followed(json.loads(sys.argv[2]), ["Hello"])["instruction_strict"])
"""


def test_no_name_is_looked_up_to_judge_an_answer():
    """A proxy would not see it: NLTK looks a server up and then refuses to ask it through one."""
    given = [str(FOLDER), json.dumps(ROWS["logs-1"])]
    done = subprocess.run([sys.executable, "-c", SCORED, *given], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "0.5\n"), done.stderr


@pytest.mark.parametrize(
    ("name", "text", "strict", "loose"),
    [
        ("scaling-1", '```json\n{"replicas": "more of them under load"}\n```', 1, 1),
        ("scaling-1", 'Here it is:\n{"replicas": "more of them under load"}', 0.5, 1),
        ("scaling-1", "It adds copies.", 0, 0),
        ("dns-1", "Ein Pod fragt den Namensdienst des Clusters nach dem Namen und bekommt die Adresse.", 1, 1),
        ("dns-1", "A pod asks the name service of the cluster for the name and gets the address.", 0.5, 0.5),
        ("probes-1", "A READINESS PROBE TELLS THE SERVICE THAT THE POD CAN TAKE REQUESTS.", 1, 1),
        ("logs-1", "* the time\n* the level\n* a request id", 1, 1),
        ("logs-1", "* the time\n* the level, always\n* a request id", 0.5, 0.5),
    ],
)
def test_each_answer_gets_the_share_that_it_follows(followed, name, text, strict, loose):
    found = followed(name, text)
    assert (found["instruction_strict"], found["instruction_loose"]) == (strict, loose)
    assert (found["prompt_strict"], found["prompt_loose"]) == (strict == 1, loose == 1)


def test_what_is_cut_off_or_empty_counts_apart(server, endpoint, measure, settings, tmp_path, monkeypatch):
    monkeypatch.chdir(FOLDER)

    def say(body):
        asked = body["messages"][-1]["content"]
        if asked == ROWS["logs-1"]["prompt"]:
            return {"content": "* the time\n* the level", "finish_reason": "length"}
        return {"content": "" if asked == ROWS["dns-1"]["prompt"] else "I cannot help."}

    server.chat = say
    found = measure(
        settings(task="ops_instructions", include_path=FOLDER.parent, allow_partial=True), endpoint(tokenizer="")
    )
    by_id = {
        each.label: each.status for each in read_samples(tmp_path / "artifacts" / KNOWLEDGE.samples, "prompt_strict")
    }
    assert (by_id["logs-1"], by_id["dns-1"], by_id["logs-2"]) == ("truncated", "empty", "answered")
    assert (found.metric, found.n) == ("prompt_strict", 58)
    figures = {metric.name: metric for metric in found.metrics}
    assert all(figures[name].n == 58 for name in FIGURES)
    assert figures["by_instruction"].value > figures["prompt_strict"].value
