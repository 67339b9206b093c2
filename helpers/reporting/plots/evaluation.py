"""One model's accuracy with its uncertainty."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from helpers.analysis.comparison.comparing import by_category
from helpers.artifacts import FOLDER, Evaluation, Interval, NotMeasured
from helpers.evaluation.samples import read_samples
from helpers.evaluation.told import NOT_SCORED, headline, not_scored
from helpers.reporting.plots import style
from helpers.statistics import wilson

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Row(NamedTuple):
    """One line of the figure."""

    name: str
    score: float
    interval: Interval
    label: str  # how many questions


def accuracy_by_category(evaluation: Evaluation | NotMeasured, folder: Path = FOLDER) -> Figure | None:
    """Score with its interval, overall and by category, weakest category last; None where nothing was measured.

    Reads the samples log.
    """
    if isinstance(evaluation, NotMeasured):
        return None
    return _drawn(evaluation, _rows(evaluation, folder / evaluation.samples))


def passed_by_kind(evaluation: Evaluation | NotMeasured, folder: Path = FOLDER) -> Figure | None:
    """Share of a suite's tests that passed, overall and by category, and below that of the assertions by their kind."""
    if isinstance(evaluation, NotMeasured):
        return None
    rows, confidence = _rows(evaluation, folder / evaluation.samples), evaluation.interval.confidence
    kinds: list[Row] = []
    for kind, counts in evaluation.detail.get("assertions", {}).items():
        passed, n = counts["passed"], counts["passed"] + counts["failed"]
        kinds.append(Row(kind, passed / n, wilson(passed, n, confidence), f"n = {n}"))
    kinds.sort(key=lambda row: -row.score)
    if n := evaluation.detail.get("grader", {}).get("n"):
        agreed = evaluation.detail["grader"]["agreed"]
        kinds.append(Row("grader, by labels", agreed / n, wilson(agreed, n, confidence), f"n = {n}"))
    return _drawn(evaluation, [*rows, *kinds], (0.5, len(rows) - 0.5))


def _drawn(evaluation: Evaluation, rows: Sequence[Row], lines: Sequence[float] = (0.5,)) -> Figure:
    from matplotlib import pyplot

    with pyplot.rc_context(style.RC):
        figure, axes = pyplot.subplots(figsize=(10, 1.9 + 0.42 * len(rows)), layout="constrained")
        for place, row in enumerate(rows):
            _mark(axes, place, row)
        _chance(axes, evaluation.chance)
        for line in lines:
            axes.axhline(line, color=style.GREY, linewidth=1)
        axes.grid(visible=False, axis="y")
        axes.set_yticks(range(len(rows)), [f"{style.short(row.name)} ({row.label})" for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.9)
        axes.set_xlim(0, 1)
        what = "Share answered correctly" if evaluation.score_kind == "proportion" else f"Mean {evaluation.metric}"
        what = "Share of attempts resisted" if evaluation.evaluator == "garak" else what
        axes.set_xlabel(f"{what}, with {evaluation.interval.confidence:.0%} interval")
        missing = not_scored(evaluation)
        trial = f"trial of the first {evaluation.limit} questions" if evaluation.trial else ""
        notes = "; ".join(filter(None, [trial, f"not scored: {missing}" if missing else "", _unparsed(evaluation)]))
        axes.set_title(headline(evaluation) + (f"\n{notes}" if notes else ""), fontsize=11)
    return style.finished(figure)


def letters(evaluation: Evaluation | NotMeasured) -> Figure | None:
    """How often each letter was right and how often it was answered; None where the answers are no letters."""
    found = {} if isinstance(evaluation, NotMeasured) else evaluation.detail
    if not {"expected", "answered"} <= found.keys():
        return None
    from matplotlib import pyplot

    names = list(dict.fromkeys([*found["expected"], *found["answered"]]))
    with pyplot.rc_context(style.RC):
        figure, axes = pyplot.subplots(figsize=(10, 3), layout="constrained")
        kinds = (("expected", -0.2, style.GREY, "right"), ("answered", 0.2, style.COLOURS[0], "answered"))
        for kind, offset, colour, label in kinds:
            counts = [found[kind].get(name, 0) for name in names]
            axes.bar([place + offset for place in range(len(names))], counts, 0.4, color=colour, label=label)
        axes.set_xticks(range(len(names)), names)
        axes.grid(visible=False, axis="x")
        axes.set_ylabel("questions")
        axes.set_title("Letters: a model that guesses prefers one of them")
        axes.legend(loc="upper left", ncols=2)
    return style.finished(figure)


def _rows(evaluation: Evaluation, log: Path) -> list[Row]:
    missing: dict[str, Counter[str]] = {}
    samples = read_samples(log, evaluation.metric)
    for sample in samples:
        missing.setdefault(sample.category, Counter())[sample.status] += 1
    scored = [sample for sample in samples if sample.scores]
    parts = sorted(by_category(scored, evaluation.interval.confidence), key=lambda part: -part.score)
    rows = [Row("all questions", evaluation.score, evaluation.interval, f"n = {evaluation.n}")]
    return rows + [Row(part.name, part.score, part.interval, _label(part.n, missing[part.name])) for part in parts]


def _label(n: int, statuses: Counter[str]) -> str:
    return ", ".join([f"n = {n}", *(f"{statuses[key]} {words}" for key, words in NOT_SCORED.items() if statuses[key])])


def _unparsed(evaluation: Evaluation) -> str:
    return f"no answer found in {evaluation.unparsed} of the scored texts" if evaluation.unparsed else ""


def _mark(axes: Axes, place: int, row: Row) -> None:
    shade, shape = (style.COLOURS[0], "D") if place == 0 else ("0.35", "o")
    error = [[max(row.score - row.interval.low, 0)], [max(row.interval.high - row.score, 0)]]
    axes.errorbar(row.score, place, xerr=error, fmt=shape, color=shade, capsize=4, markersize=8)
    axes.annotate(f"{row.score:.2f}", (1.02, place), xycoords=("axes fraction", "data"), va="center", color=shade)


def _chance(axes: Axes, chance: float | None) -> None:
    """Draw what guessing would reach, where that is known."""
    if chance is None:
        return
    axes.axvline(chance, color=style.GREY, linestyle=":")
    where: Any = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
    axes.annotate(f"guessing {chance:.2f}", (chance, 1), (4, -12), **where)
