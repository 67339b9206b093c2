"""lm-eval's results: `results_*.json` with `samples_*.jsonl` beside it; one measurement a task, or group of tasks."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from helpers.artifacts import Evaluation, Sample, canonical
from helpers.errors import InvalidResults
from helpers.evaluation.lm_eval.scoring import Measure
from helpers.records.imports import lm_eval_samples
from helpers.records.imports.contract import Imported
from helpers.records.imports.files import DO, short_name
from helpers.records.imports.scores import of_samples, questions
from helpers.statistics import wilson

DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(?:\.\d+)?")
ADDRESS = re.compile(r" at 0x[0-9a-f]+")  # of a function, which each run has elsewhere
TOOL = "lm_eval"
AGAIN = "Measure with lm-eval 0.4.3 or later and --log_samples"
# Of a task's configuration: what decides the text that a model is asked.
PROMPT = (
    *("description", "doc_to_text", "doc_to_choice", "target_delimiter", "fewshot_delimiter", "fewshot_config"),
    *("dataset_path", "dataset_name", "test_split", "validation_split"),
)
CLOSE = 1e-6  # between lm-eval's mean and that of the samples
# Metrics with an aggregation of their own, where none is configured.
TOGETHER = ("mcc", "f1", "bleu", "chrf", "ter", "brier_score", "bits_per_byte", "byte_perplexity", "word_perplexity")


def claims(content: Any) -> bool:
    """Return whether this is lm-eval's report."""
    return isinstance(content, dict) and {"results", "versions", "config"} <= content.keys()


def read(path: Path, content: Mapping[str, Any], metric: str = "") -> Imported:
    """Return a measurement of each task, or group whose tasks share a metric. Raises InvalidResults."""
    if "configs" not in content:
        raise InvalidResults(f"{path}: is of lm-eval before 0.4, which kept no answers to compare", do=AGAIN)
    found: list[tuple[Evaluation, list[Sample]]] = []
    notes: list[str] = []
    members, names = _members(content)
    logs = {task: _log(path, content, task) for task in content["configs"]}
    while names:
        name = names.pop(0)
        own = {task: logs[task] for task in _leaves(name, members) if task in logs}
        measures, why = _measures(path, content, own, metric)
        if measures:
            found.append(_evaluation(path, content, name, own, measures))
        elif name in members:  # what makes it up may have a metric each
            names += members[name]
        elif own:
            notes.append(why)
    if not found:
        raise InvalidResults(
            f"{path}: no task has a score from 0 to 1 ({'; '.join(notes)})",
            do="Measure a task that has one, or name another metric",
        )
    return Imported(
        model=model_of(content) or path.parent.name,
        place=path,
        measurements=tuple(each for each, _ in found),
        samples={each.name: samples for each, samples in found if each.samples},
        notes=tuple(notes),
    )


def model_of(content: Mapping[str, Any]) -> str:
    """Return the model's name, "" where the report has none."""
    arguments = content.get("config", {}).get("model_args") or {}
    if isinstance(arguments, str):
        arguments = dict(part.split("=", 1) for part in arguments.split(",") if "=" in part)
    named = content.get("model_name") or arguments.get("pretrained") or arguments.get("model") or ""
    return str(named)


def _members(content: Mapping[str, Any]) -> tuple[dict[str, list[str]], list[str]]:
    """Return what makes up each group, and the groups and tasks that are in no group."""
    members = {name: list(found) for name, found in content.get("group_subtasks", {}).items() if found}
    inner = {child for found in members.values() for child in found}
    return members, [name for name in dict.fromkeys([*members, *content["configs"]]) if name not in inner]


