"""vLLM's prefix cache counters: a hit makes a prompt look cheaper than it is."""

from __future__ import annotations

import re

from helpers.artifacts import PrefixCache
from helpers.serving.client import headers

SAMPLE = re.compile(r"^vllm:prefix_cache_(queries|hits)_total(?:\{.*\})?\s+(\S+)", re.MULTILINE)


def read_prefix_cache(url: str) -> PrefixCache | None:
    """Return the counters in tokens since the server started, summed over its engines; None where it has none."""
    import httpx

    try:
        response = httpx.get(f"{url}/metrics", headers=headers(), timeout=10)
        response.raise_for_status()
    except httpx.HTTPError:
        return None
    found = [(name, float(value)) for name, value in SAMPLE.findall(response.text)]
    if not found:
        return None
    total = {name: sum(value for kind, value in found if kind == name) for name in ("queries", "hits")}
    return PrefixCache(queries=total["queries"], hits=total["hits"])


def between(before: PrefixCache | None, after: PrefixCache | None) -> PrefixCache | None:
    """Return what was counted from `before` to `after`; None where it is not known or the server started anew."""
    if before is None or after is None or after.queries < before.queries:
        return None
    return PrefixCache(queries=after.queries - before.queries, hits=after.hits - before.hits)
