"""What GuideLLM measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Literal

from pydantic import Field, computed_field

from helpers.artifacts.base import Contract, Probability
from helpers.artifacts.measurement import Failures, Measurement, Metric


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
    streams: int | None = Field(default=None, description="requests to be kept in flight; None where a rate was asked")
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
    ended_by: Literal["requests", "time", "errors"] = Field(
        default="time", description="what ended it: as many answers as were to come, the time allowed, or failures"
    )
    enough: bool = Field(default=True, description="whether enough requests were answered for a 95th percentile")
    short_of: float | None = Field(
        default=None, description="output tokens asked for, where the answers had fewer: then this is no measurement"
    )
    limited_by_load_generator: bool = False
    saturated: bool = Field(
        default=False,
        description="more than the server keeps up with: GuideLLM's over-saturation detector says so; or it is its "
        "`throughput` strategy; or fewer requests per second were answered than sent; or, where a number of requests "
        "is kept in flight, more of them brought latency and hardly any throughput (helpers.load_test.saturation)",
    )

    @property
    def error_share(self) -> float:
        """Share of the requests that ended which failed."""
        return self.errored / max(1, self.successful + self.errored)


class Headline(Contract):
    """A load test in a few figures: means over the repeats of the operating point, else its one measurement."""

    n: int = Field(ge=1, description="measurements")
    requests_per_second: float
    output_tokens_per_second: float
    ttft_ms: Percentiles | None
    itl_ms: Percentiles | None
    e2e_ms: Percentiles | None
    tps: Percentiles | None
    mean_input_tokens: float
    mean_output_tokens: float
    slo_attainment: float | None
    goodput: float | None
    spread: dict[str, float] = Field(default={}, description="figure -> standard deviation; empty where n is 1")

    @classmethod
    def of(cls, points: Sequence[LoadPoint]) -> Headline:
        """Return the means; what one of the measurements lacks is None."""
        names = cls.model_fields.keys() - {"n", "spread"}
        means = {name: _mean([getattr(point, name) for point in points]) for name in names}
        return cls(n=len(points), **means, spread=_spread(points) if len(points) > 1 else {})


def _mean(values: Sequence[Any]) -> Any:
    if any(value is None for value in values):
        return None
    if isinstance(values[0], Percentiles):
        return Percentiles(**{name: fmean(getattr(v, name) for v in values) for name in Percentiles.model_fields})
    return fmean(values)


def _spread(points: Iterable[LoadPoint]) -> dict[str, float]:
    rows = [figures(point) for point in points]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    known = {name: [v for v in values if v is not None] for name, values in columns.items()}
    return {name: stdev(values) for name, values in known.items() if len(values) == len(rows)}


def figures(measured: LoadPoint | Headline) -> dict[str, float | None]:
    """Return the figures under the names that the registry and the comparison give them."""

    def p95(metric: Percentiles | None) -> float | None:
        return metric.p95 if metric else None

    return {
        "requests_per_second": measured.requests_per_second,
        "output_tokens_per_second": measured.output_tokens_per_second,
        "ttft_p95_ms": p95(measured.ttft_ms),
        "itl_p95_ms": p95(measured.itl_ms),
        "e2e_p95_ms": p95(measured.e2e_ms),
        "goodput": measured.goodput,
        "slo_attainment": measured.slo_attainment,
    }


FIGURES: dict[str, dict[str, Any]] = {
    "requests_per_second": {"unit": "requests/s", "kind": "rate"},
    "output_tokens_per_second": {"unit": "tokens/s", "kind": "rate"},
    "ttft_p95_ms": {"unit": "ms", "kind": "percentile", "better": "lower"},
    "itl_p95_ms": {"unit": "ms", "kind": "percentile", "better": "lower"},
    "e2e_p95_ms": {"unit": "ms", "kind": "percentile", "better": "lower"},
    "goodput": {"unit": "requests/s", "kind": "rate"},
    "slo_attainment": {"kind": "proportion"},
}
BETTER: dict[str, Literal["higher", "lower"]] = {name: about.get("better", "higher") for name, about in FIGURES.items()}


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


class LoadTest(Measurement):
    """GuideLLM's results and the operating point; the raw report stays beside it."""

    written_by = "guidellm_sweep"

    kind: Literal["load_test"] = "load_test"
    tier: Literal["performance"] = "performance"
    profile: str
    workload: str
    prompt_tokens: int | None = Field(description="asked for; None where prompts come from a file")
    output_tokens: int
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
    one_request_seconds: float | None = Field(default=None, description="what one took alone, before the first load")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The headline's figures; none where no load met the SLO."""
        headline = self.headline
        known = figures(headline) if headline else {}
        return tuple(
            Metric(name=name, value=value, n=headline.n, **FIGURES[name])
            for name, value in known.items()
            if headline and value is not None
        )

    @computed_field  # type: ignore[prop-decorator]
    @property
    def failures(self) -> Failures:
        """What became of the requests at the operating point, of all loads where there is none."""
        loads = self.measured or self.points
        answered, failed = sum(load.successful for load in loads), sum(load.errored for load in loads)
        cut = sum(load.incomplete for load in loads)
        return Failures(asked=answered + failed + cut, answered=answered, failed=failed, truncated=cut)

    @property
    def subject(self) -> str:
        """The workload."""
        return self.workload

    @property
    def raw(self) -> dict[str, str]:
        """GuideLLM's report of the sweep, its page, and its report of the repeats."""
        page = str(Path(self.report).with_suffix(".html"))
        named = {"report": self.report, "page": page, "repeats": self.repeats_report}
        return {what: name for what, name in named.items() if name}

    @property
    def chosen(self) -> LoadPoint | None:
        """The operating point's measurements, or None where no load met the SLO."""
        return None if self.operating_point.index is None else self.points[self.operating_point.index]

    @property
    def measured(self) -> tuple[LoadPoint, ...]:
        """What the headline is the mean of: the repeats, else the operating point as swept, nothing without one.

        The measurement that made a load the operating point was chosen for being good, its repeats were not.
        """
        return self.repeats or (() if self.chosen is None else (self.chosen,))

    @property
    def headline(self) -> Headline | None:
        """The figures of this load test, for whoever reads them; None where no load met the SLO."""
        return None if self.chosen is None else Headline.of(self.measured)

    @property
    def next_load(self) -> float | None:
        """The lowest load (requests/s) above the operating point that missed the SLO or saturated the server."""
        chosen = self.chosen
        if chosen is None:
            return None
        higher = [p.requests_per_second for p in (*self.points, *self.not_held) if p.saturated or not p.meets_slo]
        return min((load for load in higher if load > chosen.requests_per_second), default=None)
