"""One model's accuracy with its uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.artifacts import FOLDER, Evaluation, Interval
from helpers.comparison.answers import Answer, read_answers
from helpers.comparison.compare import by_category
from helpers.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = tuple[str, float, Interval, int]  # name, score, interval, n


def accuracy_by_category(evaluation: Evaluation, folder: Path = FOLDER) -> Figure:
    """Accuracy with its interval, overall and by category, weakest category last; reads the per-question log."""
    from matplotlib import pyplot

    answers = list(read_answers(folder / evaluation.samples, evaluation.metric).values())
    parts = sorted(by_category(answers, evaluation.interval.confidence), key=lambda part: -part.score)
    rows: list[Row] = [("all questions", evaluation.score, evaluation.interval, evaluation.n)]
    rows += [(part.name, part.score, part.interval, part.n) for part in parts]
    with pyplot.rc_context(style.RC):
        figure, axes = pyplot.subplots(figsize=(10, 1.6 + 0.42 * len(rows)), layout="constrained")
        for place, row in enumerate(rows):
            _mark(axes, place, row)
        _chance(axes, answers)
        axes.axhline(0.5, color=style.GREY, linewidth=1)
        axes.grid(visible=False, axis="y")
        axes.set_yticks(range(len(rows)), [f"{name} (n = {n})" for name, _, _, n in rows])
        axes.set_ylim(len(rows) - 0.5, -0.9)
        axes.set_xlim(0, 1)
        axes.set_xlabel(f"Share answered correctly, with {evaluation.interval.confidence:.0%} interval")
        failed = f", {evaluation.failed} without an answer left out" if evaluation.failed else ""
        axes.set_title(f"{evaluation.task}: {evaluation.correct} of {evaluation.n} correct{failed}")
    return style.finished(figure)


def _mark(axes: Axes, place: int, row: Row) -> None:
    _, score, interval, _ = row
    shade, shape = (style.COLOURS[0], "D") if place == 0 else ("0.35", "o")
    error = [[score - interval.low], [interval.high - score]]
    axes.errorbar(score, place, xerr=error, fmt=shape, color=shade, capsize=4, markersize=8)
    axes.annotate(f"{score:.2f}", (1.02, place), xycoords=("axes fraction", "data"), va="center", color=shade)


def _chance(axes: Axes, answers: Sequence[Answer]) -> None:
    """Draw what guessing would reach, where every question has choices."""
    if not all(answer.choices for answer in answers):
        return
    chance = sum(1 / answer.choices for answer in answers) / len(answers)
    axes.axvline(chance, color=style.GREY, linestyle=":")
    where: Any = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
    axes.annotate(f"guessing {chance:.2f}", (chance, 1), (4, -12), **where)
