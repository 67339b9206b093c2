"""Compare measured versions: where they differ, how sure that is, and what it costs in latency."""

from __future__ import annotations

from helpers.comparison.answers import Answer, read_answers
from helpers.comparison.compare import compare
from helpers.comparison.contract import MOST, Category, Comparison, Flip, Pair, Standing

__all__ = ["MOST", "Answer", "Category", "Comparison", "Flip", "Pair", "Standing", "compare", "read_answers"]
