"""How much worse than its baseline a candidate may be."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError

from helpers.artifacts import Contract
from helpers.errors import InvalidPolicy


class GatePolicy(Contract):
    """Tolerances: accuracy in absolute terms, speed as a share of the baseline's. None is not looked at."""

    accuracy: float | None = Field(default=0.02, gt=0, lt=1, description="accuracy that may be lost")
    ttft_p95_ms: float | None = Field(default=0.1, gt=0, description="share by which TTFT p95 may grow")
    itl_p95_ms: float | None = Field(default=0.1, gt=0, description="share by which ITL p95 may grow")
    requests_per_second: float | None = Field(default=0.1, gt=0, lt=1, description="share of the load that may be lost")


def load_gate_policy(path: Path | None) -> GatePolicy:
    """Return the tolerances in a YAML file, the defaults without one. Raises InvalidPolicy with file and field."""
    import yaml

    if path is None:
        return GatePolicy()
    try:
        return GatePolicy.model_validate(yaml.safe_load(path.read_bytes()) or {})
    except OSError as error:
        raise InvalidPolicy(f"{path} cannot be read: {error.strerror}", do="Give --policy a file") from error
    except yaml.YAMLError as error:
        raise InvalidPolicy(f"{path} is not YAML: {error}", do="Repair the policy") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the file"
        raise InvalidPolicy(f"{path}: {field}: {first['msg']}", do="Repair the policy") from error
