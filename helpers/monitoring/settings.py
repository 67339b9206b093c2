"""What watch_endpoint looks at, and how far back."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from helpers.artifacts.measurement import NAME
from helpers.artifacts.names import OWN
from helpers.runtime import parameters

OBJECT = r"^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?$"


class Settings(parameters.Settings):
    """Which version, in which Prometheus, over which time."""

    model_name: str = Field(default="", description="of the version that is watched; empty: the newest measured")
    model_version: str = Field(default="", description="empty: the newest measured")
    use_case: str = Field(default="ops-assistant", pattern=OWN, description="whose record has SLO and baseline")
    prometheus_url: str = Field(
        default="", pattern=r"^(https?://[^\s?#@]+)?$", description="empty: `make monitor`'s; in a pod the platform's"
    )
    served_as: str = Field(default="", pattern=OBJECT, description="the InferenceService, on a cluster")
    window_minutes: int = Field(default=60, ge=1, le=10_080, description="how far back it looks")
    pace: Literal["auto", "fast", "slow"] = Field(
        default="auto", description="windows of a minute or of ten; auto: fast on this machine, slow in a pod"
    )
    evaluation: str = Field(default="knowledge", pattern=NAME, description="of the record: asks the canary questions")
    canary_questions: int = Field(default=0, ge=0, le=1000, description="the first of its questions; 0 asks none")
    endpoint_url: str = Field(
        default="", pattern=r"^(https?://[^\s?#@]+)?$", description="asked the canary questions; empty: as deployed"
    )
    start: Literal["regression", "none"] = Field(default="regression", description="what a rule that fired may start")
    on_drift: Literal["regression", "fine-tune", "none"] = Field(
        default="none", description="what canary answers below their limits may start"
    )
    cool_down_hours: float = Field(default=24, gt=0, le=8760, description="a version is measured once in them")

    @property
    def cool_down(self) -> float:
        """The time in which a version is measured once, seconds."""
        return self.cool_down_hours * 3600
