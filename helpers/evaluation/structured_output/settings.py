"""What structured_output measures, checked before anything starts."""

from __future__ import annotations

from typing import ClassVar

from helpers.evaluation.asked import Asked


class Settings(Asked):
    """Which rows, and how hard to press the server; raises InvalidParameter when out of bounds."""

    evaluator: ClassVar[str] = "structured_output"
    metric: ClassVar[str] = "schema_valid"
    further: ClassVar[tuple[str, ...]] = (
        "valid_json",
        "fields",
        "unaided_schema_valid",
        "unaided_valid_json",
        "unaided_fields",
    )
