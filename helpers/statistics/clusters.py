"""Questions that belong together: a topic, a document, the paraphrases of one question."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

Totals = tuple[int, float]  # of one cluster: how many questions, and the sum of their scores or differences


def design_effect(scores: Sequence[float], clusters: Sequence[str]) -> float:
    """Return by how much the mean of these scores varies more than that of as many independent questions; 1 or more.

    1 where there is one cluster or none: the mean then speaks of new questions of that cluster only.
    """
    if not clusters:
        return 1.0
    totals: dict[str, Totals] = {}
    for score, cluster in zip(scores, clusters, strict=True):
        count, total = totals.get(cluster, (0, 0.0))
        totals[cluster] = count + 1, total + score
    return effect_of(totals.values(), sum(score**2 for score in scores))


def effect_of(totals: Iterable[Totals], squares: float) -> float:
    """Return the design effect by the totals of each cluster and the sum of all squared scores.

    The variance of a mean of clusters (Cochran 1977, Sampling Techniques, section 9A.2) over that of single questions,
    widened by Student's t for so many clusters: the fewer they are, the less is known of how they differ.
    """
    found = list(totals)
    n, k = sum(count for count, _ in found), len(found)
    mean = sum(total for _, total in found) / n
    single = (squares - n * mean**2) / (n - 1) if n > 1 else 0.0
    if k < 2 or single <= 1e-12:
        return 1.0
    together = k / (k - 1) * sum((total - count * mean) ** 2 for count, total in found) / n
    return max(1.0, together / single * _few(k))


@lru_cache(maxsize=1024)
def _few(clusters: int) -> float:
    from scipy.stats import norm, t

    return float((t.ppf(0.975, clusters - 1) / norm.ppf(0.975)) ** 2)
