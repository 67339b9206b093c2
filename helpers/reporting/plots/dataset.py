"""A use case's data: how many, how long, where the right answers stand, and what was found in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from helpers.artifacts import Dataset, Finding
from helpers.artifacts.dataset import Kind, TextSet
from helpers.reporting.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame
    from pandas.io.formats.style import Styler

KINDS: dict[Kind, str] = {
    "empty": "without text",
    "duplicate": "the same twice",
    "near_duplicate": "like another text",
    "overlap": "a run of words in common",
    "contradiction": "another answer elsewhere",
    "answer_in_question": "answer in the question",
    "position": "uneven positions",
    "doubtful_label": "models doubt the key",
    "tells_nothing": "tells no models apart",
}
WORDS = (8, 13)  # of a run; 13 is what GPT-3's report counted (Brown et al. 2020, appendix C)


def lengths(dataset: Dataset) -> Figure:
    """Draw length by category of each set of questions and prompts: shortest, median, 95th percentile and longest."""
    from matplotlib import pyplot

    sets = [each for each in dataset.sets if each.role in ("questions", "prompts")]
    with pyplot.rc_context(style.RC):
        size = 0.9 * len(sets) + 0.32 * sum(len(each.lengths) for each in sets)
        figure, axes = pyplot.subplots(
            len(sets), figsize=(10, max(size, 2.5)), layout="constrained", squeeze=False, sharex=True,
            height_ratios=[len(each.lengths) + 1 for each in sets],
        )  # fmt: skip
        for place, each in zip(axes[:, 0], sets, strict=True):
            _lengths(place, each)
        axes[-1, 0].set_xlabel(f"{dataset.unit} of a text: shortest to longest, dot: median, bar: 95th percentile")
        axes[-1, 0].set_xscale("log")
        axes[-1, 0].xaxis.set_major_formatter("{x:g}")
    return style.finished(figure)


def _lengths(axes: Axes, texts: TextSet) -> None:
    for place, part in enumerate(texts.lengths):
        colour = style.INK if not place else style.COLOURS[0]
        low = max(part.shortest, 1)
        axes.plot([low, max(part.longest, 1)], [place, place], color=colour, linewidth=1.2)
        axes.plot([part.median], [place], "o", color=colour)
        axes.plot([part.p95], [place], "|", color=colour, markersize=11, markeredgewidth=2)
    names = [f"{style.short(part.category)} ({part.rows})" for part in texts.lengths]
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.set_title(f"{texts.name}: {texts.rows} {texts.role}")


def positions(dataset: Dataset) -> Figure | None:
    """Draw how often each option is the right one, None where no question has options."""
    sets = [each for each in dataset.sets if each.role == "questions" and each.positions]
    if not sets:
        return None
    from matplotlib import pyplot

    with pyplot.rc_context(style.RC):
        figure, axes = pyplot.subplots(1, len(sets), figsize=(10, 2.6), layout="constrained", squeeze=False)
        for place, each in zip(axes[0], sets, strict=True):
            bars = place.bar(range(1, len(each.positions) + 1), each.positions, color=style.COLOURS[0], width=0.6)
            place.bar_label(bars, label_type="center", color="white")
            place.axhline(sum(each.positions) / len(each.positions), color=style.GREY, linestyle=":")
            place.set_xticks(range(1, len(each.positions) + 1))
            place.grid(visible=False, axis="x")
            place.set_xlabel("position of the right answer, dotted: all alike")
            place.set_ylabel("questions")
            place.set_title(each.name)
    return style.finished(figure)


def shared(dataset: Dataset) -> Figure | None:
    """Draw the longest run of words that questions share with other texts, and how alike they are; None without any."""
    found: dict[str, dict[tuple[str, ...], Finding]] = {"overlap": {}, "near_duplicate": {}}
    for each in sorted(dataset.findings, key=lambda each: each.number or 0):
        if each.kind in found:
            found[each.kind][(each.set, *each.ids)] = each  # of a row that several texts share, the most
    if not any(found.values()):
        return None
    from matplotlib import pyplot

    with pyplot.rc_context(style.RC):
        figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 3.2), layout="constrained")
        _runs(left, list(found["overlap"].values()))
        _indices(right, list(found["near_duplicate"].values()))
    return style.finished(figure)


def _runs(axes: Axes, found: Sequence[Finding]) -> None:
    counts = Counter(int(each.number or 0) for each in found)
    bars = axes.bar(list(counts), list(counts.values()), color=style.COLOURS[1], width=0.7)
    axes.bar_label(bars)
    least, most = min([*counts, WORDS[0]]), max([*counts, WORDS[1]])
    axes.axvline(WORDS[1] - 0.5, color=style.LIMIT, linestyle="--", linewidth=1)
    axes.annotate(f"{WORDS[1]} and more", (WORDS[1] - 0.4, 1), (3, -12), xycoords=("data", "axes fraction"),
                  textcoords="offset points", color=style.LIMIT)  # fmt: skip
    axes.set_xlim(least - 0.7, most + 2)
    axes.set_ylim(0, max([*counts.values(), 1]) * 1.25)
    axes.grid(visible=False, axis="x")
    axes.set_xlabel("words of the longest run in common")
    axes.set_ylabel("rows")
    axes.set_title(f"{len(found)} rows share a run of words")


def _indices(axes: Axes, found: Sequence[Finding]) -> None:
    axes.hist([each.number or 0 for each in found], bins=[step / 20 for step in range(21)], color=style.COLOURS[0])
    axes.set_xlim(0, 1)
    axes.grid(visible=False, axis="x")
    axes.set_xlabel("Jaccard index of runs of three words")
    axes.set_ylabel("rows")
    axes.set_title(f"{len(found)} rows are like another text")


def counts_table(dataset: Dataset) -> DataFrame:
    """Return how many rows have a finding of each kind, by set, with what the use case allows."""
    from pandas import DataFrame

    sets = [each.name for each in dataset.sets if each.role in ("questions", "prompts")]
    rows = []
    for kind, words in KINDS.items():
        cells = {name: dataset.count(kind, name) for name in sets}
        rows.append({"finding": kind, "meaning": words, **cells, "allowed": dataset.at_most.get(kind, "any number")})
    return DataFrame(rows).set_index("finding")


def findings_table(dataset: Dataset) -> Styler:
    """Return every finding, kind by kind, what is shared most first."""
    from pandas import DataFrame

    order = {kind: place for place, kind in enumerate(KINDS)}
    found = sorted(dataset.findings, key=lambda each: (order[each.kind], -(each.number or 0)))
    columns = ["finding", "set", "rows", "where", "number", "what"]
    rows = [
        [each.kind, each.set, _some(each.ids), _some(each.where[: max(len(each.ids), 1)]), each.number, each.what]
        for each in found
    ]
    styled = DataFrame(rows, columns=columns).style.format({"number": "{:.3g}"}, na_rep="", escape="html")
    return styled.hide(axis="index").set_properties(**{"text-align": "left"})


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:3]) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")
