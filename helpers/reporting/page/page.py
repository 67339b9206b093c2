"""The report: one page that reads like a memo, in one file, for somebody without JupyterLab and without a network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from helpers.artifacts import FOLDER, write_atomic
from helpers.reporting.page.figures import embedded
from helpers.reporting.page.provenance import Provenance
from helpers.reporting.page.rendering import render
from helpers.reporting.page.sections import Sections

FILENAME = "report.html"


@dataclass(frozen=True)
class Report:
    """The report that was written."""

    path: Path

    def _repr_html_(self) -> str:
        return render("link.html", path=self.path.as_posix())

    def __repr__(self) -> str:
        return f"The report is {self.path}"


def write_report(parts: Sections, folder: Path = FOLDER) -> Report:
    """Write `report.html` with all parts into `folder`. Raises StoreFailed where the disk refuses it."""
    comparison, decision, records = parts.found.comparison, parts.found.decision, parts.found.records
    best = comparison.standings[0]
    page = render(
        "report.html",
        title=f"{best.task}: {decision.headline[0].lower()}{decision.headline[1:]}",
        comparison=comparison,
        decision=decision,
        best=best,
        use_cases=sorted({record.use_case for record in records}),
        measured=max((record.ended for record in records), default=None),
        sections=[(part, embedded(part.figure) if part.figure else "") for part in parts.values()],
        provenance=Provenance(records).html(),
    )
    return Report(write_atomic(folder / FILENAME, page.encode()))
