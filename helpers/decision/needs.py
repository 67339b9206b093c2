"""What the application needs: the notebook's parameters, checked before anything is read."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from helpers.parameters import Settings


class Needs(Settings):
    """Must-haves, the load to serve, and how much quality, latency and cost weigh against each other."""

    min_accuracy: float = Field(default=0.0, ge=0, le=1, description="must-have; 0 asks for none")
    target_rate: float = Field(default=0.0, ge=0, description="requests/s to serve; 0 where it is not known")
    headroom: float = Field(default=0.2, ge=0, lt=1, description="share of each replica's load that is kept free")
    quality_weight: float = Field(default=4.0, ge=0)
    latency_weight: float = Field(default=1.0, ge=0)
    cost_weight: float = Field(default=1.0, ge=0)
    prices: Path = Path("prices.yaml")

    @model_validator(mode="after")
    def _something_counts(self) -> Self:
        if not sum(self.weights):
            raise ValueError("QUALITY_WEIGHT, LATENCY_WEIGHT and COST_WEIGHT are all 0: one of them must count")
        return self

    @property
    def weights(self) -> tuple[float, float, float]:
        """Quality, latency and cost, as they were given."""
        return self.quality_weight, self.latency_weight, self.cost_weight
