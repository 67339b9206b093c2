"""The stage as the notebook runs it: a child that shows progress, keeps secrets and never outlives the stage."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from helpers.errors import ArtifactMissing, EvaluationFailed, StoreFailed
from helpers.evaluation import evaluate
from helpers.evaluation.journal import Journal
from helpers.evaluation.results import LOG
from helpers.polling import wait_for
from helpers.workspace import ROOT

STAGE = """
import sys
from pathlib import Path
from helpers.artifacts import Endpoint
from helpers.evaluation import Settings, evaluate
folder, questions = Path(sys.argv[1]), Path(sys.argv[2])
evaluate(Settings(include_path=questions), Endpoint.read(folder), folder, show=lambda line: print(line, flush=True))
"""


def children(folder):
    """Pids of harness processes that write into `folder`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if "helpers.evaluation.harness" in words and str(folder) in words:
            found.append(int(entry.parent.name))
    return found


def test_progress_is_shown_and_the_key_is_kept_to_itself(server, settings, endpoint, tmp_path, monkeypatch):
    server.key = "sesame-1234"
    monkeypatch.setenv("ENDPOINT_API_KEY", "sesame-1234")
    monkeypatch.setenv("OPENAI_API_KEY", "someone-elses")
    lines = []
    evaluation = evaluate(settings(), endpoint(), tmp_path, show=lines.append)
    assert evaluation.n == 10
    assert lines[0].startswith("0 of 40 answers")
    assert lines[-1].startswith("40 of 40 answers")
    assert (tmp_path / LOG).exists()
    written = [path for path in tmp_path.rglob("*") if path.is_file() and "task" not in path.parts]
    for path in written:
        assert b"sesame-1234" not in path.read_bytes(), path
    assert "sesame-1234" not in evaluation.model_dump_json()


def test_the_code_of_a_task_gets_no_secret_of_store_registry_hub_or_signature(
    settings, endpoint, questions, tmp_path, monkeypatch
):
    for name in ("STORE_AWS_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "REGISTRY_TOKEN", "SIGNING_KEY", "HF_TOKEN"):
        monkeypatch.setenv(name, f"canary-of-{name}")
    seen = tmp_path / "seen"
    nosy = f"import os, pathlib\npathlib.Path({str(seen)!r}).write_text(str(dict(os.environ)))\n"
    (questions / "questions.py").write_text((questions / "questions.py").read_text() + nosy)
    evaluate(settings(), endpoint(), tmp_path / "artifacts")
    assert "PYTHONPATH" in seen.read_text()
    assert "canary-of-" not in seen.read_text()


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
    with pytest.raises(EvaluationFailed, match="the roof is on fire"):
        evaluate(settings(), endpoint(), tmp_path)
    assert "Traceback" in (tmp_path / LOG).read_text()
    assert children(tmp_path) == []


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
        assert stage.stdout.readline().startswith("0 of 40")
        assert len(children(tmp_path)) == 1
        stage.send_signal(signal.SIGINT)
        _, said = stage.communicate(timeout=60)
    finally:
        stage.kill()
        stage.communicate()
    assert "KeyboardInterrupt" in said
    wait_for(lambda: not children(tmp_path), what="the child's end", do="see ps", timeout=20, interval=0.1)
    assert not (tmp_path / "evaluation.json").exists()
