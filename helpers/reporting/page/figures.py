"""Figures as addresses that hold the whole picture, so that a page needs nothing else."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

from helpers.reporting.plots import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def embedded(figure: Figure) -> str:
    """Return the figure as a data URI of an SVG; the same figure gives the same bytes."""
    from matplotlib import rc_context

    buffer = io.BytesIO()
    # Text stays outlines: the reader's machine may have other fonts.
    with rc_context(style.RC | {"svg.fonttype": "path", "svg.hashsalt": "assay"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(buffer.getvalue()).decode()}"
