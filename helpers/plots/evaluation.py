"""One model's accuracy with its uncertainty."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from helpers.artifacts import FOLDER, Evaluation, Interval
from helpers.comparison.answers import read_answers
from helpers.comparison.compare import by_category
from helpers.plots.style import colour

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def accuracy_by_category(evaluation: Evaluation, folder: Path = FOLDER) -> Figure:
    """Accuracy with its interval, overall and by category, weakest category last; reads the per-question log."""
    from matplotlib import pyplot

    answers = list(read_answers(folder / evaluation.samples, evaluation.metric).values())
    parts = sorted(by_category(answers, evaluation.interval.confidence), key=lambda part: -part.score)
    rows: list[tuple[str, float, Interval, int]] = [
        ("all questions", evaluation.score, evaluation.interval, evaluation.n)
    ]
    rows += [(part.name, part.score, part.interval, part.n) for part in parts]
    figure, axes = pyplot.subplots(figsize=(9, 1.6 + 0.42 * len(rows)), layout="constrained")
    for place, (_, score, interval, _) in enumerate(rows):
        shade = colour("all", ["all"]) if place == 0 else "0.4"
        error = [[score - interval.low], [interval.high - score]]
        axes.errorbar(
            score, place, xerr=error, fmt="D" if place == 0 else "o", color=shade, capsize=4, markersize=8, lw=2
        )
        axes.annotate(f"{score:.2f}", (1.02, place), xycoords=("axes fraction", "data"), va="center", color=shade)
    if all(answer.choices for answer in answers):
        chance = sum(1 / answer.choices for answer in answers) / len(answers)
        axes.axvline(chance, color="0.6", linestyle=":", linewidth=1.5)
        axes.annotate(
            f"guessing {chance:.2f}",
            (chance, 1),
            (4, -12),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            color="0.35",
        )
    axes.axhline(0.5, color="0.8", linewidth=1)
    axes.set_yticks(range(len(rows)), [f"{name} (n = {n})" for name, _, _, n in rows])
    axes.set_ylim(len(rows) - 0.5, -0.9)
    axes.set_xlim(0, 1)
    axes.set_xlabel(f"Share answered correctly, with {evaluation.interval.confidence:.0%} interval")
    failed = f", {evaluation.failed} without an answer left out" if evaluation.failed else ""
    axes.set_title(f"{evaluation.task}: {evaluation.correct} of {evaluation.n} correct{failed}")
    return figure
