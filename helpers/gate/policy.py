"""How much worse than its baseline a candidate may be."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from helpers.artifacts import Contract
from helpers.errors import InvalidPolicy
from helpers.yaml_files import read_yaml


class GatePolicy(Contract):
    """Tolerances: accuracy in absolute terms, speed as a share of the baseline's. None is not looked at."""

    coverage: float | None = Field(default=0.98, gt=0, le=1, description="share of questions to be answered")
    accuracy: float | None = Field(default=0.02, gt=0, lt=1, description="accuracy that may be lost")
    ttft_p95_ms: float | None = Field(default=0.1, gt=0, description="share by which TTFT p95 may grow")
    itl_p95_ms: float | None = Field(default=0.1, gt=0, description="share by which ITL p95 may grow")
    requests_per_second: float | None = Field(default=0.1, gt=0, lt=1, description="share of the load that may be lost")


def load_gate_policy(path: Path | None) -> GatePolicy:
    """Return the tolerances in a YAML file, the defaults without one. Raises InvalidPolicy with line and field."""
    if path is None:
        return GatePolicy()
    return read_yaml(path, GatePolicy, InvalidPolicy, missing="Give --policy a file", repair="Repair the policy")[0]
