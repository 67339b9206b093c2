"""Scores without their answers: two means can be held against each other, with less to see than in paired answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

from helpers.analysis.comparison import Cell, Row
from helpers.statistics import holm

LEVEL = 0.05
TEST = "Fisher's exact test of two scores, unpaired"


def with_unpaired(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Return the rows, scores that no test has compared with Fisher's exact test of each two (one family)."""
    untested = [row for row in rows if row.tier != "performance" and not row.test]
    pairs = [(row, a, b) for row in untested for a, b in combinations(_known(row.cells), 2)]
    judged = holm([_fisher(a, b) for _, a, b in pairs])
    better: dict[tuple[str, str], list[str]] = {}
    for (row, a, b), p_value in zip(pairs, judged, strict=True):
        if p_value < LEVEL:
            first, second = (a, b) if (a.value or 0) > (b.value or 0) else (b, a)
            better.setdefault((row.name, first.label), []).append(second.label)
    changed = {row.name: _tested(row, better) for row in untested if len(list(_known(row.cells))) > 1}
    return tuple(changed.get(row.name, row) for row in rows)


def _known(cells: Iterable[Cell]) -> list[Cell]:
    return [cell for cell in cells if cell.value is not None and cell.n]


def _fisher(first: Cell, second: Cell) -> float:
    from scipy.stats import fisher_exact

    table = [[round((cell.value or 0.0) * cell.n), cell.n] for cell in (first, second)]
    return float(fisher_exact([[right, n - right] for right, n in table]).pvalue)


def _tested(row: Row, better: dict[tuple[str, str], list[str]]) -> Row:
    cells = [
        cell.model_copy(update={"better_than": tuple(better.get((row.name, cell.label), ()))}) for cell in row.cells
    ]
    return row.model_copy(update={"cells": tuple(cells), "test": TEST})
