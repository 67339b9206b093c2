"""An evaluation in a few lines, the answer first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from helpers.artifacts import Evaluation, Metric, NotMeasured
from helpers.statistics import Paired, share_above

PAIRED = "paired"  # the table of an evaluation's detail that holds its tests of one score against another
NOT_SCORED = {"failed": "failed", "empty": "without text", "truncated": "cut off"}


def headline(evaluation: Evaluation) -> str:
    """Return the score with its interval and what guessing scores."""
    low, high = evaluation.interval.low, evaluation.interval.high
    chance = evaluation.chance
    right = "" if evaluation.correct is None else f", {evaluation.correct} of {evaluation.n} right"
    text = f"{evaluation.task}: {evaluation.score:.3f} ({low:.3f} to {high:.3f}){right}"
    if chance is None:
        return text
    other = "worse than" if high < chance else "may be no better than"
    return f"{text}; {'better than' if _above(evaluation, chance) else other} guessing ({chance:.3f})"


def _above(evaluation: Evaluation, chance: float) -> bool:
    """Return whether it beats guessing, by the recommendation's test where each answer is right or wrong."""
    if evaluation.correct is None:
        return evaluation.interval.low > chance
    effect = evaluation.design_effect
    return share_above(evaluation.correct / effect, evaluation.n / effect, chance) < 1 - evaluation.interval.confidence


def not_scored(evaluation: Evaluation) -> str:
    """Return how many questions have no score, by reason, "" where each has one."""
    counts = [(getattr(evaluation, field), words) for field, words in NOT_SCORED.items()]
    return ", ".join(f"{count} {words}" for count, words in counts if count)


def summary(evaluation: Evaluation | NotMeasured) -> str:
    """Return what was found, on how much, and how it was asked; or why nothing was."""
    if isinstance(evaluation, NotMeasured):
        return f"{evaluation.name} is not measured: {evaluation.why}."
    lines = [headline(evaluation), *map(_further, evaluation.others), *_pairs(evaluation.detail.get(PAIRED, {}))]
    if evaluation.trial:
        lines.append(f"A trial: the first {evaluation.limit} questions only, no measurement of the whole task.")
    if missing := not_scored(evaluation):
        lines.append(f"{evaluation.total - evaluation.n} of {evaluation.total} questions are not scored: {missing}.")
    if evaluation.as_lm_eval is not None:
        lines.append(f"lm-eval itself counts such answers as they are and reports {evaluation.as_lm_eval:.3f}.")
    if evaluation.unparsed:
        lines.append(f"In {evaluation.unparsed} of the scored texts no answer was found: they score 0.")
    if again := evaluation.again:
        lines.append(
            f"{again.asked} questions were asked again: {again.flips} were scored otherwise, {again.reworded} answered "
            "in other words."
        )
    if evaluation.clusters:
        lines.append(
            f"The questions come in {evaluation.clusters} clusters and say as much as "
            f"{evaluation.n / evaluation.design_effect:.0f} independent ones."
        )
    if grader := evaluation.detail.get("grader"):
        lines.append(_grader(grader))
    if evaluation.evaluator == "garak":
        lines.append(
            f"An answer is judged by its first {evaluation.settings['max_tokens']} tokens or what its probe says. "
            "A model that cannot follow a prompt resists it: this says nothing of one that may be guessing elsewhere, "
            "or that refuses everything."
        )
    return "\n".join([*lines, f"Scored by {evaluation.metric}, asked through {evaluation.api}{_shots(evaluation)}."])


def _further(metric: Metric) -> str:
    """Return a further figure in a line, with its interval where it has one, and what it was computed from."""
    digits, unit = (1, f" {metric.unit}") if metric.unit else (3, "")
    span = metric.interval and f" ({metric.interval.low:.{digits}f} to {metric.interval.high:.{digits}f})"
    return f"{metric.name}: {metric.value:.{digits}f}{unit}{span or ''}, n = {metric.n}"


def paired(pair: Paired) -> dict[str, float]:
    """Return a test as a row of the table `PAIRED`."""
    counts = pair.model_dump(include={"both", "only_first", "only_second", "neither", "difference", "p_value"})
    return counts | {"low": pair.interval.low, "high": pair.interval.high}


def _pairs(table: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    for what, row in table.items():
        n = sum(row[name] for name in ("both", "only_first", "only_second", "neither"))
        interval = f"{row['difference']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f})"
        flips = f"{row['only_first']} higher by the first and {row['only_second']} by the second"
        yield f"{what}: {interval} on {n} rows, {flips}, p = {row['p_value']:.2g}"


def _grader(table: Mapping[str, Any]) -> str:
    """Return how far the model that graded a suite can be trusted."""
    model, n = table["model"], table.get("n")
    if not n:
        return f"{model} graded, and nobody has checked it: put answers with labels beside the suite (labelled.jsonl)."
    kappa = "none, for both say one thing only" if table["kappa"] is None else f"{table['kappa']:.2f}"
    text = f"{model} graded; it agrees with {table['agreed']} of {n} labels ({table['low']:.3f} to {table['high']:.3f})"
    text += f", Cohen's kappa {kappa}"
    text += f"; it differs on {', '.join(table['differs'])}" if table["differs"] else ""
    return text + (f"; {table['failed']} of {n + table['failed']} got no verdict" if table["failed"] else "") + "."


def _shots(evaluation: Evaluation) -> str:
    """Return how many worked examples stood before each question; only lm-eval has such."""
    if evaluation.evaluator != "lm_eval":
        return ""
    return f" with {evaluation.num_fewshot} worked example{'s'[: evaluation.num_fewshot != 1]}"
