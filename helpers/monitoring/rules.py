"""Recording and alert rules from a record: its SLO is the limit, its load test the baseline. One source, two forms.

Prometheus on this machine reads a file of them, OpenShift a `PrometheusRule`. Every expression stands for itself:
`watch_endpoint` asks for it also where no rule is loaded. vLLM's series are called `vllm:…`, and `kserve_vllm:…` where
the platform's PodMonitor of an LLMInferenceService renames them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from helpers.artifacts import Record
from helpers.errors import InvalidInput
from helpers.serving.histograms import seconds
from helpers.serving.kserve.names import service_name
from helpers.serving.targets import SERVE

SHARE = 0.95  # of the requests, that an SLO is about
ERROR_LIMIT = 0.01  # share of failed requests, where the load test names none
QUEUE_LIMIT = 1.0  # seconds in the queue, where there is no SLO on the first token
KV_LIMIT = 0.9
DRIFT = 2.0  # prompts and answers of half to twice the tokens that were measured are the load that was measured
OVERLOAD = 1.2  # times the load of the operating point
OBJECTIVES = {
    "ttft": ("TTFT", "time_to_first_token_seconds"),
    "itl": ("ITL", "inter_token_latency_seconds"),
    "e2e": ("End-to-end latency", "e2e_request_latency_seconds"),
}


class Pace(NamedTuple):
    """How long a rule looks back, and how long it has to hold before it fires."""

    window: str
    hold: str
    gone: str
    interval: str
    least: int  # requests in the window, below which latency says nothing
    burns: tuple[tuple[float, str, str], ...]  # how much faster than allowed, within a short and within a long window


# The pairs of windows are those of the SRE workbook's "multiwindow, multi-burn-rate alerts", as OpenShift's own rules.
EARNEST = Pace("10m", "10m", "5m", "30s", 50, ((14.4, "5m", "1h"), (6, "30m", "6h")))
HERE = Pace("1m", "10s", "30s", "5s", 10, ((6, "1m", "5m"),))


class Signal(NamedTuple):
    """A figure of what is served, as Prometheus records it and a panel shows it."""

    name: str
    title: str
    unit: Literal["s", "share", "requests/s", "tokens", "1/s"]
    expr: str
    limit: float | None = None  # the SLO, or another limit of an alert
    baseline: float | None = None  # what the load test measured at the operating point

    @property
    def series(self) -> str:
        """The name of the recorded series."""
        return f"assay:{self.name}"


class Alert(NamedTuple):
    """What fires; `action` is the pipeline that it asks for, or `notify`."""

    name: str
    expr: str
    hold: str
    action: Literal["regression", "notify"]
    severity: Literal["warning", "critical"]
    summary: str


@dataclass(frozen=True)
class Watched:
    """A served version: by which labels its series are found, and the record that says what to expect of it."""

    record: Record
    engine: str
    http: str
    gone: str
    pace: Pace

    @classmethod
    def here(cls, record: Record, pace: Pace = HERE) -> Watched:
        """Return the version as Prometheus here sees it, by the labels that deploy_model gives its server."""
        about = record.selection
        labels = f'model="{about.name}",version="{about.version}",purpose="{SERVE}"'
        return cls(record, labels, labels, f'up{{job="vllm",{labels}}} == 0', pace)

    @classmethod
    def on_cluster(cls, record: Record, namespace: str, name: str = "", pace: Pace = EARNEST) -> Watched:
        """Return the version as a project's Prometheus sees it; `name` is the InferenceService, by default ours."""
        name = name or service_name(record.selection)
        engine = f'namespace="{namespace}",model_name="{name}"'
        http = f'namespace="{namespace}",pod=~"{name}-(predictor|kserve)-.+"'  # these series name no model
        return cls(record, engine, http, f"absent({_series('num_requests_running', engine)})", pace)

    @property
    def labels(self) -> dict[str, str]:
        """What each recorded series and alert says of itself."""
        about = self.record.selection
        return {"model": about.name, "version": about.version, "use_case": self.record.use_case}

    @property
    def signals(self) -> tuple[Signal, ...]:
        """The figures, latencies first."""
        window, found = self.pace.window, self.record.load_tests and self.record.sweep.headline
        known: dict[str, Any] = found.model_dump() if found else {}
        slo = self._limits()
        latencies = [
            Signal(f"{key}_seconds:p95", f"{title}, 95th percentile", "s", self._p95(family), slo.get(key),
                   _p95_of(known.get(f"{key}_ms")))
            for key, (title, family) in OBJECTIVES.items()
        ]  # fmt: skip
        attained = [
            Signal(f"{key}_attainment:ratio", f"{OBJECTIVES[key][0]}: share within the SLO", "share",
                   self._attained(key, window), SHARE)
            for key in slo
        ]  # fmt: skip
        prompt, output = (self._mean(f"request_{what}_tokens") for what in ("prompt", "generation"))
        rps = known.get("requests_per_second")
        return (
            *latencies,
            *attained,
            Signal("errors:ratio", "Share of requests that fail", "share", self._http_errors(), self._error_limit()),
            Signal("requests:rate", "Load", "requests/s", self._rate("time_to_first_token_seconds_count"), None, rps),
            Signal("queue_seconds:p95", "Queue, 95th percentile", "s", self._p95("request_queue_time_seconds"),
                   self._queue_limit()),
            Signal("kv_cache:ratio", "KV cache in use", "share", self._kv_cache(), KV_LIMIT),
            Signal("preemptions:rate", "Preemptions", "1/s", self._rate("num_preemptions_total")),
            Signal("prompt_tokens:mean", "Tokens of a prompt", "tokens", prompt, None, known.get("mean_input_tokens")),
            Signal("output_tokens:mean", "Tokens of an answer", "tokens", output, None,
                   known.get("mean_output_tokens")),
        )  # fmt: skip

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """What fires, the SLO first. A latency over its SLO asks for a regression run, all else for somebody's eyes."""
        return tuple(self._alerts())

    def _alerts(self) -> Iterator[Alert]:
        hold, signals = self.pace.hold, {each.name: each for each in self.signals}
        enough = f"{self._requests()} >= {self.pace.least}"
        for key, limit in self._limits().items():
            title = OBJECTIVES[key][0]
            yield Alert(
                f"{key.upper()}MissesSLO",
                f"{signals[f'{key}_seconds:p95'].expr} > {limit} and {enough}", hold, "regression", "warning",
                f"95% of {title} lie within {{{{ $value | humanizeDuration }}}}, the SLO is {limit * 1000:g} ms",
            )  # fmt: skip
            burns = " or ".join(
                f"({' and '.join(f'1 - {self._attained(key, span)} > {factor * (1 - SHARE):.4g}' for span in spans)})"
                for factor, *spans in self.pace.burns
            )
            yield Alert(
                f"{key.upper()}BudgetBurns", f"({burns}) and {enough}", hold,
                "regression", "critical", f"{{{{ $value | humanizePercentage }}}} miss the SLO on {title}, 5% may",
            )  # fmt: skip
        limit = self._error_limit()
        ended = "request_success_total"
        engine = _share(self._rate(ended, 'finished_reason="error"'), self._rate(ended))
        yield Alert(
            "RequestsFail", f"{self._http_errors()} > {limit} or {engine} > {limit}", hold, "notify", "critical",
            f"{{{{ $value | humanizePercentage }}}} of the requests fail, {limit:.0%} may",
        )  # fmt: skip
        patient = self._queue_limit()
        queued = self._within("request_queue_time_seconds", patient, self.pace.window)
        yield Alert(
            "QueueGrows", f"1 - {queued} > {1 - SHARE:.2g} and {enough}", hold, "notify",
            "warning", f"{{{{ $value | humanizePercentage }}}} of the requests wait longer than {patient * 1000:g} ms",
        )  # fmt: skip
        waiting = f"sum({_series('num_requests_waiting', self.engine)}) > 0"
        yield Alert(
            "KvCacheFull", f"{self._kv_cache()} > {KV_LIMIT} and {waiting}", hold, "notify", "warning",
            "The KV cache is {{ $value | humanizePercentage }} full, and requests wait for it",
        )  # fmt: skip
        yield Alert(
            "RequestsPreempted", f"{signals['preemptions:rate'].expr} > 0", hold, "notify", "warning",
            "The KV cache is too small: requests are preempted and computed again",
        )  # fmt: skip
        yield Alert("EndpointGone", self.gone, self.pace.gone, "notify", "critical", "The endpoint does not answer")
        for what in ("prompt", "output"):
            signal = signals[f"{what}_tokens:mean"]
            if signal.baseline:
                low, high = signal.baseline / DRIFT, signal.baseline * DRIFT
                outside = f"({signal.expr} < {low:.4g} or {signal.expr} > {high:.4g})"
                yield Alert(
                    f"{what.title()}sDrifted", f"{outside} and {enough}", hold, "notify", "warning",
                    f"{signal.title}: {{{{ $value | humanize }}}} on average, {signal.baseline:.4g} when measured. The "
                    "record no longer describes the load",
                )  # fmt: skip
        load = signals["requests:rate"]
        if load.baseline:
            yield Alert(
                "LoadAboveMeasured", f"{load.expr} > {load.baseline * OVERLOAD:.4g} and {enough}", hold, "notify",
                "warning", f"{{{{ $value | humanize }}}} requests/s, {load.baseline:.4g} were measured to meet the SLO",
            )  # fmt: skip

    def groups(self) -> list[dict[str, Any]]:
        """Return the groups of rules, as Prometheus and a PrometheusRule read them."""
        about = self.record.selection
        name = f"assay-{about.name}-{about.version}"
        return [
            {
                "name": name, "interval": self.pace.interval,
                "rules": [{"record": each.series, "expr": each.expr, "labels": self.labels} for each in self.signals],
            },
            {
                "name": f"{name}-alerts", "interval": self.pace.interval,
                "rules": [
                    {
                        "alert": each.name, "expr": each.expr, "for": each.hold,
                        "labels": self.labels | {"severity": each.severity, "action": each.action},
                        "annotations": {"summary": each.summary, "record": self.record.record_id},
                    }
                    for each in self.alerts
                ],
            },
        ]  # fmt: skip

    def _limits(self) -> dict[str, float]:
        """Return the SLO's limits in seconds."""
        if not self.record.load_tests:
            return {}
        given = self.record.sweep.slo.model_dump()
        return {key: seconds(given[f"{key}_ms"]) for key in OBJECTIVES if given[f"{key}_ms"]}

    def _error_limit(self) -> float:
        known = self.record.sweep.settings.get("error_limit") if self.record.load_tests else None
        return float(known or ERROR_LIMIT)

    def _queue_limit(self) -> float:
        """Return half of the SLO on the first token, which deploy_model makes an edge too."""
        return round(self._limits().get("ttft", 2 * QUEUE_LIMIT) / 2, 6)

    def _rate(self, name: str, more: str = "") -> str:
        return f"sum(rate({_series(name, self.engine, more)}[{self.pace.window}]))"

    def _requests(self) -> str:
        return f"sum(increase({_series('time_to_first_token_seconds_count', self.engine)}[{self.pace.window}]))"

    def _p95(self, family: str) -> str:
        buckets = _series(f"{family}_bucket", self.engine)
        return f"histogram_quantile({SHARE}, sum by (le) (rate({buckets}[{self.pace.window}])))"

    def _mean(self, family: str) -> str:
        return _share(self._rate(f"{family}_sum"), self._rate(f"{family}_count"))

    def _attained(self, key: str, window: str) -> str:
        """Return the share within the SLO, exact because the SLO is an edge; nothing where no bucket has that edge."""
        return self._within(OBJECTIVES[key][1], self._limits()[key], window)

    def _within(self, family: str, edge: float, window: str) -> str:
        upper = f'le="{edge}"'
        within = f"sum(rate({_series(f'{family}_bucket', self.engine, upper)}[{window}]))"
        return f"({within} / (sum(rate({_series(f'{family}_count', self.engine)}[{window}])) > 0))"

    def _kv_cache(self) -> str:
        return f"max(avg_over_time({_series('kv_cache_usage_perc', self.engine)}[{self.pace.window}]))"

    def _http_errors(self) -> str:
        """Return the share of 5xx. Without one there is no such series, which is a share of 0 and not of nothing."""
        asked = f'sum(rate(http_requests_total{{handler=~"/v1/.+",{self.http}}}[{self.pace.window}]))'
        failed = f'sum(rate(http_requests_total{{handler=~"/v1/.+",status="5xx",{self.http}}}[{self.pace.window}]))'
        return _share(f"({failed} or {asked} * 0)", asked)


def _series(name: str, labels: str, more: str = "") -> str:
    return f'{{__name__=~"(kserve_)?vllm:{name}",{labels}{more and f",{more}"}}}'


def _share(part: str, whole: str) -> str:
    return f"({part} / ({whole} > 0))"


def _p95_of(percentiles: dict[str, float] | None) -> float | None:
    return seconds(percentiles["p95"]) if percentiles else None


def prometheus_rules(watched: list[Watched]) -> dict[str, Any]:
    """Return Prometheus' rules file for several versions. Raises InvalidInput where one stands there twice."""
    groups = [group for each in watched for group in each.groups()]
    names = [group["name"] for group in groups]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidInput(f"Two records are of {', '.join(twice)}", do="Name one record for each version")
    return {"groups": groups}


def prometheus_rule(watched: Watched, namespace: str) -> dict[str, Any]:
    """Return the PrometheusRule of a project. The platform makes the ServiceMonitor of an InferenceService itself."""
    version = watched.record.selection.model_copy(update={"run": ""})  # the next record's rules take this one's place
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": f"assay-{service_name(version)}",
            "namespace": namespace,
            "labels": {"app.kubernetes.io/part-of": "assay"},
        },
        "spec": {"groups": watched.groups()},
    }
