"""One look for every plot: colours that all readers can tell apart, legible at 1200 pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito, "Color Universal Design" (2008), without black and with yellow last: it is faint on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#F0E442")
GREY, INK = "#8C8C8C", "#262626"
LIMIT = "#A30000"  # objectives, in every plot
GOOD, BAD, CUT_OFF = "#009E73", "#D55E00", "#BDBDBD"

RC: Any = {
    "figure.figsize": (10.0, 5.0),
    "figure.dpi": 120,  # 10 inches: 1200 pixels
    "savefig.dpi": 120,
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "text.color": INK,
    "grid.color": "#E5E5E5",
    "legend.frameon": False,
    "lines.linewidth": 2,
    "lines.markersize": 7,
}


def colour(label: str, labels: Sequence[str]) -> str:
    """Return the colour of `label` among all `labels`: the same in every plot, whatever their order."""
    return COLOURS[sorted(set(labels)).index(label) % len(COLOURS)]


def use() -> None:
    """Set matplotlib's defaults to this look."""
    from matplotlib import rcParams

    rcParams.update(RC)


def finished(figure: Figure) -> Figure:
    """Take the figure out of pyplot's hands, so that a notebook shows it once."""
    from matplotlib import pyplot

    pyplot.close(figure)
    return figure
