"""From a comparison to a choice, and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence

from helpers.analysis.comparison import Comparison, Standing
from helpers.analysis.comparison.common_load import common_load
from helpers.analysis.recommendation import ranking
from helpers.analysis.recommendation.contract import Decision, Option
from helpers.analysis.recommendation.doubts import Evidence, doubts
from helpers.analysis.recommendation.headline import headline
from helpers.analysis.recommendation.needs import Needs
from helpers.analysis.recommendation.options import at_common_load, option
from helpers.analysis.recommendation.prices import PriceList
from helpers.datasets.criteria import Criteria


def decide(comparison: Comparison, criteria: Criteria, needs: Needs, prices: PriceList) -> Decision:
    """Hold the versions against the criteria, rank those that meet them, and say whether the first is sure.

    The best version truly meets every must-have, of which one is to answer better than guessing, and has, of those
    that do, the highest score by its true accuracy above chance, its latency at the load that all of them carry, and
    the load and the cost of its operating point, as they have weights; where accuracies differ by less than the
    margin, the others decide.
    Sure is only what tests say. Against every other version that meets the must-haves, or misses one by so little that
    chance may have done it, the first is shown to be more accurate, or equivalent within the margin, and its score
    leads by more than the noise; and it meets its own must-haves by more than chance explains.
    Raises InvalidCriteria where no line has a weight.
    """
    found = [option(row, comparison.tiers, criteria, needs, prices) for row in comparison.standings]
    rows = {row.label: row for row in comparison.standings}
    load = _common([rows[each.label] for each in found if each.eligible]) or comparison.common_load
    options = [at_common_load(each, rows[each.label], load) for each in found]
    placed = _placed([each for each in options if each.eligible], criteria.weights)
    rest = [each for each in options if not each.eligible]
    first = placed[0] if placed else None
    weights = ranking.counting(placed, criteria.weights)
    best = {line: ranking.best_of(placed, line) for line in weights}
    why = doubts(first, placed[1:], rest, Evidence(comparison, prices, weights, best, load)) if first else []
    action, sentence = headline(comparison, (*placed, *rest), why, load)
    return Decision(
        options=(*placed, *rest),
        action=action,
        recommended=first.label if first else None,
        sure=bool(first) and not why,
        sentence=sentence,
        doubts=tuple(why),
        weights=criteria.weights,
        counting=weights,
        common_load=load,
        target_rate=needs.target_rate,
        headroom=needs.headroom,
        prices=f"{prices.date:%Y-%m-%d}, {prices.source}",
        currency=prices.currency,
    )


def _common(rows: Sequence[Standing]) -> float | None:
    return common_load(each for row in rows for each in row.curves)


def _placed(eligible: Sequence[Option], weights: ranking.Weights) -> list[Option]:
    """Return the options with front, score and rank, best first."""
    parts, beaten = ranking.utilities(eligible, weights), ranking.dominated_by(eligible, weights)
    known = {each.label: each for each in eligible}
    return [
        known[label].model_copy(
            update={
                "rank": place,
                "score": ranking.score(parts[label], weights),
                "dominated_by": beaten[label],
                "on_front": not beaten[label],
            }
        )
        for place, label in enumerate(ranking.ranked(eligible, weights), 1)
    ]
