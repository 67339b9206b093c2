"""Which of a task's metrics is the score: one that gives each question a number from 0 to 1."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from helpers.errors import InvalidDataset, NotMeasurable

# What lm-eval's aggregations of one number per question are called; a function of the task's own is tried.
OF_SINGLE_SCORES = ("mean", "median", "nanmean")
DO_CHOOSE = "Set METRIC to a metric that scores each question from 0 to 1, or choose another task"
MOST_TRIED = 8
KINDS = {"multiple_choice": "loglikelihood"}  # of the requests, where not the task's own
FALLBACK = "[invalid]"  # of lm-eval's regex filters where nothing matches


@dataclass(frozen=True)
class Measure:
    """A metric of the answers as one filter extracts them."""

    metric: str
    filter: str
    name: str  # with the filter where the task has several, as in lm-eval's results

    def matches(self, wanted: str) -> bool:
        """Whether this is what METRIC names, with or without the filter."""
        return wanted in (self.metric, f"{self.metric},{self.filter}")


def candidates(tasks: Mapping[str, Any], wanted: str) -> list[Measure]:
    """Return the measures that all tasks share and that may score each question, the task's first one first.

    `wanted` is auto or a metric's name. No question is asked: lm-eval's scoring is tried on a made-up answer to the
    first one. Raises NotMeasurable where none is left.
    """
    found: list[dict[Measure, str]] = [_measures(name, task) for name, task in tasks.items()]
    shared = {
        measure: next((each[measure] for each in found if each[measure]), "")
        for measure in found[0]
        if all(measure in each for each in found)
    }
    named = [measure for measure in shared if wanted == "auto" or measure.matches(wanted)]
    usable = [measure for measure in named if not shared[measure]]
    if usable:
        return usable
    if not named:
        if not shared:
            each = "; ".join(
                f"{name}: {', '.join(m.name for m in own)}" for name, own in zip(tasks, found, strict=True)
            )
            do = "Measure its tasks one by one, or choose another"
            raise NotMeasurable(f"The parts of this group share no metric ({each})", do=do)
        known = ", ".join(measure.name for measure in shared)
        raise NotMeasurable(f"{_names(tasks)} has no metric {wanted}; its metrics are {known}", do=DO_CHOOSE)
    why = "; ".join(f"{measure.name} {shared[measure]}" for measure in named)
    raise NotMeasurable(f"No metric of {_names(tasks)} scores each question from 0 to 1: {why}", do=DO_CHOOSE)


def chosen(measures: Sequence[Measure], rows: Sequence[Mapping[str, Any]]) -> Measure:
    """Return the first measure whose value is from 0 to 1 in each row of its filter; raises NotMeasurable."""
    faults = []
    for measure in measures:
        values = [row.get(measure.metric) for row in rows if row["filter"] == measure.filter]
        if not (fault := next(filter(None, map(_fault, values)), "")):
            return measure
        faults.append(f"{measure.name} {fault}")
    do = f"{DO_CHOOSE}: the answers are kept and not asked again"
    raise NotMeasurable(f"No metric scores each question from 0 to 1: {'; '.join(faults)}", do=do)


def chance(task: Any, row: Mapping[str, Any]) -> float | None:
    """Return what guessing scores on a question: the YAML's `metadata: {chance: …}`, or 1 / choices, None elsewhere.

    Raises InvalidDataset where the YAML's value is no share.
    """
    given = metadata(task, "chance")
    if given is not None:
        if _fault(given):
            what = f"{task.get_config('task')}, field metadata.chance: {given!r} is not a number from 0 to 1"
            raise InvalidDataset(what, do="Correct the task's YAML")
        return float(given)
    if task.OUTPUT_TYPE not in ("multiple_choice", "generate_until"):
        return None
    choices = _choices(task, row["doc"])
    right = row["target"] if isinstance(row["target"], list) and task.OUTPUT_TYPE == "multiple_choice" else [0]
    return len(right) / choices if choices > 1 and len(right) < choices else None


def cluster(task: Any, document: Mapping[str, Any]) -> str:
    """Return the value of the field that the YAML's `metadata: {cluster: …}` names, "" where there is none.

    Questions with one value belong together: one topic, one document, the paraphrases of one question.
    """
    field = metadata(task, "cluster")
    value = document.get(field) if isinstance(field, str) else None
    return "" if value is None else str(value)


def reads(task: Any) -> int:
    """Return how many characters of an answer are looked at: the YAML's `metadata: {reads: …}`; 0: all of them.

    Raises InvalidDataset where that is no number of characters.
    """
    given = metadata(task, "reads")
    if given is not None and (isinstance(given, bool) or not isinstance(given, int) or given < 1):
        what = f"{task.get_config('task')}, field metadata.reads: {given!r} is no number of characters"
        raise InvalidDataset(what, do="Correct the task's YAML")
    return given or 0


def metadata(task: Any, name: str) -> Any:
    """Return what the YAML's `metadata` says under a name, None where it says nothing."""
    found = task.get_config("metadata")
    return found.get(name) if isinstance(found, dict) else None


