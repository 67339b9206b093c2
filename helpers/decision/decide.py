"""From a comparison to a choice, and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence

from helpers.comparison import MOST, Comparison
from helpers.decision import ranking
from helpers.decision.contract import Decision, Option
from helpers.decision.doubts import Evidence, doubts
from helpers.decision.needs import Needs
from helpers.decision.options import option
from helpers.decision.prices import PriceList


def decide(comparison: Comparison, needs: Needs, prices: PriceList) -> Decision:
    """Hold the versions against the needs, rank those that meet them, and say whether the first is sure.

    The best version truly meets every must-have and has, of those that do, the highest score by its true accuracy,
    latency and cost at its operating point; where accuracies differ by less than the margin, latency and cost decide.
    Sure is only what tests say. Against every other version that meets the must-haves, or misses one by less than the
    uncertainty, the first is shown to be more accurate, or equivalent within the margin, and its score leads by more
    than the noise; and it meets its own must-haves by more than the uncertainty.
    """
    options = [option(row, needs, prices) for row in comparison.standings]
    placed = _placed([each for each in options if each.eligible], needs)
    rest = [each for each in options if not each.eligible]
    first = placed[0] if placed else None
    evidence = Evidence(comparison, prices, ranking.counting(placed, needs.weights))
    found = doubts(first, placed[1:], rest, evidence) if first else []
    return Decision(
        options=(*placed, *rest),
        recommended=first.label if first else None,
        sure=bool(first) and not found,
        sentence=_sentence(first, placed[1:], rest, found),
        weights=needs.weights,
        target_rate=needs.target_rate,
        headroom=needs.headroom,
        prices=f"{prices.date:%Y-%m-%d}, {prices.source}",
        currency=prices.currency,
    )


def _placed(eligible: Sequence[Option], needs: Needs) -> list[Option]:
    """Return the options with front, score and rank, best first."""
    shares, firsts = ranking.criteria(eligible), ranking.first_shares(eligible)
    beaten, order = ranking.dominated_by(eligible), ranking.ranked(eligible, needs.weights)
    known = {each.label: each for each in eligible}
    return [
        known[label].model_copy(
            update={
                "rank": place,
                "score": ranking.score(shares[label], needs.weights),
                "first_share": firsts[label],
                "dominated_by": beaten[label],
                "on_front": not beaten[label],
            }
        )
        for place, label in enumerate(order, 1)
    ]


def _sentence(first: Option | None, others: Sequence[Option], rest: Sequence[Option], doubted: Sequence[str]) -> str:
    if first is None:
        return f"No version meets the must-haves: {_out(rest)}."
    share = f" and in {first.first_share:.0%} of all weightings" if others else ""
    out = f"; {_out(rest)}" if rest else ""
    how = f"That is not sure: {'; '.join(doubted)}." if doubted else "The measurements are enough to be sure of that."
    return f"Take {first.label}: it ranks first for these weights{share}{out}. {how}"


def _out(rest: Sequence[Option]) -> str:
    return f"{len(rest)} versions miss one" if len(rest) > MOST else "; ".join(_missed(each) for each in rest)


def _missed(each: Option) -> str:
    gates = " and ".join(f"{gate.asked} ({gate.seen})" for gate in each.gates if gate.state == "missed")
    return f"{each.label} misses {gates}"
