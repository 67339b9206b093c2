"""Look at what is served: each figure over the window, which rules held, the canary questions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from helpers.artifacts import Record, now
from helpers.artifacts.observation import Fired, Observation, Seen
from helpers.cluster import connect
from helpers.errors import NotFound
from helpers.monitoring.prometheus import Points, Prometheus
from helpers.monitoring.rules import EARNEST, HERE, Alert, Pace, Signal, Watched, prometheus_rule
from helpers.monitoring.settings import Settings
from helpers.records import reading
from helpers.registry import Registry
from helpers.runtime.account import in_pod, namespace
from helpers.serving.kserve.failures import SET_UP

UNITS = {"s": 1, "m": 60, "h": 3600}
VALUE = re.compile(r"\{\{ \$value \| (\w+) \}\}")
FORMS: dict[str, Callable[[float], str]] = {  # Prometheus' templates, as far as the rules use them
    "humanizeDuration": lambda value: f"{value * 1000:.4g}ms" if value < 1 else f"{value:.4g}s",
    "humanizePercentage": lambda value: f"{100 * value:.4g}%",
    "humanize": lambda value: f"{value:.4g}",
}


def newest(settings: Settings, registry: Registry) -> Record:
    """Return the version's newest record of the use case with a load test. Raises NotFound, or as `reading`."""
    known = registry.records(settings.model_name, settings.model_version)
    own = [each for each in known if each.summary.get("use_case") == settings.use_case]
    wanted = [each for each in own if each.has(kind="load_test")]
    if not wanted:
        about = f"{settings.model_name or 'any model'} {settings.model_version}".rstrip()
        raise NotFound(
            f"No record of {about} for {settings.use_case} has a load test",
            do="Measure the version first (make pipeline PIPELINE=ai-engineer), or correct USE_CASE",
        )
    return reading.read_trusted(wanted[-1])


def watched(settings: Settings, record: Record) -> Watched:
    """Return the version as this machine's Prometheus sees it, in a pod as the project's does."""
    pace = {"fast": HERE, "slow": EARNEST}.get(settings.pace, EARNEST if in_pod() else HERE)
    if in_pod() or settings.served_as:
        return Watched.on_cluster(record, namespace(), settings.served_as, pace)
    return Watched.here(record, pace)


def install(watched: Watched) -> str:
    """Keep the project's PrometheusRule as the newest record has it; say what was done. On one machine nothing is."""
    if not in_pod():
        return "make monitor loads the rules here"
    cluster, name = connect(), watched.record.selection.label
    wanted = prometheus_rule(watched, cluster.namespace)
    if not cluster.allowed("create", "PrometheusRule"):
        return f"This account may not write PrometheusRules in {cluster.namespace}: apply {SET_UP}"
    try:
        known = cluster.get("PrometheusRule", wanted["metadata"]["name"])
    except NotFound:
        return "The cluster has no PrometheusRules: without user workload monitoring only this node looks"
    if known and known["spec"] == wanted["spec"]:
        return f"The rules of {name} stand in {cluster.namespace}"
    if known:
        cluster.delete("PrometheusRule", wanted["metadata"]["name"])
    cluster.create(wanted)
    return f"The rules of {name} are new in {cluster.namespace}"


def observe(settings: Settings, watched: Watched, prometheus: Prometheus, at: datetime | None = None) -> Observation:
    """Return what was seen in the window that ends now. Raises as `Prometheus.range`."""
    end, pace, record = at or now(), watched.pace, watched.record
    start, step = end - timedelta(minutes=settings.window_minutes), span(pace.interval)
    signals = [_seen(each, prometheus.range(each.expr, start, end, step)) for each in watched.signals]
    held = [held for each in watched.alerts
            for held in _held(each, prometheus.range(each.expr, start, end, step), end, step)]  # fmt: skip
    return Observation(
        label=record.selection.label, record_id=record.record_id, prometheus=prometheus.url,
        digest=record.selection.digest, started=start, ended=end, versions={},
        settings={"window_minutes": settings.window_minutes, "pace": _name(pace)}, signals=tuple(signals),
        fired=tuple(sorted(held, key=lambda each: (each.until is not None, each.since))),
    )  # fmt: skip


def span(text: str) -> float:
    """Return the seconds of a duration as Prometheus writes it: 10s, 5m, 1h."""
    return float(text[:-1]) * UNITS[text[-1]]


def _name(pace: Pace) -> str:
    return "fast" if pace is HERE else "slow"


def _seen(signal: Signal, points: Points) -> Seen:
    shown = signal._asdict()
    del shown["expr"]
    return Seen(**shown, points=points)


def _held(alert: Alert, points: Points, end: datetime, step: float) -> Iterator[Fired]:
    """Yield each stretch of time in which the rule held for as long as it has to; the points are when it was true."""
    for stretch in _stretches(points, step):
        (begun, _), (last, value) = stretch[0], stretch[-1]
        if last - begun >= span(alert.hold):
            over = end.timestamp() - last > 1.5 * step
            yield Fired(
                alert=alert.name, action=alert.action, severity=alert.severity, value=value,
                summary=VALUE.sub(lambda found: FORMS[found[1]](value), alert.summary),  # noqa: B023, called at once
                since=datetime.fromtimestamp(begun, UTC),
                until=datetime.fromtimestamp(last, UTC) if over else None,
            )  # fmt: skip


def _stretches(points: Points, step: float) -> Iterator[Points]:
    breaks = [place for place, (one, two) in enumerate(pairwise(points), 1) if two[0] - one[0] > 1.5 * step]
    for begun, ended in pairwise([0, *breaks, len(points)]):
        if points[begun:ended]:
            yield points[begun:ended]
