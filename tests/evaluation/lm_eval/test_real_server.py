"""Real lm-eval against real vLLM."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import serving
from helpers.analysis.comparison import compare
from helpers.analysis.recommendation import Needs, decide, load_prices
from helpers.errors import EndpointUnreachable
from helpers.evaluation.lm_eval import Settings, evaluate
from helpers.evaluation.samples import read_samples
from helpers.runtime import patience, processes
from helpers.runtime.workspace import ROOT
from tests.plugins.criteria import asked
from tests.plugins.models import PRICES, select, serve_settings
from tests.plugins.records import KNOWLEDGE, a_record

pytestmark = pytest.mark.stack
OPS = ROOT / "datasets" / "ops-assistant"
ASKED = 100


def answers(path):
    return {sample.id: sample.score for sample in read_samples(path, "acc")}


def by_the_command_line(endpoint, questions, folder):
    """The samples of the unmodified `lm_eval` command, one request at a time."""
    model = {"model": endpoint.model, "base_url": f"{endpoint.url}/v1/completions", "num_concurrent": 1}
    model |= {"tokenizer": str(endpoint.tokenizer_folder()), "tokenizer_backend": "huggingface"}
    command = [str(Path(sys.executable).with_name("lm_eval")), "--model", "local-completions", "--log_samples"]
    command += ["--model_args", ",".join(f"{key}={value}" for key, value in model.items())]
    command += ["--include_path", str(questions), "--tasks", "ops_assistant", "--output_path", str(folder)]
    offline = os.environ | {"HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(folder / "cache")}
    subprocess.run(command, check=True, env=offline, capture_output=True, timeout=300)
    (path,) = folder.rglob("samples_*.jsonl")
    rows = map(json.loads, path.read_text().splitlines())
    return {f"ops_assistant/{row['doc_id']}": row["acc"] for row in rows}


@pytest.fixture(scope="module")
def served(tiny_model, tmp_path_factory):
    """One server for both tests: the last one ends it."""
    folder = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASSAY_HOME", str(folder / "home"))
        patch.chdir(folder)
        yield serving.deploy(select(tiny_model), serve_settings())
        for running in processes.all_running():
            processes.end(running)


def test_every_question_gets_the_same_mark_as_from_the_lm_eval_command(served, questions, tmp_path):
    lines = (OPS / "ops_assistant.jsonl").read_text("utf-8").splitlines()[:ASKED]
    (questions / "ops_assistant.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    pressed, slow = tmp_path / "pressed", tmp_path / "slow"
    ours = evaluate(Settings(include_path=questions), served, pressed)
    one = evaluate(Settings(include_path=questions, num_concurrent=1, batch_size=1), served, slow)
    assert ours.n == one.n == ASKED
    assert answers(pressed / KNOWLEDGE.samples) == answers(slow / KNOWLEDGE.samples)
    assert answers(pressed / KNOWLEDGE.samples) == by_the_command_line(served, questions, tmp_path / "command")
    assert_no_difference((ours, pressed / KNOWLEDGE.samples), (one, slow / KNOWLEDGE.samples))


def assert_no_difference(*runs):
    """The same model, evaluated twice, once under load and once question by question, is not told apart."""
    named = zip(("once", "again"), runs, strict=True)  # as if of two models: each gets its own digest
    records = [a_record(name, evaluation=run.model_copy(update={"digest": ""})) for name, (run, _) in named]
    logs = {record.record_id: path for record, (_, path) in zip(records, runs, strict=True)}
    comparison = compare(records, logs)
    (pair,) = comparison.pairs
    assert pair.paired.verdict == "inconclusive"
    assert pair.paired.flips <= 0.02 * pair.paired.n
    assert all(part.verdict == "inconclusive" for part in pair.categories.values())
    only_right_answers_count = asked(latency=0, cost=0)
    assert not decide(comparison, only_right_answers_count, Needs(), load_prices(PRICES)).sure


def test_vllm_killed_during_the_evaluation_is_named_and_what_it_answered_is_kept(served, questions, tmp_path):
    shutil.copy(OPS / "ops_assistant.jsonl", questions)
    seen = []

    def kill_it_midway(line):
        seen.append(line)
        if len(seen) == 3:
            (running,) = processes.all_running()
            os.killpg(running.pid, signal.SIGKILL)

    settings = Settings(include_path=questions, num_concurrent=1, batch_size=1)
    with patience.at_most(5.0), pytest.raises(EndpointUnreachable, match=served.url):
        evaluate(settings, served, tmp_path / "artifacts", show=kill_it_midway)
    kept = (tmp_path / "artifacts" / KNOWLEDGE.journal).read_text().splitlines()
    assert 1 < len(kept) < 832
    assert not (tmp_path / "artifacts" / KNOWLEDGE.samples).exists()
