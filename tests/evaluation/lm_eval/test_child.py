"""The stage as the notebook runs it: a child that shows progress, keeps secrets and never outlives the stage."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import psutil
import pytest

from helpers.artifacts import run
from helpers.errors import ArtifactMissing, EndpointUnreachable, EvaluationFailed, ServerChanged, StoreFailed
from helpers.evaluation import confirming
from helpers.evaluation.journal import Journal
from helpers.evaluation.lm_eval import evaluate
from helpers.runtime import memory
from helpers.runtime.workspace import ROOT
from tests.plugins.records import KNOWLEDGE

STAGE = """
import sys
from pathlib import Path
from helpers.artifacts import Endpoint
from helpers.evaluation.lm_eval import Settings, evaluate
folder, questions = Path(sys.argv[1]), Path(sys.argv[2])
evaluate(Settings(include_path=questions), Endpoint.read(folder), folder, show=lambda line: print(line, flush=True))
"""


def children(pid):
    """The harness processes below a process, their walls included."""
    below = psutil.Process(pid).children(recursive=True)
    return [one for one in below if one.is_running() and "helpers.evaluation.lm_eval.harness" in one.cmdline()]


def test_progress_is_shown_and_the_key_is_kept_to_itself(server, settings, endpoint, tmp_path, monkeypatch):
    server.key = "sesame-1234"
    monkeypatch.setenv("ENDPOINT_API_KEY", "sesame-1234")
    monkeypatch.setenv("OPENAI_API_KEY", "someone-elses")
    lines = []
    evaluation = evaluate(settings(), endpoint(), tmp_path, show=lines.append)
    assert evaluation.n == 10
    assert lines[1].startswith("0 of 40 answers")
    assert lines[-1].startswith("40 of 40 answers")
    assert (tmp_path / KNOWLEDGE.log).exists()
    written = [path for path in tmp_path.rglob("*") if path.is_file() and "task" not in path.parts]
    for path in written:
        assert b"sesame-1234" not in path.read_bytes(), path
    assert "sesame-1234" not in evaluation.model_dump_json()


def test_a_missing_tokenizer_is_named_before_anything_starts(server, settings, endpoint, tmp_path):
    with pytest.raises(ArtifactMissing, match=r"no tokenizer of scripted in .*nowhere"):
        evaluate(settings(), endpoint(tokenizer=str(tmp_path / "nowhere")), tmp_path)
    assert server.prompts == []


def test_a_full_disk_is_named_as_such(tmp_path):
    with Journal(tmp_path / "answers.jsonl", "same") as journal:
        journal._file.close()
        journal._file = open("/dev/full", "a")  # noqa: SIM115 - the journal closes it
        with pytest.raises(StoreFailed, match=r"answers\.jsonl: No space left on device"):
            journal.add("loglikelihood", ("prompt", " choice"), (-1.0, False))


def test_a_crash_of_lm_eval_is_told_with_its_last_words(server, settings, endpoint, questions, tmp_path):
    (questions / "questions.py").write_text("def load(**_):\n    raise RuntimeError('the roof is on fire')\n")
    shown = []
    with pytest.raises(EvaluationFailed, match="the roof is on fire"):
        evaluate(settings(), endpoint(), tmp_path, show=shown.append)
    assert "in load\n" in shown[-1], "the end of the log stands in the notebook"
    assert "Traceback" in (tmp_path / KNOWLEDGE.log).read_text()
    assert children(os.getpid()) == []


def test_a_kill_is_told_as_want_of_memory_with_the_limit(server, settings, endpoint, questions, tmp_path, monkeypatch):
    (tmp_path / "memory.max").write_text(str(450 * memory.MIB))
    monkeypatch.setattr(memory, "GROUP", tmp_path)
    (questions / "questions.py").write_text("import os\n\ndef load(**_):\n    os.kill(os.getpid(), 9)\n")
    with pytest.raises(EvaluationFailed, match=r"killed, most likely for want of memory.*450 MiB") as failed:
        evaluate(settings(), endpoint(), tmp_path)
    assert "RAM" in failed.value.do
    assert "BATCH_SIZE" in failed.value.do


def test_what_was_answered_before_a_failure_is_not_asked_again(server, settings, endpoint, tmp_path):
    server.dies_after = 16
    with pytest.raises(EndpointUnreachable):
        evaluate(settings(), endpoint(), tmp_path)
    assert (tmp_path / "partial").is_dir(), "what a pod's mirror carries away"
    server.dies_after = None
    server.prompts.clear()
    assert evaluate(settings(), endpoint(), tmp_path).n == 10
    assert len(server.prompts) == 40 - 16
    assert not (tmp_path / KNOWLEDGE.journal).exists()


def test_another_runs_answers_are_not_taken(server, settings, endpoint, tmp_path, monkeypatch):
    server.dies_after = 16
    with pytest.raises(EndpointUnreachable):
        evaluate(settings(), endpoint(), tmp_path)
    server.dies_after = None
    server.prompts.clear()
    monkeypatch.setenv(run.VARIABLE, "another")
    evaluate(settings(), endpoint(), tmp_path)
    assert len(server.prompts) == 40


class Changes:
    """A guard that sees another server once so many prompts were answered."""

    def __init__(self, server, prompts):
        self.server, self.prompts = server, prompts

    def check(self):
        if len(self.server.prompts) >= self.prompts:
            raise ServerChanged("another one", do="deploy again")


@pytest.mark.parametrize("prompts", [0, 1, 40], ids=["before", "between", "after"])
def test_what_another_server_answered_is_withheld(prompts, server, settings, endpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(confirming, "SECONDS", 0.0)
    with pytest.raises(ServerChanged):
        evaluate(settings(batch_size=1), endpoint(), tmp_path, guard=Changes(server, prompts))
    for name in (KNOWLEDGE.results, KNOWLEDGE.samples):
        assert not (tmp_path / name).exists()
    server.prompts.clear()
    evaluate(settings(), endpoint(), tmp_path)
    assert len(server.prompts) == 40


def test_an_interrupt_leaves_nothing_running(server, endpoint, questions, tmp_path):
    server.hold = threading.Event()
    endpoint().write(tmp_path)
    stage = subprocess.Popen(
        [sys.executable, "-c", STAGE, str(tmp_path), str(questions)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert [stage.stdout.readline() for _ in range(2)][1].startswith("0 of 40")
        running = children(stage.pid)
        assert running
        stage.send_signal(signal.SIGINT)
        _, said = stage.communicate(timeout=60)
    finally:
        stage.kill()
        stage.communicate()
    assert "KeyboardInterrupt" in said
    psutil.wait_procs(running, timeout=20)
    assert not any(one.is_running() for one in running)
    assert not (tmp_path / "knowledge.json").exists()