def _leaves(name: str, members: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the tasks of a group, or the task itself."""
    return [leaf for child in members[name] for leaf in _leaves(child, members)] if name in members else [name]


def _log(path: Path, content: Mapping[str, Any], task: str) -> lm_eval_samples.Log | None:
    """Return the task's samples, None where the tool kept none. Raises InvalidResults where they are another's."""
    date = DATE.search(path.name)
    file = path.parent / f"samples_{task}_{date[0]}.jsonl" if date else None
    if file is None or not file.is_file():
        others = [each for each in path.parent.glob("samples_*.jsonl") if _is_of(each, task)]
        beside = [each for each in others if not _has_report(each)]
        if len(beside) > 1 or (beside and date):
            names = ", ".join(sorted(each.name for each in beside))
            raise InvalidResults(f"{names} beside {path}: of another results file", do=DO)
        file = beside[0] if beside else None
    if file is None:
        return None
    log = lm_eval_samples.read(file, task)
    wanted = content.get("n-samples", {}).get(task, {}).get("effective")
    if wanted is not None and len(log.questions) != wanted:
        raise InvalidResults(f"{file}: holds {len(log.questions)} of {wanted} questions that {path.name} tells", do=DO)
    known = content.get("task_hashes", {}).get(task)
    if known and known != log.digest:
        raise InvalidResults(f"{file}: belongs to another results file than {path.name}: other questions", do=DO)
    return log


def _is_of(file: Path, task: str) -> bool:
    rest = file.stem.removeprefix(f"samples_{task}")
    return rest != file.stem and (not rest or DATE.fullmatch(rest.removeprefix("_")) is not None)


def _has_report(file: Path) -> bool:
    date = DATE.search(file.name)
    return date is not None and any(file.parent.glob(f"*{date[0]}.json"))


def _measures(
    path: Path,
    content: Mapping[str, Any],
    logs: Mapping[str, lm_eval_samples.Log | None],
    wanted: str,
) -> tuple[list[Measure], str]:
    """Return the metrics that score each question of all tasks from 0 to 1, the report's first one first, or why none.

    Raises InvalidResults where a score of a question lies outside, or where the samples have another mean.
    """
    tasks, shared = list(logs), [_scores(content, task) for task in logs]
    common = [key for key in (shared or [{}])[0] if all(key in each for each in shared)]
    several = len({of_filter for _, of_filter in common}) > 1
    named = [Measure(name, kept, f"{name},{kept}" if several else name) for name, kept in common]
    usable, faults = [], []
    for measure in (each for each in named if not wanted or each.matches(wanted)):
        why = next(filter(None, (_unfit(path, content, task, measure, logs[task]) for task in tasks)), "")
        faults += [why] if why else []
        usable += [] if why else [measure]
    none = "; ".join(faults) or "no metric that all of them share"
    if wanted and not faults:
        none = f"no metric {wanted}, but {', '.join(each.name for each in named) or 'none'}"
    return usable, f"{', '.join(tasks[:3])}: {none}"


def _scores(content: Mapping[str, Any], task: str) -> dict[tuple[str, str], float]:
    """Return lm-eval's own means, by metric and filter."""
    found = {}
    for key, value in content["results"].get(task, {}).items():
        name, _, kept = key.partition(",")
        if isinstance(value, int | float) and not name.endswith("_stderr") and name not in ("alias", "sample_len"):
            found[name, kept or "none"] = float(value)
    return found


def _unfit(path: Path, content: Mapping[str, Any], task: str, measure: Measure, log: lm_eval_samples.Log | None) -> str:
    """Return why a metric scores no single question, "" where it does."""
    configured = _configured(content, task, measure.metric).get("higher_is_better")
    if content.get("higher_is_better", {}).get(task, {}).get(measure.metric, configured) is False:
        return f"{measure.name} is better where it is lower"
    mean = _scores(content, task)[measure.metric, measure.filter]
    if not 0 <= mean <= 1:
        return f"{measure.name} leaves the range from 0 to 1 ({mean:g})"
    together = f"{measure.name} is made of all questions together, so no number of questions says how sure it is"
    if log is None:
        return together if _aggregation(content, task, measure.metric) != "mean" else ""
    scores = log.scores(measure)
    if scores is None:
        return f"{measure.name} gives no number for a question"
    if math.isclose(math.fsum(scores) / len(scores), mean, abs_tol=CLOSE):
        return ""
    if _aggregation(content, task, measure.metric) != "mean":
        return together
    raise InvalidResults(
        f"{log.path}: belongs to another results file than {path.name}: its {measure.name} of {task} is "
        f"{math.fsum(scores) / len(scores):.4f}, there it is {mean:.4f}",
        do=DO,
    )


def _aggregation(content: Mapping[str, Any], task: str, metric: str) -> str:
    """Return how a metric's values become one, as the task configures it or lm-eval does without."""
    told = _configured(content, task, metric).get("aggregation")
    return str(told or (metric if metric in TOGETHER else "mean"))


def _configured(content: Mapping[str, Any], task: str, metric: str) -> Mapping[str, Any]:
    """Return what the task's configuration says of a metric, {} where nothing."""
    listed = content["configs"][task].get("metric_list") or []
    return next((each for each in listed if isinstance(each, dict) and each.get("metric") == metric), {})


def _evaluation(
    path: Path,
    content: Mapping[str, Any],
    name: str,
    logs: Mapping[str, lm_eval_samples.Log | None],
    measures: Sequence[Measure],
) -> tuple[Evaluation, list[Sample]]:
    """Return the measurement and its samples; of a task without a log its mean and its number of questions only."""
    tasks = list(logs)
    known = [log for log in logs.values() if log is not None]
    samples: list[Sample] = []
    if len(known) == len(logs):
        samples = [each for task, log in logs.items() for each in log.samples(measures, _metadata(content, task))]  # type: ignore[union-attr]
    about = of_samples(path, samples) if samples else _of_means(path, content, tasks, measures[0])
    started, seconds = _times(path, content)
    return Evaluation(
        name=short_name(name),
        imported=True,
        task=name,
        api="chat" if _is_chat(content) else "completions",
        metric=measures[0].name,
        num_fewshot=max((content.get("n-shot", {}).get(task, 0) for task in tasks), default=0),
        limit=_limit(content, tasks, about["total"]),
        dataset_digest=_digest(samples, content, tasks),
        samples=f"{short_name(name)}.samples.jsonl" if samples else "",
        report=path.name,
        request_seconds=seconds,
        started=started,
        ended=started + timedelta(seconds=seconds),
        versions={TOOL: str(content.get("lm_eval_version") or "unknown")},
        settings=settings(content, tasks),
        **about,
    ), samples


def _of_means(path: Path, content: Mapping[str, Any], tasks: Sequence[str], measure: Measure) -> dict[str, Any]:
    """Return the mean over the tasks' questions; the interval is that of right and wrong answers, the widest there is.

    Raises InvalidResults where the number of questions is not told.
    """
    counts = [content.get("n-samples", {}).get(task, {}).get("effective") for task in tasks]
    if not all(counts):
        raise InvalidResults(
            f"{path}, {', '.join(tasks[:3])}: neither samples nor the number of questions is there, so nothing says "
            "how sure the score is",
            do=AGAIN,
        )
    means = [_scores(content, task)[measure.metric, measure.filter] for task in tasks]
    n = sum(counts)
    score = math.fsum(mean * count for mean, count in zip(means, counts, strict=True)) / n
    return {"score": score, "interval": wilson(score * n, n), "n": n, "failed": 0, "total": n}


def _metadata(content: Mapping[str, Any], task: str) -> Mapping[str, Any]:
    found = content["configs"][task].get("metadata")
    return found if isinstance(found, dict) else {}


def _is_chat(content: Mapping[str, Any]) -> bool:
    return bool(content.get("chat_template")) or "chat" in str(content.get("config", {}).get("model", ""))


def _limit(content: Mapping[str, Any], tasks: Sequence[str], total: int) -> int:
    """Return how many questions were asked where a limit left out others, else 0."""
    counts = [content.get("n-samples", {}).get(task, {}) for task in tasks]
    cut = any(each.get("effective", 0) < each.get("original", 0) for each in counts)
    limited = content.get("config", {}).get("limit") and not any(counts)
    return total if cut or limited else 0


def _digest(samples: Sequence[Sample], content: Mapping[str, Any], tasks: Sequence[str]) -> str:
    """Return a digest over the questions, of whose order nothing depends; without samples over what names them."""
    if samples:
        return questions(samples)
    versions = {task: [content["versions"].get(task), content.get("n-samples", {}).get(task)] for task in tasks}
    return canonical.digest({"tasks": versions})


def settings(content: Mapping[str, Any], tasks: Sequence[str]) -> dict[str, Any]:
    """Return what decides how the questions were asked; digests stand for texts."""
    prompts = {task: {key: content["configs"][task].get(key) for key in PROMPT} for task in tasks}
    examples = [content.get("n-shot", {}).get(task) for task in tasks]
    versions = [str(content["versions"].get(task)) for task in tasks]
    asked = [content["configs"][task].get("generation_kwargs") for task in tasks]
    texts = ("system_instruction", "chat_template")
    return {
        "task_version": " ".join(versions if len(set(versions)) > 1 else versions[:1]),
        "prompt": canonical.digest(json.loads(ADDRESS.sub("", json.dumps([prompts, examples], default=str)))),
        "gen_kwargs": canonical.digest({"asked": asked})[:19] if any(asked) else "",
        "fewshot_as_multiturn": str(bool(content.get("fewshot_as_multiturn"))),
        "seed": str(content.get("config", {}).get("fewshot_seed", "")),
        **{name: canonical.digest({name: content[name]})[:19] for name in texts if content.get(name)},
    }


def _times(path: Path, content: Mapping[str, Any]) -> tuple[datetime, float]:
    """Return when the run started and how many seconds it took, as far as the report tells."""
    seconds = float(content.get("total_evaluation_time_seconds") or 0)
    stamp = content.get("date") or path.stat().st_mtime
    return datetime.fromtimestamp(float(stamp), UTC), seconds