def fallbacks(task: Any, measure: Measure) -> set[str]:
    """Return what the filter leaves where it finds no answer in a text."""
    of_filter = [item for item in task.get_config("filter_list") or () if item["name"] == measure.filter]
    functions = [function for item in of_filter for function in item["filter"]]
    return {str(item.get("fallback", FALLBACK)) for item in functions if "regex" in str(item["function"])}


def _choices(task: Any, document: Mapping[str, Any]) -> int:
    """Return the number of choices of a question, 0 where it has none."""
    if task.get_config("doc_to_choice") is not None:
        return len(task.doc_to_choice(document))
    found = document.get("choices") or document.get("options")
    found = found.get("text") if isinstance(found, dict) else found
    return len(found) if isinstance(found, list) else 0


def _measures(name: str, task: Any) -> dict[Measure, str]:
    """Return each metric with each filter, and why it scores no single question, "" where it does."""
    filters = [ensemble.name for ensemble in getattr(task, "_filters", ())] or ["none"]
    tried = _tried(name, task, filters)
    metrics = list(dict.fromkeys([*task.aggregation(), *(metric for metric, _ in tried)]))
    if tried:  # a function may return its scores under other names than its own
        metrics = [metric for metric in metrics if any(metric == each for each, _ in tried)]
    found = {}
    for metric in metrics:
        for each in filters:
            label = metric if len(filters) == 1 else f"{metric},{each}"
            found[Measure(metric, each, label)] = _unfit(task, metric, tried.get((metric, each)))
    return found


def _unfit(task: Any, metric: str, value: Any) -> str:
    if task.higher_is_better().get(metric) is False:
        return "is better where it is lower"
    aggregation = _aggregation(task.aggregation().get(metric))
    if aggregation and aggregation not in OF_SINGLE_SCORES:
        return f"is made of all questions together ({aggregation})"
    return "" if value is None else _fault(value)


def _aggregation(function: Any) -> str:
    """Return lm-eval's name of an aggregation, "" for a function of the task's own."""
    from lm_eval.api.registry import AGGREGATION_REGISTRY

    return next((str(name) for name, known in AGGREGATION_REGISTRY.items() if known is function), "")


def _tried(name: str, task: Any, filters: Sequence[str]) -> dict[tuple[str, str], Any]:
    """Score made-up answers to the first question, {} where the task's own code takes none.

    Of each metric's values one that is no score is returned where there is one: a text that is in the document itself
    may be the right one, which shows whether a metric goes up to 1 or to 100.
    """
    from lm_eval.api.instance import Instance

    found: dict[tuple[str, str], Any] = {}
    try:
        document = task.task_docs[0]
        repeats = task.get_config("repeats") or 1
        for answers in _made_up(task, document):
            requests = []
            for place, answer in enumerate(answers):
                about = {"idx": place, "metadata": (name, 0, repeats), "doc": document, "arguments": ("", {})}
                requests.append(Instance(request_type=KINDS.get(task.OUTPUT_TYPE, task.OUTPUT_TYPE), **about))
                requests[-1].resps = [answer] * repeats
            for ensemble in task._filters:
                ensemble.apply(requests)
            for each in filters:
                results = task.process_results(document, [request.filtered_resps[each] for request in requests])
                for metric, value in results.items():
                    if not _fault(found.get((metric, each), value)):
                        found[metric, each] = value
    except Exception as error:  # noqa: BLE001 - a stranger's code, on an answer that no model gave
        logging.getLogger(__name__).info("%s: the metrics cannot be tried beforehand: %r", name, error)
    return found


def _made_up(task: Any, document: Mapping[str, Any]) -> Iterator[list[Any]]:
    """Yield answers as the model would give them, one for each request."""
    if task.OUTPUT_TYPE == "generate_until":
        yield ["x"]
        texts = [task.doc_to_target(document), *document.values()]
        flat = [text for value in texts for text in (value if isinstance(value, list) else [value])]
        yield from ([text] for text in [text for text in flat if isinstance(text, str) and text.strip()][:MOST_TRIED])
    elif task.OUTPUT_TYPE == "loglikelihood_rolling":
        yield [-1.0]
    elif task.OUTPUT_TYPE == "loglikelihood":
        yield [(-1.0, True)]
    else:
        choices = len(task.doc_to_choice(document))
        count = choices * 2 if "acc_mutual_info" in task.aggregation() else choices
        yield [(-1.0 - place, False) for place in range(count)]


def _fault(value: Any) -> str:
    """Return why a value is no score, "" where it is one."""
    value = value.item() if hasattr(value, "item") else value  # numpy's own numbers
    if not isinstance(value, int | float):
        return "gives no number for a question" if value is not None else "is missing for a question"
    return "" if 0 <= value <= 1 else f"leaves the range from 0 to 1 ({float(value):g})"


def _names(tasks: Mapping[str, Any]) -> str:
    return ", ".join(tasks)
