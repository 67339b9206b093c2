"""Is a candidate as good as its baseline? `python -m helpers.analysis.gate CANDIDATE.json BASELINE.json` for CI."""

from __future__ import annotations

from helpers.analysis.gate.checks import Check, State
from helpers.analysis.gate.judging import Judgement, judge
from helpers.analysis.gate.stage import Settings, enforce, hold

__all__ = ["Check", "Judgement", "Settings", "State", "enforce", "hold", "judge"]
