"""The comparison in sentences that name their uncertainty."""

from __future__ import annotations

from collections.abc import Sequence

from helpers.comparison.contract import MOST, Pair, Standing
from helpers.statistics import Paired, welch


def overall(standings: Sequence[Standing], pairs: Sequence[Pair]) -> str:
    """Return the comparison in one sentence: the most accurate version against the next, and what it costs."""
    best = standings[0]
    if len(standings) == 1:
        return f"{_alone(best)}; there is no other version on the same questions to compare it with."
    against = {pair.second: pair for pair in pairs if pair.first == best.label}
    verdicts = {row.label: against[row.label].paired.verdict for row in standings[2:]}
    lower = [label for label, verdict in verdicts.items() if verdict == "better"]
    alike = [label for label, verdict in verdicts.items() if verdict == "equivalent"]
    open_ = [label for label in verdicts if label not in (*lower, *alike)]
    parts = [against[standings[1].label].sentence]
    if lower:
        parts.append(f"it is also shown to be more accurate than {names(lower, ' and ')}")
    if alike:
        parts.append(f"it is equivalent to {names(alike, ' and ')} within the margin")
    if open_:
        parts.append(f"against {names(open_, ' and ')} the difference is inconclusive")
    return "; ".join(parts) + "."


def standing_verdict(standing: Standing, pairs: Sequence[Pair]) -> str:
    """Return what is known about one version against all others."""
    outcomes: dict[str, list[str]] = {"better": [], "worse": [], "equivalent": [], "inconclusive": []}
    for pair in pairs:
        if standing.label == pair.first:
            outcomes[pair.paired.verdict].append(pair.second)
        elif standing.label == pair.second:
            outcomes[pair.paired.mirrored].append(pair.first)
    said = [
        f"{words} {names(outcomes[verdict])}"
        for verdict, words in (
            ("better", "more accurate than"),
            ("worse", "less accurate than"),
            ("equivalent", "equivalent within the margin to"),
            ("inconclusive", "no difference shown from"),
        )
        if outcomes[verdict]
    ]
    speed = "no load met the SLO" if standing.requests_per_second is None else f"holds {_speed(standing)}"
    speed += f" and {missed}" if (missed := _missed(standing)) else ""
    speed += " and is saturated there" if standing.saturated else ""
    speed += " (limited by the load generator)" if standing.limited_by_load_generator else ""
    return "; ".join([_alone(standing), *said, speed]) + "."


def sentence(first: Standing, second: Standing, paired: Paired, tests: int = 1) -> str:
    """Return the pair in one sentence without its full stop; `tests` is the number of pairs tested together."""
    mine, theirs = (paired.both + paired.only_first) / paired.n, (paired.both + paired.only_second) / paired.n
    bounds = f"{paired.interval.confidence:.0%} interval {paired.interval.low:+.3f} to {paired.interval.high:+.3f}"
    scores = f"{mine:.3f} against {theirs:.3f}, difference {paired.difference:+.3f}, {bounds}"
    together = f" adjusted for {tests} pairs" if tests > 1 else ""
    test = f"exact McNemar p {p_text(paired.p_adjusted)}{together}, {paired.n} questions, {paired.flips} flips"
    if paired.verdict == "equivalent":
        alike = f"{first.label} and {second.label} are equivalent in accuracy within the margin of {paired.margin:g}"
        return f"{alike} ({scores}, {test}){_cost(first, second)}"
    if paired.verdict == "inconclusive":
        none = f"No difference in accuracy is shown between {first.label} and {second.label}"
        return f"{none} ({scores}, {test}{_reach(paired)}){_cost(first, second)}"
    word = "more" if paired.verdict == "better" else "fewer"
    return (
        f"{first.label} answers {word} questions correctly than {second.label} ({scores}, {test}){_cost(first, second)}"
    )


def _reach(paired: Paired) -> str:
    """Return what these questions could have shown, and how many would settle the difference that was seen."""
    could = "no difference could have been shown by so few questions"
    if paired.detectable is not None:
        could = f"a difference of {paired.detectable:.2f} would have been shown four times in five"
    settle = paired.questions_to_settle
    return f"; {could}" + (f"; about {settle:,} questions would settle one of this size" if settle else "")


