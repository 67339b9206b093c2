"""Is a candidate as good as its baseline? `python -m helpers.gate CANDIDATE.json BASELINE.json` for CI."""

from __future__ import annotations

from helpers.gate.checks import Check, State
from helpers.gate.judging import Judgement, judge
from helpers.gate.policy import GatePolicy, load_gate_policy
from helpers.gate.stage import Settings, enforce, hold

__all__ = ["Check", "GatePolicy", "Judgement", "Settings", "State", "enforce", "hold", "judge", "load_gate_policy"]
