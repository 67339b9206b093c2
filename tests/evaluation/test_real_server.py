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

from helpers import processes
from helpers.comparison import compare
from helpers.decision import Needs, decide, load_prices
from helpers.errors import EndpointUnreachable
from helpers.evaluation import Settings, evaluate
from helpers.evaluation.results import JOURNAL, SAMPLES, read_samples
from helpers.workspace import ROOT
from tests.plugins.records import a_record

pytestmark = pytest.mark.stack
OPS = ROOT / "datasets" / "ops-assistant"


def answers(path):
    return {row["doc_id"]: row["acc"] for row in read_samples(path)}


def by_the_command_line(endpoint, questions, folder):
    """The per-question log of the unmodified `lm_eval` command, one request at a time."""
    model = {"model": endpoint.model, "base_url": f"{endpoint.url}/v1/completions", "num_concurrent": 1}
    model |= {"tokenizer": str(endpoint.tokenizer_folder()), "tokenizer_backend": "huggingface"}
    command = [str(Path(sys.executable).with_name("lm_eval")), "--model", "local-completions", "--log_samples"]
    command += ["--model_args", ",".join(f"{key}={value}" for key, value in model.items())]
    command += ["--include_path", str(questions), "--tasks", "ops_assistant", "--output_path", str(folder)]
    offline = os.environ | {"HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(folder / "cache")}
    subprocess.run(command, check=True, env=offline, capture_output=True, timeout=300)
    (path,) = folder.rglob("samples_*.jsonl")
    return {(row := json.loads(line))["doc_id"]: row["acc"] for line in path.read_text().splitlines()}


def test_every_question_gets_the_same_mark_as_from_the_lm_eval_command(tiny_endpoint, questions, tmp_path):
    shutil.copy(OPS / "ops_assistant.jsonl", questions)
    pressed, slow = tmp_path / "pressed", tmp_path / "slow"
    ours = evaluate(Settings(include_path=questions), tiny_endpoint, pressed)
    one = evaluate(Settings(include_path=questions, num_concurrent=1, batch_size=1), tiny_endpoint, slow)
    assert ours.n == one.n >= 150
    assert answers(pressed / SAMPLES) == answers(slow / SAMPLES)
    assert answers(pressed / SAMPLES) == by_the_command_line(tiny_endpoint, questions, tmp_path / "command")
    assert_no_difference((ours, pressed / SAMPLES), (one, slow / SAMPLES))


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
    assert comparison.verdict.startswith("No difference in accuracy is shown between")
    assert not decide(
        comparison, Needs(latency_weight=0, cost_weight=0), load_prices(ROOT / "pipelines/prices.yaml")
    ).sure


def test_vllm_killed_during_the_evaluation_is_named_and_what_it_answered_is_kept(tiny_endpoint, questions, tmp_path):
    shutil.copy(OPS / "ops_assistant.jsonl", questions)
    seen = []

    def kill_it_midway(line):
        seen.append(line)
        if len(seen) == 2:
            (running,) = processes.all_running()
            os.killpg(running.pid, signal.SIGKILL)

    settings = Settings(include_path=questions, num_concurrent=1, batch_size=1)
    with pytest.raises(EndpointUnreachable, match=tiny_endpoint.url):
        evaluate(settings, tiny_endpoint, tmp_path / "artifacts", show=kill_it_midway)
    kept = (tmp_path / "artifacts" / JOURNAL).read_text().splitlines()
    assert 1 < len(kept) < 832
    assert not (tmp_path / "artifacts" / SAMPLES).exists()
