"""Which calls a model gets right, by category, and what is wrong with the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from helpers.artifacts import Evaluation, NotMeasured
from helpers.evaluation.told import headline
from helpers.reporting.plots import style
from helpers.statistics import wilson

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WAYS = {"auto": "free to call (auto)", "strict": "bound to call, strict arguments"}
SILENT = {"irrelevance", "missing_information"}  # where no call is right


def tool_calls(evaluation: Evaluation | NotMeasured) -> Figure | None:
    """Share right by category with its interval beside a count of errors by type; None where nothing was measured."""
    from matplotlib import pyplot

    if isinstance(evaluation, NotMeasured):
        return None
    categories, errors = evaluation.detail["categories"], evaluation.detail["errors"]
    wrong = {kind: row for kind, row in errors.items() if kind != "right"}
    with pyplot.rc_context(style.RC):
        size = 2.2 + 0.5 * max(len(categories), len(wrong))
        figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, size), layout="constrained")
        _categories(left, categories, evaluation.interval.confidence)
        _errors(right, wrong)
        figure.suptitle(headline(evaluation), x=0.01, ha="left", fontsize=11)
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=len(WAYS))
    return style.finished(figure)


def _categories(axes: Axes, categories: Mapping[str, Mapping[str, int]], confidence: float) -> None:
    names = sorted(categories, key=lambda name: (name in SILENT, name))
    for way, offset, colour, shape in _ways():
        marks: dict[str, Any] = {"fmt": shape, "color": colour, "capsize": 4, "label": WAYS[way]}
        for place, name in enumerate(names):
            n, right = (categories[name].get(f"{way}_{what}", 0) for what in ("n", "right"))
            if n:
                share, span = right / n, wilson(right, n, confidence)
                axes.errorbar(share, place + offset, xerr=[[share - span.low], [span.high - share]], **marks)
                marks["label"] = None
    axes.set_yticks(range(len(names)), [_label(name, categories[name]) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(-0.02, 1.02)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(f"Share right, with {confidence:.0%} interval")
    axes.set_title("Right by category")


def _label(name: str, row: Mapping[str, int]) -> str:
    counts = ", ".join(str(row[f"{way}_n"]) for way in WAYS if row.get(f"{way}_n"))
    what = "\nno call is right" if name in SILENT else ""
    return f"{name.replace('_', ' ')} (n = {counts or 0}){what}"


def _errors(axes: Axes, wrong: Mapping[str, Mapping[str, int]]) -> None:
    kinds = sorted(wrong, key=lambda kind: -sum(wrong[kind].values()))
    for way, offset, colour, _ in _ways():
        counts = [wrong[kind].get(way, 0) for kind in kinds]
        bars = axes.barh([place + offset for place in range(len(kinds))], counts, height=0.36, color=colour)
        axes.bar_label(bars, [str(count) if count else "" for count in counts], padding=3)
    axes.set_yticks(range(len(kinds)), kinds)
    axes.set_ylim(max(len(kinds), 1) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("Answers")
    axes.set_title("What is wrong, or no answer")


def _ways() -> list[tuple[str, float, str, str]]:
    """Return each way to ask with its offset, colour and mark."""
    return [(way, 0.38 * (place - 0.5), style.COLOURS[place], style.MARKERS[place]) for place, way in enumerate(WAYS)]
