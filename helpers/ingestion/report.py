"""An inspection as text: what is wrong with which file, and what to do; nothing in it moves a terminal's cursor."""

from __future__ import annotations

import shutil
import textwrap
from collections import Counter
from collections.abc import Iterator

from helpers.ingestion.findings import ORDER, Finding, Inspection
from helpers.ingestion.names import shown

FILE, RULE, SEVERITY, WHAT = 32, 18, 8, 40
HEADS = ("SEVERITY", "FILE", "RULE", "WHAT, AND WHAT TO DO")
MOST = 200


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
