"""Write measurements as other tools read them: lm-eval's results with samples, and EvalHub's evaluation card."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from helpers.artifacts import Evaluation, LoadTest, Sample, write_atomic
from helpers.records.imports.contract import Imported

UNSAFE = re.compile(r"[^\w.-]+")
CARD = "card.json"
PROVIDER = "assay"


def export(found: Imported, folder: Path) -> list[Path]:
    """Write a model's measurements into a folder of its own below `folder`; return the paths.

    lm-eval knows no answer that does not count: those are left out of its samples. Raises StoreFailed.
    """
    place = folder / (UNSAFE.sub("__", found.model).strip("_.") or "model")
    written = [write_atomic(place / CARD, _json(card(found)))]
    scored = {each.name: [s for s in found.samples.get(each.name, ()) if s.scores] for each in found.evaluations}
    if found.evaluations:
        ended = max(each.ended for each in found.evaluations)
        stamp = f"{ended:%Y-%m-%dT%H-%M-%S.%f}"
        written.append(write_atomic(place / f"results_{stamp}.json", _json(_results(found, scored))))
        for each in found.evaluations:
            for task, samples in _by_task(each, scored[each.name]).items():
                rows = [_row(number, sample, each.metric) for number, sample in enumerate(samples)]
                log = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
                written.append(write_atomic(place / f"samples_{UNSAFE.sub('-', task)}_{stamp}.jsonl", log.encode()))
    return written


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def _by_task(evaluation: Evaluation, samples: Sequence[Sample]) -> dict[str, list[Sample]]:
    """Return the samples by the task that they are of: a group has several."""
    found: dict[str, list[Sample]] = {}
    for sample in samples:
        found.setdefault(sample.id.rpartition("/")[0] or evaluation.task, []).append(sample)
    return found


def _results(found: Imported, scored: Mapping[str, Sequence[Sample]]) -> dict[str, Any]:
    results: dict[str, Any] = {}
    configs: dict[str, Any] = {}
    groups: dict[str, list[str]] = {}
    counts: dict[str, Any] = {}
    shots: dict[str, int] = {}
    for each in found.evaluations:
        tasks = _by_task(each, scored[each.name]) or {each.task: []}
        if list(tasks) != [each.task]:
            groups[each.task] = [UNSAFE.sub("-", task) for task in tasks]
        for task, samples in tasks.items():
            name, n = UNSAFE.sub("-", task), len(samples) or each.n
            score = sum(sample.score for sample in samples) / n if samples else each.score
            results[name] = {"alias": name, _key(each): score}
            configs[name] = {"task": name, "num_fewshot": each.num_fewshot, "metadata": {"cluster": "cluster"}}
            counts[name] = {"original": each.total if each.trial else n, "effective": n}
            shots[name] = each.num_fewshot
    evaluations = found.evaluations
    return {
        "results": results,
        "group_subtasks": groups,
        "configs": configs,
        "versions": {name: str(evaluations[0].settings.get("task_version") or "unknown") for name in configs},
        "n-shot": shots,
        "higher_is_better": {
            name: {key.partition(",")[0]: True for key in rows if key != "alias"} for name, rows in results.items()
        },
        "n-samples": counts,
        "config": {"model": PROVIDER, "model_args": {"model": found.model}},
        "date": min(each.started for each in evaluations).timestamp(),
        "model_name": found.model,
        "lm_eval_version": str(evaluations[0].versions.get("lm_eval") or PROVIDER),
        "task_hashes": {},
    }


def _key(evaluation: Evaluation) -> str:
    return evaluation.metric if "," in evaluation.metric else f"{evaluation.metric},none"


def _row(number: int, sample: Sample, metric: str) -> dict[str, Any]:
    prompt, (name, _, kept) = sample.prompt or sample.input, metric.partition(",")
    options = sample.options or ("",)
    return {
        "doc_id": number,
        "doc": {
            "id": sample.label,
            "question": sample.input,
            "category": sample.category,
            **({"cluster": sample.cluster} if sample.cluster else {}),
        },
        "target": sample.expected,
        "arguments": {
            f"gen_args_{place}": {"arg_0": prompt, "arg_1": option if sample.options else {}}
            for place, option in enumerate(options)
        },
        "resps": [[sample.output]],
        "filtered_resps": [sample.output],
        "filter": kept or "none",
        "metrics": [name],
        "doc_hash": sample.digest,
        "prompt_hash": hashlib.sha256(prompt.encode()).hexdigest(),
        "target_hash": hashlib.sha256(sample.expected.encode()).hexdigest(),
        name: sample.score,
    }


def card(found: Imported) -> dict[str, Any]:
    """Return the evaluation card (version 1.0 of EvalHub's form)."""
    started = min(each.started for each in found.measurements)
    ended = max(each.ended for each in found.measurements)
    return {
        "card_version": "1.0",
        "schema_version": "1.0",
        "metadata": {
            "evaluation_job_id": f"{PROVIDER}-{found.model}",
            "created_at": started.isoformat(),
            "updated_at": ended.isoformat(),
        },
        "context": {
            "model": {"url": "", "name": found.model},
            "benchmarks": [
                {"id": each.subject, "provider_id": PROVIDER, "parameters": _parameters(each)}
                for each in found.measurements
            ],
        },
        "results": {
            "status": {"state": "completed"},
            "benchmarks": [
                {"id": each.subject, "provider_id": PROVIDER, "status": "completed", "metrics": _metrics(each)}
                for each in found.measurements
            ],
        },
    }


def _parameters(measurement: Evaluation | LoadTest) -> dict[str, Any]:
    if isinstance(measurement, Evaluation):
        return {"num_fewshot": measurement.num_fewshot} | ({"limit": measurement.limit} if measurement.trial else {})
    return {"prompt_tokens": measurement.prompt_tokens, "output_tokens": measurement.output_tokens}


def _metrics(measurement: Evaluation | LoadTest) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for metric in measurement.metrics:
        found[metric.name] = metric.value
        if metric.interval:
            found |= {f"{metric.name}_low": metric.interval.low, f"{metric.name}_high": metric.interval.high}
    return found | ({"n": measurement.n} if isinstance(measurement, Evaluation) else {})
