"""Every measurement of the versions: a table of tiers by models, and quality against latency for each workload."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from helpers.analysis.comparison import Cell, Comparison, Row
from helpers.reporting.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

STAR = "\N{BLACK STAR}"
NAMES = {"requests_per_second": "requests/s", "ttft_p95_ms": "TTFT p95 (ms)", "itl_p95_ms": "ITL p95 (ms)"}
LATENCY, MOST_COLUMNS = "ttft_p95_ms", 3


def tiers_table(comparison: Comparison, shown: Sequence[str] = ()) -> DataFrame:
    """One row for each figure of each measurement, one column for each version; a star marks what is shown to lead."""
    return rows_table(comparison.tiers, shown or comparison.leading)


def rows_table(found: Sequence[Row], labels: Sequence[str]) -> DataFrame:
    """One row for each figure, one column for each label."""
    from pandas import DataFrame

    rows = [
        {"measurement": row.name, "figure": _figure(row), **{label: _cell(row, label) for label in labels}}
        for row in found
    ]
    table = DataFrame(rows, index=[row.tier for row in found])
    table.index.name = "tier"
    return table


def _figure(row: Row) -> str:
    load = f" at {row.load:.1f} requests/s" if row.load else ""
    return f"{NAMES.get(row.metric, row.metric)}{load}, {row.subject}"


def _cell(row: Row, label: str) -> str:
    cell = next((cell for cell in row.cells if cell.label == label), None)
    if cell is None or cell.value is None:
        return cell.note if cell else "not measured"
    digits = 3 if not row.unit else 1
    bounds = f" ({cell.interval.low:,.{digits}f} to {cell.interval.high:,.{digits}f})" if cell.interval else " (n/a)"
    star = f" {STAR}" if label in row.best else ""
    return f"{cell.value:,.{digits}f}{bounds}{star}" + (f", {cell.note}" if cell.note else "")


def workloads(comparison: Comparison, shown: Sequence[str] = ()) -> Figure | None:
    """Quality against latency (ms) for each load test, where there are several; one mark with bars for each version."""
    from matplotlib import pyplot

    speeds = [row for row in comparison.tiers if row.metric == LATENCY]
    if len(speeds) < 2:
        return None
    looks = style.looks(shown or comparison.leading)
    columns = min(len(speeds), MOST_COLUMNS)
    lines = -(-len(speeds) // columns)
    with pyplot.rc_context(style.RC):
        size = (10, 3.6 * lines + 0.6)
        figure, grid = pyplot.subplots(lines, columns, figsize=size, layout="constrained", sharey=True, squeeze=False)
        for place, (axes, row) in enumerate(zip(grid.flat, speeds, strict=False)):
            _workload(axes, row, comparison, looks, first=place % columns == 0)
        for axes in grid.flat[len(speeds) :]:
            axes.set_axis_off()
        handles, names = grid.flat[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=min(len(names), MOST_COLUMNS))
    return style.finished(figure)


def _workload(axes: Axes, row: Row, comparison: Comparison, looks: dict[str, style.Look], *, first: bool) -> None:
    cells: dict[str, Cell] = {cell.label: cell for cell in row.cells}
    for standing in comparison.standings:
        if standing.label not in looks:
            continue
        look, cell = looks[standing.label], cells[standing.label]
        about: dict[str, Any] = {
            "color": look.colour,
            "fmt": look.marker,
            "capsize": 3,
            "label": style.short(standing.label),
        }
        if cell.value is None:
            axes.errorbar([], [], **about)
            continue
        low, high = standing.interval.low, standing.interval.high
        around = (
            [[cell.value - max(cell.interval.low, 0)], [cell.interval.high - cell.value]] if cell.interval else None
        )
        bars = [[standing.accuracy - low], [high - standing.accuracy]]
        axes.errorbar(cell.value, standing.accuracy, yerr=bars, xerr=around, **about)
    axes.set_title(f"{row.name}: {row.subject}")
    axes.set_xlim(left=0)
    axes.set_xlabel(f"TTFT p95 (ms) at {row.load:.1f} requests/s" if row.load else "TTFT p95 (ms)")
    if first:
        best = comparison.standings[0]
        axes.set_ylabel(f"Score on {best.task}")
