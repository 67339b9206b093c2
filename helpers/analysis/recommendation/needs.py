"""What the application needs: the notebook's parameters, checked before anything is read."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from helpers.runtime.parameters import Asking


class Needs(Asking):
    """The load to serve, and the files that say what must hold, what counts how much and what hardware costs."""

    asks = "weights"

    criteria: Path = Path("datasets/ops-assistant/criteria.yaml")
    target_rate: float = Field(default=0.0, ge=0, description="requests/s to serve; 0 where it is not known")
    headroom: float = Field(default=0.2, ge=0, lt=1, description="share of each replica's load that is kept free")
    prices: Path = Path("prices.yaml")
