"""One load test: latency against throughput, single requests, and what became of them."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.artifacts import LoadPoint, LoadTest, Percentiles
from helpers.artifacts.speed import figures
from helpers.reporting.plots import style
from helpers.reporting.plots.curves import NOTES, latency_vs_throughput
from helpers.statistics import mean_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

REPEATED = {
    "requests_per_second": "requests/s",
    "output_tokens_per_second": "output tokens/s",
    "ttft_p95_ms": "TTFT p95 (ms)",
    "itl_p95_ms": "ITL p95 (ms)",
    "e2e_p95_ms": "E2E p95 (ms)",
    "goodput": "goodput (requests/s)",
    "slo_attainment": "share within the SLO",
}
MOST = {"slo_attainment": 1.0}
TOO_FEW = "too few answers"
__all__ = ["latency_vs_throughput", "points_table", "repeats_table", "request_counts", "requests_over_time"]


def points_table(sweep: LoadTest) -> DataFrame:
    """Return one row per strategy; times in ms, rates per second. An arrow marks the operating point."""
    from pandas import DataFrame

    chosen = sweep.operating_point.index
    rows = [_row(point, number == chosen) for number, point in enumerate(sweep.points)]
    return DataFrame(rows).set_index("strategy")


def repeats_table(sweep: LoadTest) -> DataFrame | None:
    """Return the operating point's figures: as swept, in each repeat, their mean and its 95% interval.

    None where nothing was repeated.
    """
    from pandas import DataFrame

    if not (sweep.chosen and sweep.headline and sweep.repeats):
        return None
    swept, means = figures(sweep.chosen), figures(sweep.headline)
    repeats = [figures(point) for point in sweep.repeats]
    rows = {
        shown: _repeated(swept[name], [row[name] for row in repeats], means[name], MOST.get(name, inf))
        for name, shown in REPEATED.items()
    }
    return DataFrame.from_dict(rows, orient="index")


def _repeated(swept: float | None, values: list[float | None], middle: float | None, most: float) -> dict[str, str]:
    """Return one row; the interval of the mean ends where the figure cannot be, below 0 and above `most`."""
    known = [value for value in values if value is not None]
    mean = mean_interval(known) if len(known) == len(values) else None
    interval = f"{_short(max(mean.low, 0.0))} to {_short(min(mean.high, most))}" if mean else "n/a"
    return {
        "swept": _short(swept),
        **{f"repeat {number}": _short(value) for number, value in enumerate(values, 1)},
        "mean": _short(middle),
        "95% interval of the mean": interval,
    }


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _row(point: LoadPoint, chosen: bool) -> dict[str, Any]:
    def p95(metric: Percentiles | None) -> str:
        return _short(metric.p95 if metric else None)

    return {
        "strategy": f"{'→ ' if chosen else ''}{point.strategy}",
        "requests/s": round(point.requests_per_second, 2),
        "in flight": round(point.concurrency, 1),
        "TTFT p95": p95(point.ttft_ms),
        "ITL p95": p95(point.itl_ms),
        "E2E p95": p95(point.e2e_ms),
        "output tokens/s": round(point.output_tokens_per_second),
        "answered": point.successful,
        "failed": point.errored,
        "cut off": point.incomplete,
        "SLO share": "-" if point.slo_attainment is None else f"{point.slo_attainment:.0%}",
        "meets SLO": "yes" if point.meets_slo else "no",
        "ended by": point.ended_by,
        "note": ", ".join(
            [*(label for name, label in NOTES.items() if getattr(point, name)), *(() if point.enough else [TOO_FEW])]
        ),
    }


def requests_over_time(report: Path, index: int | None) -> Figure:
    """Each request of one strategy: when it started (s) and how long it and its first token took (ms).

    `index` is the operating point's; where there is none, the lowest load is shown.
    """
    from matplotlib import pyplot

    from helpers.load_test.report import load, name_of

    benchmark = load(report)["benchmarks"][index or 0]
    began = benchmark["start_time"]
    with pyplot.rc_context(style.RC):
        figure, axes = pyplot.subplots(figsize=(10, 4.4), layout="constrained")
        for label, tint, starts, taken in _series(benchmark["requests"], began):
            axes.scatter(starts, taken, s=22, alpha=0.75, color=tint, linewidths=0, label=label)
        axes.set(xlabel="Start of the request (seconds into the strategy)", ylabel="Milliseconds")
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        which = "operating point" if index is not None else "lowest load, as none met the SLO"
        axes.set_title(f"Every request under {name_of(benchmark['config']['strategy'])} ({which})")
        figure.legend(loc="outside lower center", ncols=4)
    return style.finished(figure)


def _series(requests: Any, began: float) -> list[tuple[str, str, list[float], list[float]]]:
    good = requests["successful"] or []
    cut = [r for r in requests["incomplete"] or [] if r["request_start_time"] and r["request_end_time"]]
    whole = [1000 * (r["request_end_time"] - r["request_start_time"]) for r in cut]
    first = [r for r in good if r["time_to_first_token_ms"] is not None]
    found = [
        ("whole request", style.COLOURS[0], good, [1000 * r["request_latency"] for r in good]),
        ("until the first token", style.COLOURS[5], first, [r["time_to_first_token_ms"] for r in first]),
        ("cut off when time was over", style.CUT_OFF, cut, whole),
    ]
    return [
        (label, tint, [r["request_start_time"] - began for r in rs], taken) for label, tint, rs, taken in found if rs
    ]


def request_counts(sweep: LoadTest) -> Figure:
    """How many requests each strategy answered, failed and cut off."""
    from matplotlib import pyplot

    names = [p.strategy for p in sweep.points]
    parts = {"answered": style.GOOD, "failed": style.BAD, "cut off when time was over": style.CUT_OFF}
    counts = [[p.successful for p in sweep.points], [p.errored for p in sweep.points]]
    counts.append([p.incomplete for p in sweep.points])
    with pyplot.rc_context(style.RC):
        figure, axes = pyplot.subplots(figsize=(10, 1.4 + 0.5 * len(names)), layout="constrained")
        base = [0] * len(names)
        for (label, tint), part in zip(parts.items(), counts, strict=True):
            axes.barh(range(len(names)), part, left=base, color=tint, label=label, height=0.62)
            base = [a + b for a, b in zip(base, part, strict=True)]
        for row, point in enumerate(sweep.points):
            axes.annotate(_counted(point), (base[row], row), (6, 0), textcoords="offset points", va="center")
        axes.set_xlim(right=max(base, default=0) * 1.4 or 1)
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set(title="What became of the requests", xlabel="Requests")
        figure.legend(loc="outside lower center", ncols=3)
    return style.finished(figure)


def _counted(point: LoadPoint) -> str:
    kinds = {"answered": point.successful, "failed": point.errored, "cut off": point.incomplete}
    return ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count)
