"""What promptfoo_suite measures, checked before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from helpers.evaluation.asked import Asked
from helpers.runtime.environment import GRADER_KEY


class Settings(Asked):
    """Which suite, and which other model grades, if any; raises InvalidParameter when out of bounds."""

    evaluator: ClassVar[str] = "promptfoo"
    metric: ClassVar[str] = "passed"
    further: ClassVar[tuple[str, ...]] = ("grader_agreement",)  # where another model grades, and labels are there
    outside: ClassVar[frozenset[str]] = Asked.outside | {"config", "time_limit", "memory_limit", "grader_url"}

    config: Path | None = Field(default=None, description="a promptfooconfig.yaml; its folder holds what it names")
    time_limit: float = Field(default=3600.0, gt=0, le=86400, description="seconds for the whole suite")
    memory_limit: float = Field(default=8.0, gt=0, le=4096, description="GiB, all processes together")
    grader_url: str = Field(
        default="",
        pattern=r"^(https?://\S+)?$",
        description=f"of the model that grades; its key is {GRADER_KEY}; none for none",
    )
    grader_model: str = Field(default="", description="that model's name there; never the one that is measured")

    @field_validator("grader_url", "grader_model", mode="before")
    @classmethod
    def _nobody(cls, value: Any) -> Any:
        return "" if value == "none" else value

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.unwanted and self.config is None:
            raise ValueError("CONFIG is not given: name a promptfooconfig.yaml")
        if self.data is not None or self.system_instruction:
            raise ValueError("a suite has its tests and prompts in CONFIG: give neither DATA nor SYSTEM_INSTRUCTION")
        if bool(self.grader_url) != bool(self.grader_model):
            raise ValueError("give both GRADER_URL and GRADER_MODEL, or neither")
        return self

    @property
    def subject(self) -> str:
        """The suite's name."""
        from helpers.datasets.use_case import suite_name

        return suite_name(self.config) if self.config else self.name
