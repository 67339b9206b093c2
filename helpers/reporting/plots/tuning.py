"""How the loss fell while a model was tuned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from helpers.artifacts import Tuned
from helpers.reporting.plots import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def headline(tuned: Tuned) -> str:
    """Return what was tuned on what, and for how long."""
    own = f"{tuned.examples:,} examples and {tuned.replayed} of its own answers"
    return f"{tuned.label} is {tuned.parent.label}, tuned on {own} in {tuned.seconds:.0f} s."


def losses(tuned: Tuned) -> Figure:
    """Mean loss of the learned tokens by step, with a line where an epoch ends."""
    from matplotlib import pyplot

    with pyplot.rc_context(style.RC):
        figure, axes = pyplot.subplots(figsize=(9, 3.6), layout="constrained")
        steps, values = [step for step, _ in tuned.losses], [loss for _, loss in tuned.losses]
        axes.plot(steps, values, marker="o")
        epochs = int(tuned.recipe["epochs"])
        for epoch in range(1, epochs):
            place = steps[-1] * epoch / epochs if steps else 0
            axes.axvline(place, color="0.6", linestyle=":")
            axes.annotate(f"epoch {epoch} ends", (place, 0), xytext=(4, 4), textcoords="offset points")
        axes.set_ylim(bottom=0)
        axes.set_xlabel("Step")
        axes.set_ylabel("Loss per learned token")
        axes.set_title(f"The loss fell from {values[0]:.2f} to {values[-1]:.2f}" if values else "Too few steps to tell")
    return style.finished(figure)
