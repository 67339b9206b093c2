"""How strict a test has to be that is made again each time questions were added."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

POINTS = 501  # at which a density is kept


class Looks(NamedTuple):
    """How often two models were compared, each time on more questions, and what this and the next test's level loses.

    The level is divided by `stricter`, at the next look by `next_stricter`.
    """

    number: int = 1
    stricter: float = 1.0
    next_stricter: float = 6.0

    def confidence(self, whole: float) -> float:
        """Return the confidence that an interval needs at this look to have `whole` over all of them."""
        return 1 - (1 - whole) / self.stricter


ONE_LOOK = Looks()


def last_of(looks: Sequence[int], planned: int = 0, confidence: float = 0.95) -> Looks:
    """Return the last of several looks; `looks` are the questions of each one, growing.

    With a plan of how many questions there will be, what may have been spent by each look is O'Brien and Fleming's
    (Lan and DeMets 1983, Biometrika 70:659-663): little early, nearly all of it at the planned number. Without one, and
    beyond the plan, look k has the k (k + 1)-th part, so that something is left for every later one. The first look
    keeps the whole level: nobody knew then that there would be another.
    """
    count = len(looks)
    if not planned or (count > 1 and looks[-2] >= planned):
        return Looks(count, count * (count + 1.0) if count > 1 else 1.0, (count + 1) * (count + 2.0))
    level, shares = 1 - confidence, tuple(min(look / planned, 1.0) for look in looks)
    if shares[-1] == 1:
        return Looks(count, level / _levels(shares, level)[-1], (count + 1) * (count + 2.0))
    *_, now, last = _levels((*shares, 1.0), level)
    return Looks(count, level / now, level / last)


@lru_cache(maxsize=64)
def _levels(shares: tuple[float, ...], level: float) -> tuple[float, ...]:
    """Return the two-sided level of each look, at growing shares of the planned questions.

    A look ends everything with the probability that is newly spent, of those that no earlier one ended: the density of
    what is left is carried from look to look (Armitage, McPherson and Rowe 1969, J. R. Stat. Soc. A 132:235-244).
    """
    from numpy import linspace, trapezoid
    from scipy.optimize import brentq
    from scipy.stats import norm

    z = float(norm.isf(level / 4))
    spent = [4 * float(norm.sf(z / math.sqrt(share))) for share in shares]
    found, reach = [spent[0]], float(norm.isf(spent[0] / 2)) * math.sqrt(shares[0])
    places = linspace(-reach, reach, POINTS)
    density = norm.pdf(places, scale=math.sqrt(shares[0]))
    for place, share in enumerate(shares[1:], 1):
        step, new = math.sqrt(share - shares[place - 1]), spent[place] - spent[place - 1]
        reach = float(brentq(_ended, 0.0, 12.0, args=(places, density, step, new)))
        found.append(2 * float(norm.sf(reach / math.sqrt(share))))
        grid = linspace(-reach, reach, POINTS)
        density = trapezoid(density * norm.pdf((grid[:, None] - places) / step) / step, places, axis=1)
        places = grid
    return tuple(found)


def _ended(reach: float, places: Any, density: Any, step: float, wanted: float) -> float:
    """Return how much more than `wanted` goes beyond `reach`, either way, by one step from a density."""
    from numpy import trapezoid
    from scipy.stats import norm

    beyond = norm.sf((reach - places) / step) + norm.cdf((-reach - places) / step)
    return float(trapezoid(density * beyond, places)) - wanted
