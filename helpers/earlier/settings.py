"""Where earlier results are known, and whether to measure in any case."""

from __future__ import annotations

from helpers import parameters


class Settings(parameters.Settings):
    """Where earlier results are known, and whether to measure in any case. Raises InvalidParameter."""

    registry: str = "auto"
    fresh: bool = False
