"""One look for every plot: colours that all readers can tell apart, legible at 1200 pixels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from helpers.analysis.comparison.verdict import short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["finished", "looks", "short", "use"]
# Okabe and Ito, "Color Universal Design" (2008), without black and with Paul Tol's indigo for yellow, faint on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#332288")
# The same hues for text: 4.5 to 1 and more on white (WCAG 2.2, 1.4.3), which light blue and orange have not.
INKS = ("#00629B", "#A84A00", "#006B4E", "#96457A", "#1B6E9E", "#855C00", "#332288")
# The shape tells what the colour does not: on grey paper, and where there are more models than colours.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")
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
    "text.parse_math": False,  # names, questions and answers come from others: a dollar sign is a dollar sign
}
# What a label stands on, so that lines and marks behind it leave it legible.
BEHIND: Any = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.8}


class Look(NamedTuple):
    """How a version is drawn: the same in every figure."""

    colour: str
    ink: str
    marker: str
    line: str


def looks(labels: Iterable[str]) -> dict[str, Look]:
    """Return each label's look among all of them, whatever their order; lines are dashed where colours repeat."""
    count = len(COLOURS)
    return {
        label: Look(
            COLOURS[place % count],
            INKS[place % count],
            MARKERS[place % len(MARKERS)],
            "--" if place // count % 2 else "-",
        )
        for place, label in enumerate(sorted(set(labels)))
    }


def colour(label: str, labels: Iterable[str]) -> str:
    """Return the colour of `label` among all `labels`: the same in every plot, whatever their order."""
    return looks(labels)[label].colour


def use() -> None:
    """Set matplotlib's defaults to this look."""
    from matplotlib import rcParams

    rcParams.update(RC)


def finished(figure: Figure) -> Figure:
    """Lay the figure out, once for all pictures of it, and take it out of pyplot's hands: a notebook shows it once."""
    from matplotlib import pyplot

    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    pyplot.close(figure)
    return figure
