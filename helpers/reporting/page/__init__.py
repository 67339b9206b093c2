"""What can be sent: tables and folded provenance as HTML, and the one-page report that needs no network."""

from __future__ import annotations

from helpers.reporting.page.page import Report, write_report
from helpers.reporting.page.provenance import Provenance
from helpers.reporting.page.sections import Sections
from helpers.reporting.page.table import Table, folded

__all__ = ["Provenance", "Report", "Sections", "Table", "folded", "write_report"]
