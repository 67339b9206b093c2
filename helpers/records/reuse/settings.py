"""Where earlier results are known, and whether to measure in any case."""

from __future__ import annotations

from typing import Annotated

from helpers.registry.address import check_form
from helpers.runtime import parameters


class Settings(parameters.Settings):
    """Where earlier results are known, and whether to measure in any case. Raises InvalidParameter."""

    registry: Annotated[str, parameters.held_by(check_form)] = "auto"
    fresh: bool = False
