"""A Grafana dashboard of a served version: watch_endpoint's panels, with the record's SLO and baseline as lines."""

from __future__ import annotations

from typing import Any

from helpers.monitoring.rules import Signal, Watched

COLUMNS, WIDTH, HEIGHT = 3, 8, 7  # Grafana's grid is 24 wide
UNITS = {"s": "s", "share": "percentunit", "requests/s": "reqps", "tokens": "short", "1/s": "ops"}


def grafana(watched: Watched) -> dict[str, Any]:
    """Return the dashboard as Grafana imports it; it asks for the source of the data then."""
    label = watched.record.selection.label
    return {
        "__inputs": [{"name": "DS_PROMETHEUS", "label": "Prometheus", "type": "datasource", "pluginId": "prometheus"}],
        "title": f"{label}: SLO and baseline",
        "description": f"Record {watched.record.record_id} of {watched.record.use_case}",
        "tags": ["assay"],
        "schemaVersion": 39,
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "1m",
        "panels": [_panel(number, signal) for number, signal in enumerate(watched.signals)],
    }


def _panel(number: int, signal: Signal) -> dict[str, Any]:
    lines = {"seen": signal.expr, "SLO or limit": signal.limit, "measured": signal.baseline}
    row, column = divmod(number, COLUMNS)
    return {
        "id": number + 1,
        "title": signal.title,
        "type": "timeseries",
        "datasource": {"type": "prometheus", "uid": "${DS_PROMETHEUS}"},
        "gridPos": {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": UNITS[signal.unit], "min": 0}, "overrides": []},
        "targets": [
            {"refId": refer, "expr": expr if isinstance(expr, str) else f"vector({expr})", "legendFormat": name}
            for refer, (name, expr) in zip("ABC", lines.items(), strict=True)
            if expr is not None
        ],
    }
