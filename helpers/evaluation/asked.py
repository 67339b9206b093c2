"""What the evaluators of one's own data have in common: which rows, how many, how hard to press the server."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, field_validator

from helpers.artifacts import Parameter
from helpers.artifacts.measurement import NAME
from helpers.runtime import parameters


class Asked(parameters.Settings):
    """Settings of a measuring stage that asks rows of a file; raises InvalidParameter when out of bounds."""

    evaluator: ClassVar[str]  # the folder of helpers/evaluation
    metric: ClassVar[str]  # the score that stands for the measurement
    further: ClassVar[tuple[str, ...]] = ()  # figures beside it, by which criteria may ask too
    # What changes no answer: how hard it presses, and how the answers are looked at.
    outside: ClassVar[frozenset[str]] = frozenset(
        {"name", "data", "unwanted", "num_concurrent", "request_timeout", "confidence", "allow_partial"}
    )
    prose = frozenset({"system_instruction", "unwanted"})

    name: str = Field(pattern=NAME, description="of the measurement and its files")
    data: Path | None = Field(default=None, description="the rows, JSON lines")
    unwanted: str = Field(default="", description="why nothing is to be asked; empty: it is")
    system_instruction: str = Field(default="", max_length=4000, description="none for none")
    limit: int = Field(default=0, ge=0, description="first rows only, a trial; 0 for all")
    num_concurrent: int = Field(default=8, ge=1, le=1024, description="requests in flight")
    max_tokens: int = Field(default=256, ge=1, le=131072, description="of one answer")
    request_timeout: float = Field(default=600.0, gt=0, le=3600, description="seconds for one request")
    confidence: float = Field(default=0.95, ge=0.5, le=0.999, description="of the intervals")
    allow_partial: bool = Field(default=False, description="accept rows without an answer")
    seed: int = Field(default=1234, ge=0, description="sent with each request")

    @field_validator("system_instruction", mode="before")
    @classmethod
    def _none(cls, value: Any) -> Any:
        return "" if value == "none" else value

    @property
    def subject(self) -> str:
        """What is asked, as messages and the registry name it: the file without its suffix."""
        return self.data.stem if self.data else self.name

    def deciding(self) -> dict[str, Any]:
        """Return the settings that decide an answer."""
        return self.model_dump(mode="json", exclude=set(self.outside))

    def parameters(self) -> dict[str, Parameter]:
        """Return the settings as the artifact keeps them: without paths, which differ between machines."""
        values = self.model_dump(mode="json", exclude={"name", "data", "unwanted"})
        return {
            name: value if isinstance(value, str | int | float | bool) else str(value) for name, value in values.items()
        }
