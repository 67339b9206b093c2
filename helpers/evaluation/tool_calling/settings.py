"""What tool_calling measures, checked before anything starts."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from helpers.artifacts.measurement import NAME
from helpers.evaluation.asked import Asked


class Settings(Asked):
    """Which rows are asked; raises InvalidParameter when out of bounds.

    The score counts rows that expect a call, and no others: a model that never calls is right on every row that expects
    none, and would score for its silence. Those rows are a further figure, `silent_right`.
    """

    evaluator: ClassVar[str] = "tool_calling"
    metric: ClassVar[str] = "called_right"
    further: ClassVar[tuple[str, ...]] = ("strict_right", "silent_right")

    name: str = Field(default="tools", pattern=NAME, description="of the measurement and its files")
    max_tokens: int = Field(default=512, ge=1, le=131072, description="of one answer: a call that is cut off is none")
