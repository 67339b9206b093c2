"""Criteria as a use case's file says them."""

from __future__ import annotations

from helpers.datasets.criteria import COST, LATENCY, QUALITY, Criteria


def asked(*, least=0.0, quality=4.0, latency=1.0, cost=1.0, **more):
    """What the comparison reads: least accuracy and weights; `more` are further lines, with __ in place of the dot."""
    must = {"must": f">= {least:g}"} if least else {}
    lines = {QUALITY: {"weight": quality, **must}, LATENCY: {"weight": latency}, COST: {"weight": cost}}
    return Criteria.model_validate(lines | {name.replace("__", "."): line for name, line in more.items()})


def thresholds(**musts):
    """What approves: `acc` and `ttft_p95_ms` as bounds."""
    names = {"acc": QUALITY, "ttft_p95_ms": LATENCY}
    return Criteria.model_validate({names[name]: {"must": bound} for name, bound in musts.items()})
