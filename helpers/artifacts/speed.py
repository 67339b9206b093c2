"""What GuideLLM measured."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from helpers.artifacts.base import Artifact, Contract, Parameter, Probability


class Percentiles(Contract):
    """One distribution over successful requests."""

    mean: float
    p50: float
    p90: float
    p95: float
    p99: float


class SLO(Contract):
    """Service-level objective on the 95th percentile; None means not limited. All in milliseconds."""

    ttft_ms: float | None = Field(default=None, gt=0)
    itl_ms: float | None = Field(default=None, gt=0)
    e2e_ms: float | None = Field(default=None, gt=0)


class LoadPoint(Contract):
    """What GuideLLM measured under one strategy."""

    strategy: str
    rate: float | None = Field(description="requests/s asked for; None where the strategy sets no rate")
    concurrency: float = Field(ge=0, description="mean number of requests in flight")
    duration_seconds: float = Field(gt=0)
    successful: int = Field(ge=0)
    errored: int = Field(ge=0)
    incomplete: int = Field(ge=0)
    requests_per_second: float = Field(ge=0)
    output_tokens_per_second: float = Field(ge=0)
    ttft_ms: Percentiles | None
    itl_ms: Percentiles | None
    e2e_ms: Percentiles | None
    tps: Percentiles | None = Field(description="output tokens/s over time (GuideLLM's rate distribution)")
    mean_input_tokens: float = Field(ge=0)
    mean_output_tokens: float = Field(ge=0)
    slo_attainment: Probability | None = Field(default=None, description="share of requests that met the SLO")
    goodput: float | None = Field(default=None, ge=0, description="requests/s that met the SLO")
    meets_slo: bool
    short_of: float | None = Field(
        default=None, description="output tokens asked for, where the answers had fewer: then this is no measurement"
    )
    limited_by_load_generator: bool = False
    saturated: bool = Field(
        default=False,
        description="more than the server keeps up with: GuideLLM's over-saturation detector says so; or it is its "
        "`throughput` strategy; or fewer requests per second were answered than sent; or, where a number of requests "
        "is kept in flight, more of them brought latency and hardly any throughput (helpers.benchmark.saturation)",
    )

    @property
    def error_share(self) -> float:
        """Share of the requests that ended which failed."""
        return self.errored / max(1, self.successful + self.errored)


NEARLY = 1.25  # times the limit: by more than that no noise between repeats has been seen to miss


def nearly_meets(point: LoadPoint, slo: SLO, error_limit: float = 0.01) -> bool:
    """Return whether a load missed the objective by latency alone, by so little that noise may have decided."""
    if point.short_of or point.error_share > error_limit:
        return False
    limits = {name: limit for name, limit in slo.model_dump().items() if limit}
    measured = [(getattr(point, name), limit) for name, limit in limits.items()]
    return not point.meets_slo and all(m is not None and m.p95 <= NEARLY * limit for m, limit in measured)


class PrefixCache(Contract):
    """vLLM's prefix cache over the whole sweep, from /metrics before and after, in tokens."""

    queries: float = Field(ge=0)
    hits: float = Field(ge=0)

    @property
    def hit_rate(self) -> float:
        """Share of looked-up tokens that were found, 0 where none was looked up."""
        return self.hits / self.queries if self.queries else 0.0

    def __str__(self) -> str:
        return f"prefix cache: {self.hit_rate:.1%} of looked-up tokens found"


class OperatingPoint(Contract):
    """The highest measured load that meets the SLO; `index` into the sweep's load points, None where none does."""

    index: int | None
    reason: str


class Sweep(Artifact):
    """GuideLLM's results and the operating point; the raw report stays beside it."""

    filename = "sweep.json"
    written_by = "guidellm_sweep"

    digest: str = Field(default="", description="of the model that was measured; empty in files of before")
    profile: str
    workload: str
    prompt_tokens: int | None = Field(description="asked for; None where prompts come from a file")
    output_tokens: int
    dataset_digest: str | None = None
    slo: SLO
    points: tuple[LoadPoint, ...]
    operating_point: OperatingPoint
    repeats: tuple[LoadPoint, ...] = Field(default=(), description="the operating point, measured again")
    not_held: tuple[LoadPoint, ...] = Field(
        default=(), description="repeats of loads that met the SLO once, or nearly, and missed it in most repeats"
    )
    prefix_cache: PrefixCache | None
    warnings: tuple[str, ...] = ()
    report: str = Field(description="GuideLLM's JSON, beside this file")
    repeats_report: str = Field(default="", description="GuideLLM's JSON of `not_held` and `repeats`, in this order")
    started: datetime
    ended: datetime
    versions: dict[str, str]
    settings: dict[str, Parameter]
    identity: str = Field(default="", description="of what was measured, how, on what; empty: never taken over")
    taken_from: str = Field(default="", description="id of the record that this was taken over from")
    files: dict[str, str] = Field(default={}, description="raw file beside this one -> its sha256")

    @property
    def chosen(self) -> LoadPoint | None:
        """The operating point's measurements, or None where no load met the SLO."""
        return None if self.operating_point.index is None else self.points[self.operating_point.index]

    @property
    def next_load(self) -> float | None:
        """The lowest load (requests/s) above the operating point that missed the SLO or saturated the server."""
        chosen = self.chosen
        if chosen is None:
            return None
        higher = [p.requests_per_second for p in (*self.points, *self.not_held) if p.saturated or not p.meets_slo]
        return min((load for load in higher if load > chosen.requests_per_second), default=None)