def p_text(p_value: float) -> str:
    """Return "= 0.034", or "< 0.0001" where more digits would say nothing."""
    return "< 0.0001" if p_value < 0.0001 else f"= {p_value:.2g}"


def _cost(first: Standing, second: Standing) -> str:
    """Return what the first costs in speed; a ratio only where both were measured alike."""
    if first.requests_per_second is None or second.requests_per_second is None:
        missing = [row.label for row in (first, second) if row.requests_per_second is None]
        return f"; no operating point to compare the speed at for {' and '.join(missing)}"
    differs = [name for name in ("workload", "slo", "hardware") if getattr(first, name) != getattr(second, name)]
    if differs:
        return f"; their speed was measured under another {' and '.join(differs)} and is not compared"
    if not _apart(first, second) and not _apart(second, first):
        return (
            f"; no difference in the load within the SLO is shown beyond the steps of the sweep "
            f"({_bracket(first)} against {_bracket(second)}){_latency(first, second)}"
        )
    load = first.requests_per_second / second.requests_per_second
    speeds = f"{_speed(first)} against {_speed(second)}"
    return f"; {first.label} holds {load:.2g} times the load within the SLO ({speeds}){_caveats(first, second)}"


def _apart(higher: Standing, lower: Standing) -> bool:
    """Return whether one held a load at which the other was seen to miss the SLO."""
    return lower.next_load is not None and (higher.requests_per_second or 0.0) >= lower.next_load


def _bracket(row: Standing) -> str:
    above = "no higher one missed it" if row.next_load is None else f"and missed it at {row.next_load:.1f}"
    return f"{row.label} held {row.requests_per_second:.1f} requests/s, {above}"


def _latency(first: Standing, second: Standing) -> str:
    """Return whether TTFT differs by more than the repeats do among themselves."""
    p_value = welch(first.repeats.get("ttft_p95_ms", ()), second.repeats.get("ttft_p95_ms", ()))
    if p_value is None or first.ttft_p95_ms is None or second.ttft_p95_ms is None:
        return _caveats(first, second)
    values = f"TTFT p95 {first.ttft_p95_ms:.0f} against {second.ttft_p95_ms:.0f} ms"
    level = 1 - first.interval.confidence
    known = (
        f"differs, Welch p {p_text(p_value)}" if p_value < level else "no difference beyond the noise of the repeats"
    )
    return f"; {values}: {known}{_caveats(first, second)}"


def _caveats(*rows: Standing) -> str:
    limited = [row.label for row in rows if row.limited_by_load_generator]
    told = [f"; {row.label} {missed}" for row in rows if (missed := _missed(row))]
    told += [f"; {row.label} is saturated under every load that meets the SLO" for row in rows if row.saturated]
    return "".join([*told, f"; the load generator limited {' and '.join(limited)}" if limited else ""])


def _missed(row: Standing) -> str:
    """Return in how many repeats the SLO was met, "" where it was met in all of them."""
    if not row.slo_repeats or row.slo_repeats[0] == row.slo_repeats[1]:
        return ""
    return "met the SLO in {} of {} repeats only".format(*row.slo_repeats)


def _speed(row: Standing) -> str:
    load = f"{row.requests_per_second:.1f} requests/s"
    return f"{load} at a TTFT p95 of {row.ttft_p95_ms:.0f} ms" if row.ttft_p95_ms is not None else load


def _alone(row: Standing) -> str:
    bounds = f"{row.interval.confidence:.0%} interval {row.interval.low:.0%} to {row.interval.high:.0%}"
    return f"{row.label} answers {row.accuracy:.0%} of {row.n} questions correctly ({bounds})"


def names(labels: Sequence[str], between: str = ", ") -> str:
    """Return the names, or how many there are where no sentence could hold them."""
    return f"{len(labels)} versions" if len(labels) > MOST else between.join(labels)
