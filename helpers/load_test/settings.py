"""What is measured, and how: the notebook's parameters, checked before anything starts."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from helpers.artifacts import SLO
from helpers.artifacts.measurement import LOAD_TEST, NAME
from helpers.errors import InvalidParameter
from helpers.runtime import parameters

CATALOG = {"chatbot": (512, 256), "code_fixing": (1024, 1024), "rag": (4096, 512), "long_rag": (10240, 1536)}
LONGEST = 600.0  # seconds that a load gets where MAX_SECONDS is 0
KNEE_POINTS = 5  # GuideLLM looks for a knee in no fewer


def shape_name(workload: str, prompt_tokens: int | None, output_tokens: int) -> str:
    """Return the catalog's name for its own token counts, and for others the name with them: another workload."""
    given = (prompt_tokens, output_tokens)
    return workload if CATALOG.get(workload, given) == given else "_".join(map(str, (workload, *given)))


def _unlimited(value: Any) -> Any:
    return None if value in (0, "0", "0.0", "") else value


def _listed(value: Any) -> Any:
    try:
        return parameters.numbers(value, "STREAMS") if isinstance(value, str) else value
    except InvalidParameter as error:  # told with the other fields' faults
        raise ValueError("not numbers; separate them by commas") from error


Limit = Annotated[float | None, Field(default=None, gt=0, le=3_600_000), BeforeValidator(_unlimited)]


class Settings(parameters.Settings):
    """Load profile, workload and service-level objective. Raises InvalidParameter with the parameter's name."""

    name: str = Field(default=LOAD_TEST, pattern=NAME, description="of the measurement and its files")
    profile: Literal["sweep", "concurrent", "goodput", "knee"] = "sweep"
    workload: Literal["chatbot", "code_fixing", "rag", "long_rag", "prompts"] = "chatbot"
    api: Literal["auto", "chat", "completions"] = Field(default="auto", description="auto: chat where it is offered")
    scale: float = Field(default=1.0, gt=0, le=1, description="factor on the catalog's token counts, for small models")
    prompts: str = Field(default="", description="prompts.jsonl of the use case, for the workload `prompts`")
    sweep_size: int = Field(default=5, ge=3, le=30, description="one at a time, all at once, and rates in between")
    streams: Annotated[tuple[Annotated[int, Field(ge=1, le=4096)], ...], BeforeValidator(_listed)] = Field(
        default=(1, 2, 4, 8, 16), min_length=1, description="requests in flight, for concurrent, goodput and knee"
    )
    max_probes: int = Field(default=8, ge=2, le=30, description="for goodput: how many loads it may try")
    max_concurrency: int = Field(default=32, ge=1, le=4096, description="requests in flight at most")
    max_seconds: Annotated[float | None, BeforeValidator(_unlimited)] = Field(
        default=None, ge=1, le=3600, description="a load gets no more; None: planned from one measured request"
    )
    min_requests: int = Field(default=60, ge=1, le=1_000_000, description="answers that a 95th percentile needs")
    max_requests: Annotated[int | None, BeforeValidator(_unlimited)] = Field(
        default=None, ge=1, description="answers that end a load; None: as many as are needed"
    )
    repeats: int = Field(
        default=3, ge=0, le=20, description="further measurements of the operating point, for its noise"
    )
    warmup: int = Field(default=4, ge=0, le=1000, description="requests before the first strategy, not counted")
    seed: int = Field(default=0, ge=0, lt=2**31, description="0 draws one, so that no run repeats another's prompts")
    slo_ttft_ms: Limit = None
    slo_itl_ms: Limit = None
    slo_e2e_ms: Limit = None
    error_limit: float = Field(default=0.01, ge=0, lt=1, description="share of failed requests that a load may have")
    workers: int = Field(default=0, ge=0, le=10, description="GuideLLM's processes; 0 takes half of the cores")

    @property
    def slo(self) -> SLO:
        """The service-level objective."""
        return SLO(ttft_ms=self.slo_ttft_ms, itl_ms=self.slo_itl_ms, e2e_ms=self.slo_e2e_ms)

    @property
    def tokens(self) -> tuple[int, int]:
        """Prompt and output tokens of a catalog workload, scaled."""
        prompt, output = CATALOG[self.workload]
        return max(1, round(prompt * self.scale)), max(1, round(output * self.scale))

    @property
    def workload_name(self) -> str:
        """The catalog's name for its own token counts; `chatbot_64_32` for others, which are another workload."""
        return self.workload if self.workload == "prompts" else shape_name(self.workload, *self.tokens)

    @property
    def strategies(self) -> int:
        """How many strategies are run, at most."""
        return {"sweep": self.sweep_size, "goodput": self.max_probes}.get(self.profile, len(self.streams))

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.workload == "prompts" and not self.prompts:
            raise ValueError("WORKLOAD is prompts, so PROMPTS must name a file")
        if self.profile == "goodput" and not any(self.slo.model_dump().values()):
            raise ValueError("PROFILE is goodput, so one of SLO_TTFT_MS, SLO_ITL_MS, SLO_E2E_MS must be set")
        if self.max_requests and self.max_requests < self.min_requests:
            raise ValueError(f"MAX_REQUESTS is {self.max_requests}, below MIN_REQUESTS ({self.min_requests})")
        if list(self.streams) != sorted(set(self.streams)):
            raise ValueError(f"STREAMS is {self.streams}: must grow from one to the next")
        if self.profile == "knee" and len(self.streams) < KNEE_POINTS:
            raise ValueError(f"PROFILE is knee, so STREAMS must have {KNEE_POINTS} values or more")
        return self
