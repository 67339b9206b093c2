"""Records and samples logs as a real run leaves them, made of the project's own questions."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

from helpers.artifacts import (
    SLO,
    Endpoint,
    Evaluation,
    Hardware,
    LoadPoint,
    LoadTest,
    OperatingPoint,
    Percentiles,
    Sample,
    Selection,
)
from helpers.evaluation import samples
from helpers.evaluation.lm_eval import results
from helpers.load_test import command
from helpers.records import join
from helpers.runtime.workspace import ROOT
from helpers.statistics import wilson

START = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
KNOWLEDGE = results.files("knowledge")
CHAT, CHAT_REPEATS = command.files("chat"), command.files("chat", repeats=True)
QUESTIONS = ROOT / "datasets" / "ops-assistant" / "ops_assistant.jsonl"


def questions(n=160):
    return [json.loads(line) for line in QUESTIONS.read_text("utf-8").splitlines()][:n]


def a_sample(number, question, right, rng=None, task="ops_assistant"):
    """One question, answered with the right option or with one of the others."""
    rng = rng or random.Random(number)
    wrong = rng.choice([index for index in range(4) if index != question["answer"]])
    choices = question["choices"]
    return Sample(
        id=f"{task}/{number}",
        digest=f"hash-{question['id']}",
        label=question["id"],
        category=question["category"],
        input=question["question"],
        options=tuple(choices),
        expected=choices[question["answer"]],
        output=choices[question["answer"] if right else wrong],
        scores={"acc": float(right)},
        status="answered",
    )


def some_samples(share, n=160, seed=1, task="ops_assistant"):
    rng = random.Random(seed)
    return [a_sample(number, row, rng.random() < share, rng, task) for number, row in enumerate(questions(n))]


def write_samples(log, path: Path) -> Path:
    samples.write_samples(log, path)
    return path


def spread(mean, width=0.3):
    return Percentiles(
        mean=mean,
        p50=mean * (1 - width / 3),
        p90=mean * (1 + width),
        p95=mean * (1 + 1.5 * width),
        p99=mean * (1 + 3 * width),
    )


def a_point(rate, *, slowness=1.0, limit=100.0, strategy="constant", itl=4.0):
    """A load point of a server that saturates at 20/slowness requests/s."""
    load = min(rate * slowness / 20, 0.97)
    ttft = spread(12.0 * slowness / (1 - load))
    itl_ms = spread(itl * slowness * (1 + load), 0.1)
    return LoadPoint(
        strategy=strategy,
        rate=rate,
        concurrency=rate * ttft.mean / 1000 + 1,
        duration_seconds=30.0,
        successful=int(rate * 30),
        errored=0,
        incomplete=1,
        requests_per_second=min(float(rate), 19.4 / slowness),
        output_tokens_per_second=min(float(rate), 19.4 / slowness) * 32,
        ttft_ms=ttft,
        itl_ms=itl_ms,
        e2e_ms=spread(ttft.mean + 31 * itl_ms.mean),
        tps=spread(rate * 32.0, 0.8),
        mean_input_tokens=128.0,
        mean_output_tokens=32.0,
        slo_attainment=0.99,
        goodput=float(rate) * 0.99,
        meets_slo=ttft.p95 <= limit,
    )


def a_sweep(slowness=1.0, *, rates=(1, 2, 4, 6, 8, 12, 16, 19), limit=100.0, none_meets=False, when=START):
    points = tuple(a_point(rate / slowness, slowness=slowness, limit=limit) for rate in rates)
    good = [] if none_meets else [index for index, point in enumerate(points) if point.meets_slo]
    reason = (
        f"the highest load with TTFT p95 within {limit:g} ms" if good else f"no load kept TTFT p95 within {limit:g} ms"
    )
    return LoadTest(
        name="chat",
        profile="sweep",
        workload="chatbot",
        prompt_tokens=128,
        output_tokens=32,
        slo=SLO(ttft_ms=limit),
        points=points,
        operating_point=OperatingPoint(index=max(good, default=None), reason=reason),
        prefix_cache=None,
        report=CHAT.report,
        started=when,
        ended=when + timedelta(minutes=4),
        versions={"guidellm": "0.8.1"},
        settings={"max_seconds": 30},
    )


def an_evaluation(samples, *, digest="sha256:" + "d" * 64, task="ops_assistant", shots=0, when=START, failed=0):
    correct = sum(int(sample.score) for sample in samples)
    return Evaluation(
        name="knowledge",
        task=task,
        metric="acc",
        score=correct / len(samples),
        interval=wilson(correct, len(samples)),
        n=len(samples),
        correct=correct,
        failed=failed,
        total=len(samples) + failed,
        num_fewshot=shots,
        dataset_digest=digest,
        samples=KNOWLEDGE.samples,
        report=KNOWLEDGE.results,
        started=when + timedelta(minutes=5),
        ended=when + timedelta(minutes=6),
        request_seconds=1.4,
        versions={"lm_eval": "0.4.13"},
        settings={"limit": 0},
    )


def a_selection(name="ops-small", version="1.0", digest=None, **more):
    known = {
        "uri": f"file:///store/{name}",
        "license": "apache-2.0",
        "size_bytes": 3_000_000,
        "parameters": 1_100_000,
        "registry": "http://127.0.0.1:8080",
        "registered_model_id": "1",
        "model_version_id": "2",
        "model_artifact_id": "3",
    }
    return Selection(
        name=name, version=version, digest=digest or f"sha256:{name.encode().hex():0<64.64}", **known | more
    )


def an_endpoint(selection, when=START, **more):
    known = {
        "target": "local",
        "url": "http://127.0.0.1:18000",
        "tokenizer": "/models/tokenizer",
        "max_model_len": 2048,
        "engine_version": "0.32.0",
        "engine_args": ("--dtype", "bfloat16"),
        "hardware": Hardware(type="Xeon", count=2, memory_gib=16.0),
        "startup_seconds": 31.5,
        "digest_verified": True,
    }
    return Endpoint(model=selection.name, digest=selection.digest, started=when, **known | more)


def about(selection, measured):
    """What was measured, as the stage for the selected model would have written it."""
    known = {"digest": measured.digest or selection.digest, "run": measured.run or selection.run}
    return measured.model_copy(update=known)


def a_record(
    name="ops-small", version="1.0", *, samples=None, slowness=1.0, sweep=None, evaluation=None, when=START, **more
):
    selection = a_selection(name, version)
    return join(
        selection,
        an_endpoint(selection, when),
        [
            about(selection, sweep or a_sweep(slowness, when=when)),
            about(selection, evaluation or an_evaluation(samples or some_samples(0.52), when=when)),
        ],
        **{"purpose": "use-case", "use_case": "ops-assistant"} | more,
    )


def renamed(record, name):
    """The record of a model whose name no contract would let in, as an older registry may hold one."""
    return record.model_copy(update={"selection": record.selection.model_copy(update={"name": name})})


def holding(record, measurement):
    """The record with another measurement in place of the one of the same name."""
    others = [each for each in record.measurements if each.name != measurement.name]
    found = sorted([*others, measurement], key=lambda each: each.name)
    return record.model_copy(update={"measurements": tuple(found)})
