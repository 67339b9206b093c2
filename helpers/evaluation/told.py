"""An evaluation in a few lines, the answer first."""

from __future__ import annotations

from helpers.artifacts import Evaluation
from helpers.statistics import share_above

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


def summary(evaluation: Evaluation) -> str:
    """Return what was found, on how much, and how it was asked."""
    lines = [headline(evaluation)]
    if evaluation.trial:
        lines.append(f"A trial: the first {evaluation.limit} questions only, no measurement of the whole task.")
    if missing := not_scored(evaluation):
        lines.append(f"{evaluation.total - evaluation.n} of {evaluation.total} questions are not scored: {missing}.")
    if evaluation.as_lm_eval is not None:
        lines.append(f"lm-eval itself counts such answers as they are and reports {evaluation.as_lm_eval:.3f}.")
    if evaluation.unparsed:
        lines.append(f"In {evaluation.unparsed} of the scored texts the task's filter found no answer: they score 0.")
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
    shots = f"{evaluation.num_fewshot} worked examples" if evaluation.num_fewshot != 1 else "one worked example"
    lines.append(f"Scored by {evaluation.metric}, asked through {evaluation.api} with {shots}.")
    return "\n".join(lines)
