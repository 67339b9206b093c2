"""Read what lm-eval left and turn it into the stage's artifact."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from pydantic_core import from_json

from helpers.artifacts import Endpoint, Evaluation, Interval, Parameter, now
from helpers.errors import ArtifactMissing, EmptyAnswers, EvaluationFailed, IncompleteCoverage
from helpers.evaluation.settings import Settings
from helpers.evaluation.tasks import Task
from helpers.runtime import partial
from helpers.statistics import design_effect, mean_of_scores

ELSEWHERE = "used_elsewhere"  # of the settings: what the task's code used beyond the files beside it
MOST = 0.5  # of the answers: where more are none, the score says nothing


class Files(NamedTuple):
    """What a measurement's files are called: lm-eval's two, its log, and the answers so far."""

    results: str
    samples: str
    log: str
    journal: str


def files(name: str) -> Files:
    """Return what the files of the measurement `name` are called, in its folder."""
    journal = f"{partial.FOLDER}/{name}.answers.jsonl"
    return Files(f"{name}.lm_eval.json", f"{name}.samples.jsonl", f"{name}.lm_eval.log", journal)


def read_samples(path: Path) -> list[dict[str, Any]]:
    """Return lm-eval's per-question log; raises ArtifactMissing."""
    try:
        return [from_json(line) for line in path.read_bytes().split(b"\n") if line.strip()]
    except FileNotFoundError as error:
        raise ArtifactMissing(f"{path} is not there", do="Run lm_eval_task first") from error


def first_filter(samples: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield each scored question once: a task with several answer filters logs it once for each."""
    seen = set()
    for sample in samples:
        key = (sample["task"], sample["doc_id"])
        if key not in seen and ("score" in sample or "status" not in sample):  # logs of version 1 have neither
            seen.add(key)
            yield sample


def category_of(sample: dict[str, Any]) -> str:
    """Return the category that the question's document names, else its task, which in a group is one of many."""
    document = sample["doc"]
    return str(document.get("category") or document.get("subject") or sample["task"])


def clusters_of(samples: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return each question's cluster, nothing where one has none: independence is assumed then."""
    found = [str(sample.get("cluster", "")) for sample in samples]
    return found if all(found) else []


def read_results(settings: Settings, endpoint: Endpoint, folder: Path, *, task: Task, started: datetime) -> Evaluation:
    """Return the score with its interval, and forget the single answers where none is missing.

    Raises IncompleteCoverage for questions whose request failed and EmptyAnswers where most answers are none, unless
    allowed; EvaluationFailed where nothing was answered.
    """
    names = files(settings.name)
    report = json.loads((folder / names.results).read_text("utf-8"))
    about = report["assay"]
    samples = list(first_filter(read_samples(folder / names.samples)))
    scores, clusters = [float(sample["score"]) for sample in samples], clusters_of(samples)
    _check(settings, endpoint, about, len(scores))
    statuses: dict[str, int] = about["statuses"]
    if not statuses["failed"]:  # a run after this one measures again
        (folder / names.journal).unlink(missing_ok=True)
    yes_or_no = all(score in (0, 1) for score in scores)
    return Evaluation(
        name=settings.name,
        digest=endpoint.digest,
        task=settings.task,
        api=about["api"],
        metric=about["metric"],
        score_kind="proportion" if yes_or_no else "mean",
        score=math.fsum(scores) / len(scores),
        interval=mean_of_scores(scores, settings.confidence, clusters),
        clusters=len(set(clusters)),
        design_effect=design_effect(scores, clusters),
        chance=about["chance"],
        n=len(scores),
        correct=round(math.fsum(scores)) if yes_or_no else None,
        failed=statuses["failed"],
        empty=statuses["empty"],
        truncated=statuses["truncated"],
        as_lm_eval=about["as_lm_eval"],
        unparsed=about["unparsed"],
        total=about["total"],
        limit=settings.limit if _cut(report) else 0,
        num_fewshot=max(report["n-shot"].values(), default=0),
        dataset_digest=task.digest or about["dataset_digest"],
        samples=names.samples,
        report=names.results,
        started=started,
        ended=now(),
        request_seconds=about["request_seconds"],
        versions=about["versions"],
        settings=settings.parameters() | _reused(about) | _elsewhere(report),
    )


def _cut(report: dict[str, Any]) -> bool:
    """Return whether the limit left out questions: one above their number makes no trial."""
    return any(each["effective"] < each["original"] for each in report["n-samples"].values())


def _check(settings: Settings, endpoint: Endpoint, about: dict[str, Any], answered: int) -> None:
    statuses, total = about["statuses"], about["total"]
    failed, none = statuses["failed"], statuses["empty"] + statuses["truncated"]
    why = "; ".join(about["reasons"])
    if failed == total:
        raise EvaluationFailed(
            f"None of the {total} questions of {settings.task} got an answer from {endpoint.url}: {why}",
            do=f"See in the server's log why, then {partial.again()}",
        )
    if failed and not settings.allow_partial:
        raise IncompleteCoverage(
            f"{failed} of {total} questions of {settings.task} have no answer from {endpoint.url}: {why}",
            do=f"To ask only these, {partial.again()}; to accept the others alone, set ALLOW_PARTIAL=true",
        )
    if not answered or (none > MOST * total and not settings.allow_partial):
        raise EmptyAnswers(
            f"{none} of {total} answers of {endpoint.model} to {settings.task} are none: {statuses['empty']} without "
            f"text, {statuses['truncated']} cut off; {'; '.join(about['no_answers'])}",
            do="Give answers more room (GEN_KWARGS=max_gen_toks=2048), let a reasoning model be served with its "
            "reasoning parser or think less, and see that API fits the model",
        )


def score_again(evaluation: Evaluation, folder: Path, confidence: float) -> Interval:
    """Return the interval of the score that was measured, for another confidence; reads the per-question log."""
    samples = list(first_filter(read_samples(folder / evaluation.samples)))
    scores = [sample["score"] if "score" in sample else sample[evaluation.metric] for sample in samples]  # version 1
    return mean_of_scores([float(score) for score in scores], confidence, clusters_of(samples))


def _elsewhere(report: dict[str, Any]) -> dict[str, Parameter]:
    """Return what the task's code used that no digest covers."""
    found = report.get("assay_task", {}).get("elsewhere", [])
    return {ELSEWHERE: ", ".join(found[:10])} if found else {}


def _reused(about: dict[str, Any]) -> dict[str, Parameter]:
    """Return how many answers were not asked for, and where those of earlier evaluations come from."""
    count: int = about["answers_reused"]
    origins = "; ".join(f"{number} from {origin}" for origin, number in sorted(about["answers_from"].items()))
    return {"answers_reused": count, **({"answers_from": origins} if origins else {})}
