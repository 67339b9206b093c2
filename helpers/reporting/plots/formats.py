"""Unaided against constrained: how often an answer is valid by its schema, and what the others are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.artifacts import FOLDER, Evaluation, NotMeasured, Sample
from helpers.evaluation.samples import read_samples
from helpers.evaluation.told import headline
from helpers.reporting.plots import style
from helpers.statistics import wilson

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KINDS = {"unaided": ("unaided_schema_valid", "s", "0.35"), "constrained": ("schema_valid", "o", style.COLOURS[0])}
VALID, SHOWN = "valid", 5  # kinds of what is wrong; the rarer ones are one
NONE = {"cut off": style.CUT_OFF, "without text": "#DDDDDD", "failed": style.GREY}  # what is no answer, last
OTHER = "other keywords"
DARK = (style.COLOURS[0], style.COLOURS[6])  # what is written on them is white
WRONG = (style.COLOURS[1], *style.COLOURS[3:6], DARK[0])


def unaided_and_constrained(evaluation: Evaluation | NotMeasured, folder: Path = FOLDER) -> Figure | None:
    """Share of valid answers with its interval by category, and what became of all; None where nothing was measured.

    Reads the samples log.
    """
    if isinstance(evaluation, NotMeasured):
        return None
    from matplotlib import pyplot

    samples = read_samples(folder / evaluation.samples, evaluation.metric)
    parts = {"all rows": samples} | {
        category: [sample for sample in samples if sample.category == category]
        for category in dict.fromkeys(sample.category for sample in samples)
    }
    with pyplot.rc_context(style.RC):
        size = (10, 3.6 + 0.5 * len(parts))
        figure, (above, below) = pyplot.subplots(
            2, figsize=size, layout="constrained", height_ratios=[0.5 * len(parts) + 0.4, 1.5]
        )
        _shares(above, parts, evaluation.interval.confidence)
        _became(below, {kind: evaluation.detail[kind] for kind in KINDS})
        figure.suptitle(headline(evaluation), x=0.01, ha="left", fontsize=11, weight="bold")
    return style.finished(figure)


def _shares(axes: Axes, parts: Mapping[str, Sequence[Sample]], confidence: float) -> None:
    for offset, (kind, (metric, marker, colour)) in zip((-0.16, 0.16), KINDS.items(), strict=True):
        for place, samples in enumerate(parts.values()):
            scores = [sample.scores[metric] for sample in samples if metric in sample.scores]
            label = f"n = {len(scores)}" + ("" if scores else ": none ended")
            axes.annotate(label, (1.02, place + offset), xycoords=("axes fraction", "data"), va="center", color=colour)
            if scores:
                share, interval = sum(scores) / len(scores), wilson(sum(scores), len(scores), confidence)
                error = [[share - interval.low], [interval.high - share]]
                look: dict[str, Any] = {"fmt": marker, "color": colour, "capsize": 4, "clip_on": False}
                axes.errorbar(share, place + offset, xerr=error, label=kind if not place else None, **look)
    axes.set_yticks(range(len(parts)), [style.short(name) for name in parts])
    axes.set_ylim(len(parts) - 0.5, -0.5)
    axes.axhline(0.5, color=style.GREY, linewidth=1)
    axes.set_xlim(0, 1)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(f"Share valid by the schema, of the answers that ended, with {confidence:.0%} interval")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)


def _became(axes: Axes, tables: Mapping[str, Mapping[str, int]]) -> None:
    """Draw each kind's answers as a bar: valid ones first, then what is wrong, then what is no answer."""
    wrong: dict[str, int] = {}
    for name, count in (item for table in tables.values() for item in table.items()):
        if name != VALID and name not in NONE:
            wrong[name] = wrong.get(name, 0) + count
    shown = sorted(wrong, key=lambda name: -wrong[name])[:SHOWN]
    colours = {VALID: style.GOOD} | dict(zip(shown, WRONG, strict=False)) | {OTHER: DARK[1]} | NONE
    for place, table in enumerate(tables.values()):
        rest = sum(count for name, count in table.items() if name in wrong and name not in shown)
        counts, left = {**table, OTHER: rest}, 0
        for name, colour in colours.items():
            if count := counts.get(name, 0):
                axes.barh(place, count, left=left, color=colour, height=0.62)
                ink = "white" if colour in DARK else style.INK
                axes.annotate(str(count), (left + count / 2, place), ha="center", va="center", fontsize=9.5, color=ink)
                left += count
    drawn = {name for table in tables.values() for name in table} | {OTHER}
    named = [name for name in colours if name in drawn and (name != OTHER or len(wrong) > SHOWN)]
    handles = [axes.barh([0], [0], color=colours[name]) for name in named]
    axes.legend(handles, named, loc="upper center", bbox_to_anchor=(0.5, -0.28), ncols=min(len(named), 6))
    axes.set_yticks(range(len(tables)), list(tables))
    axes.set_ylim(len(tables) - 0.5, -0.5)
    axes.set_xlim(0, max(sum(table.values()) for table in tables.values()))
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("Answers: valid, the keyword of the schema that they break, or none")
