"""A table that aligns its figures, and sorts by a click on a column's name; without scripts it is a plain table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from helpers.reporting.page.rendering import render

if TYPE_CHECKING:
    from pandas import DataFrame

# A cell of a numeric column: a figure, perhaps with its interval or a bracket behind it, or none.
FIGURE = re.compile(
    r"[+-]?[\d,]*\.?\d+(?:e[+-]?\d+)?%?(?: (?:to .*|\(.*\)(?: \u2605)?|and more))?|n/a|not measured|\u2013|-|"
)
SHORT = 16  # characters that are not broken over lines
CUT = 300  # characters of a cell: an answer may be a novel


@dataclass(frozen=True)
class Table:
    """Rows of text under column names; the first column names its row."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    @classmethod
    def of(cls, frame: DataFrame, caption: str, note: str = "") -> Self:
        """Return a data frame as a table, its index as the first column."""
        columns = [str(frame.index.name or ""), *map(str, frame.columns)]
        rows = [[str(name), *map(str, row)] for name, row in zip(frame.index, frame.to_numpy(), strict=True)]
        return cls(caption, columns, rows, note)

    @property
    def numeric(self) -> list[bool]:
        """Which columns hold figures, and are aligned to the right."""
        return [all(map(FIGURE.fullmatch, cells)) for cells in self._by_column()]

    @property
    def classes(self) -> list[str]:
        """How the cells of each column are laid out."""
        short = [max(map(len, cells), default=0) <= SHORT for cells in self._by_column()]
        kinds = zip(self.numeric, short, strict=True)
        return ["assay-number" if figure else "assay-short" if narrow else "assay-text" for figure, narrow in kinds]

    def _by_column(self) -> list[list[str]]:
        return [[row[place] for row in self.rows] for place in range(len(self.columns))]

    @property
    def cut(self) -> list[list[str]]:
        """The rows as they are shown."""
        return [[cell if len(cell) <= CUT else f"{cell[:CUT]}\u2026" for cell in row] for row in self.rows]

    def html(self) -> str:
        """Return the table alone; style and script come with the page."""
        return render("table.html", table=self)

    def _repr_html_(self) -> str:
        """Return the table with its style and script, for a notebook's output."""
        return render("cell.html", body=self.html())

    def __repr__(self) -> str:
        lines = [" | ".join(row) for row in (self.columns, *self.rows)]
        return "\n".join([self.caption, *lines, self.note]).strip()


@dataclass(frozen=True)
class Folded:
    """Something under a line that opens it."""

    summary: str
    body: Table

    def _repr_html_(self) -> str:
        return render("cell.html", body=render("folded.html", summary=self.summary, body=self.body.html()))

    def __repr__(self) -> str:
        return f"{self.summary}\n{self.body!r}"


def folded(table: Table, summary: str) -> Folded:
    """Return the table closed, under a line that says what is in it."""
    return Folded(summary, table)
