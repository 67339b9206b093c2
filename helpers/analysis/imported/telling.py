"""What is to be said where there is no decision: which speeds differ, and why nothing can be paired."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from helpers.analysis.comparison import Row
from helpers.analysis.imported.comparing import Judged
from helpers.artifacts import Record
from helpers.artifacts.deployment import UNKNOWN

UNPAIRED = "Nothing can be paired: no two of these hold answers to the same questions, so no model is recommended."


def headline(judged: Judged) -> list[str]:
    """Return the decision with a sentence for each pair, or why there is none, and what is known of speed."""
    told = []
    if judged.decision is not None and judged.comparison is not None:
        pairs = judged.comparison.pairs if judged.tasks == 1 else ()
        told += [judged.decision.sentence, *(pair.sentence + "." for pair in pairs if pair.sentence)]
    elif any(record.evaluations for record in judged.records):
        told.append(UNPAIRED)
    return [*told, *_better(judged.rows), *_unjudged(judged.rows, judged.records)]


def _better(rows: Sequence[Row]) -> Iterator[str]:
    """Yield what a test shows of speeds and of scores that could not be paired."""
    for row in rows:
        if row.tier != "performance" and not row.test.endswith("unpaired"):
            continue
        for cell in (cell for cell in row.cells if cell.better_than):
            others = ", ".join(cell.better_than)
            yield f"{cell.label} is better in {row.metric} of {row.name} than {others} ({row.test})."


def _unjudged(rows: Sequence[Row], records: Sequence[Record]) -> Iterator[str]:
    """Yield why speeds are shown and not judged."""
    shown = [row for row in rows if row.tier == "performance" and sum(cell.value is not None for cell in row.cells) > 1]
    labels = {cell.label for row in shown for cell in row.cells}
    if not shown:
        return
    seen = {record.label: record.endpoint.hardware for record in records if record.label in labels}
    hidden = [label for label, hardware in seen.items() if hardware.type == UNKNOWN]
    once = sorted({cell.label for row in shown for cell in row.cells if cell.value is not None and cell.n < 2})
    if hidden:
        yield f"Speeds are shown and not judged: unknown is the hardware of {', '.join(hidden)} (--hardware)."
    elif len({str(hardware) for hardware in seen.values()}) > 1:
        yield "Speeds are shown and not judged: measured on other hardware."
    elif once:
        yield f"Speeds are shown and not judged: one run knows no noise, and {', '.join(once)} has no more."
