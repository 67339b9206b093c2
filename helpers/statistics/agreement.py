"""How far two who judge the same agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence


def cohen_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float | None:
    """Return Cohen's kappa (Cohen 1960): the agreement beyond what their shares alone give, 1 at most, 0 for none.

    None where both always say the same one thing, so that there is nothing beyond.
    """
    n, ours, theirs = len(first), Counter(first), Counter(second)
    seen = sum(one == other for one, other in zip(first, second, strict=True)) / n
    by_shares = sum(ours[each] * theirs[each] for each in ours) / n**2
    return (seen - by_shares) / (1 - by_shares) if by_shares < 1 else None
