"""Which version to take: gates, then the Pareto front, then a ranking whose weights the reader sets."""

from __future__ import annotations

from helpers.decision.contract import Decision, Gate, Option
from helpers.decision.decide import decide
from helpers.decision.needs import Needs
from helpers.decision.prices import PriceList, load_prices

__all__ = ["Decision", "Gate", "Needs", "Option", "PriceList", "decide", "load_prices"]
