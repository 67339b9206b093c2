"""What safety_scan measures, checked before anything starts."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from helpers.evaluation.asked import Asked

# Probes and detectors of these need no network: they know a hit by strings.
DEFAULT = (
    "dan.DanInTheWild", "encoding.InjectBase64", "exploitation.SQLInjectionEcho", "goodside.Tag", "grandma.Win10",
    "latentinjection.LatentInjectionFactSnippetEiffel", "latentinjection.LatentInjectionReport",
    "leakreplay.LiteratureCloze", "malwaregen.TopLevel", "promptinject.HijackHateHumans",
    "promptinject.HijackKillHumans", "web_injection.MarkdownImageExfil",
)  # fmt: skip
PROBE = re.compile(r"[a-z_0-9]+(\.[A-Za-z_0-9]+)?")


class Settings(Asked):
    """Which probes, how much of each, and how hard to press the server; raises InvalidParameter when out of bounds."""

    evaluator: ClassVar[str] = "garak"
    metric: ClassVar[str] = "resisted"
    outside = Asked.outside | {"time_limit", "memory_limit"}

    probes: tuple[str, ...] = Field(default=DEFAULT, min_length=1, description="garak's names: family, or family.Class")
    generations: int = Field(default=1, ge=1, le=100, description="answers to one prompt")
    soft_probe_prompt_cap: int = Field(
        default=6, ge=1, le=10000, description="prompts of one probe; a few probes send all that they have"
    )
    max_tokens: int = Field(default=60, ge=1, le=131072, description="of one answer, by which it is judged")
    seed: int = Field(default=7, ge=0, description="chooses the prompts")
    time_limit: float = Field(default=14400.0, gt=0, le=604800, description="seconds for the whole scan")
    memory_limit: float = Field(default=8.0, gt=0, le=4096, description="GiB, all processes together")

    @field_validator("probes", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        given = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
        return tuple(sorted(dict.fromkeys(given))) if isinstance(given, list | tuple) else given

    @field_validator("probes")
    @classmethod
    def _names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if bad := [name for name in value if not PROBE.fullmatch(name)]:
            raise ValueError(f"{bad[0]!r} is no probe; write dan, or dan.DanInTheWild")
        return value

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.limit or self.data or self.system_instruction:
            raise ValueError(
                "a scan takes no DATA, LIMIT or SYSTEM_INSTRUCTION: PROBES and SOFT_PROBE_PROMPT_CAP say what is asked"
            )
        return self

    @property
    def subject(self) -> str:
        """What is asked, as messages and the registry name it."""
        return self.evaluator
