"""An inspection to read, as text and as a table: what is wrong with which file, and what to do.

Names and texts are the stranger's: none of them moves a terminal's cursor or becomes part of a page.
"""

from __future__ import annotations

import html
import shutil
import textwrap
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from helpers.ingestion.findings import ORDER, Finding, Inspection
from helpers.ingestion.names import shown

if TYPE_CHECKING:
    from pandas.io.formats.style import Styler

FILE, RULE, SEVERITY, WHAT = 32, 18, 8, 40
HEADS = ("SEVERITY", "FILE", "RULE", "WHAT, AND WHAT TO DO")
MOST = 200
COLOURS = {"critical": "#A30000", "high": "#D55E00", "medium": "#0072B2", "low": "#6B6B6B"}
WRAPPED = {"text-align": "left", "vertical-align": "top", "white-space": "normal", "overflow-wrap": "anywhere"}


def report(inspection: Inspection) -> str:
    """Return a table of the findings, the gravest first, and one line that sums up."""
    width = max(WHAT, shutil.get_terminal_size((130, 24)).columns - FILE - RULE - SEVERITY - 7)
    lines = [_line(*HEADS)] if inspection.findings else []
    for finding in inspection.findings[:MOST]:
        lines += _rows(finding, width)
    if (more := len(inspection.findings) - MOST) > 0:
        lines.append(f"… and {more} more; --json has them all")
    return "\n".join([*lines, *([""] if lines else []), _summary(inspection)])


def _rows(finding: Finding, width: int) -> Iterator[str]:
    """Yield the lines of one finding: long names and texts go on below themselves."""
    columns: list[list[str]] = [
        [finding.severity],
        textwrap.wrap(shown(finding.file), FILE, break_on_hyphens=False) or ["."],
        textwrap.wrap(finding.rule, RULE),
        [*textwrap.wrap(shown(finding.problem), width), *textwrap.wrap(f"→ {shown(finding.do)}", width)],
    ]
    for number in range(max(map(len, columns))):
        yield _line(*(column[number] if number < len(column) else "" for column in columns))


def _line(severity: str, file: str, rule: str, what: str) -> str:
    return f"{severity:{SEVERITY}}  {file:{FILE}}  {rule:{RULE}}  {what}".rstrip()


def _summary(inspection: Inspection) -> str:
    counts = Counter(finding.severity for finding in inspection.findings)
    found = ", ".join(f"{counts[severity]} {severity}" for severity in ORDER if counts[severity]) or "no findings"
    scanners = ", ".join(f"{name} {version}" for name, version in sorted(inspection.scanners.items()))
    verdict = "REFUSED" if inspection.refused else "CLEAN"
    return (
        f"{verdict} {shown(inspection.source)}: {found}; {inspection.files} files, {inspection.size_bytes:,} bytes; "
        f"policy {inspection.policy_digest}; {scanners}"
    )


def findings_table(inspection: Inspection) -> Styler:
    """Return a table for the notebook, one row for each finding, under the line that sums up."""
    from pandas import DataFrame

    rows = [
        (found.severity, shown(found.file), found.rule, shown(found.problem), shown(found.do))
        for found in inspection.findings
    ]
    table = DataFrame(rows, columns=["severity", "file", "rule", "what is wrong", "what to do"])
    caption = {"selector": "caption", "props": "caption-side: top; text-align: left; font-weight: bold"}
    heads = {"selector": "th", "props": "text-align: left"}
    styled = table.style.hide(axis="index").format(escape="html").set_properties(**WRAPPED)
    styled = styled.map(lambda severity: f"font-weight: bold; color: {COLOURS[severity]}", subset=["severity"])
    return styled.set_caption(html.escape(_summary(inspection))).set_table_styles([caption, heads])
