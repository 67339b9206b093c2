"""The comparison in plain sentences; the tests behind them stand beside, in `Pair.detail`."""

from __future__ import annotations

from collections.abc import Sequence

from helpers.analysis.comparison.common_load import AtLoad, common_load, differ
from helpers.analysis.comparison.contract import MOST, Pair, Standing
from helpers.artifacts.deployment import UNKNOWN
from helpers.artifacts.record import UNVERIFIED
from helpers.statistics import Paired

TTFT = "ttft_p95_ms"
MEASURED_BY = ("workload", "slo", "hardware")


def overall(standings: Sequence[Standing], pairs: Sequence[Pair]) -> str:
    """Return the comparison in few sentences: the most accurate version against the next, and against the others."""
    best = standings[0]
    if len(standings) == 1:
        return f"{alone(best)}; no other version was asked the same."
    against = {pair.second: pair for pair in pairs if pair.first == best.label}
    verdicts = {row.label: against[row.label].paired.verdict for row in standings[2:]}
    lower = [label for label, verdict in verdicts.items() if verdict == "better"]
    alike = [label for label, verdict in verdicts.items() if verdict == "equivalent"]
    open_ = [label for label in verdicts if label not in (*lower, *alike)]
    parts = [against[standings[1].label].sentence]
    if lower:
        parts.append(f"{best.label} is also more accurate than {names(lower, ' and ')}")
    if alike:
        parts.append(f"{best.label} is as accurate as {names(alike, ' and ')}, within the margin")
    if open_:
        parts.append(f"{best.label} and {names(open_, ' and ')} cannot be told apart")
    return ". ".join(parts) + "."


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
            ("equivalent", "as accurate, within the margin, as"),
            ("inconclusive", "cannot be told apart from"),
        )
        if outcomes[verdict]
    ]
    if standing.workload:
        said.append("no load met the SLO" if standing.requests_per_second is None else f"holds {_speed(standing)}")
    return "; ".join([alone(standing), *said, *_caveats(standing)]) + "."


def sentence(first: Standing, second: Standing, paired: Paired) -> str:
    """Return the pair in plain words, without its full stop."""
    mine, theirs = (share(score, first) for score in paired.means)
    scores = f"{mine} against {theirs} of {paired.n} questions"
    if first.kind == "mean":
        scores = f"{mine} against {theirs}, the mean over {paired.n} questions"
    if paired.verdict == "equivalent":
        said = (
            f"{first.label} and {second.label} are equally accurate within the margin of {paired.margin:g} ({scores})"
        )
    elif paired.verdict == "inconclusive":
        settle = paired.questions_to_settle
        more = f"; about {about(settle - paired.n)} more would be needed" if settle else ""
        said = f"{first.label} and {second.label} cannot be told apart by these questions ({scores}{more})"
    else:
        word = "more" if paired.verdict == "better" else "less"
        said = f"{first.label} is {word} accurate than {second.label} ({scores}), by more than chance explains"
    return "; ".join([said, *_cost(first, second)])


def detail(first: Standing, second: Standing, paired: Paired, tests: int = 1) -> str:
    """Return the tests behind the sentence; `tests` is the number of pairs tested together."""
    together = f", adjusted for {tests} pairs (Holm)" if tests > 1 else ""
    looks = f", look {paired.looks}: tested at {(1 - paired.confidence) / paired.stricter:.2g}"
    told = [
        f"difference {paired.difference:+.3f}",
        f"{paired.interval.confidence:.0%} interval {paired.interval.low:+.3f} to {paired.interval.high:+.3f}",
        f"{paired.test} p {p_text(paired.p_adjusted)}{together}{looks if paired.stricter != 1 else ''}",
        f"{paired.flips} of {paired.n} questions answered differently",
        f"{paired.clusters} clusters of questions, design effect {paired.design_effect:.2g}"
        if paired.clusters
        else "questions taken as independent",
    ]
    found = _at_common_load(first, second) if _alike(first, second) else None
    if found and (p_value := differ(*found[:2])) is not None:
        told.append(f"TTFT p95 at {found[2]:.1f} requests/s: Welch p {p_text(p_value)}")
    return "; ".join(told)


def p_text(p_value: float) -> str:
    """Return "= 0.034", or "< 0.0001" where more digits would say nothing."""
    return "< 0.0001" if p_value < 0.0001 else f"= {p_value:.2g}"


def about(count: int) -> str:
    """Return a number of questions as far as it is known: two digits."""
    return f"{float(f'{count:.2g}'):,.0f}"


def share(score: float, row: Standing) -> str:
    """Return a score as readers know it: right answers in percent, a mean of scores as a number."""
    return f"{score:.0%}" if row.kind == "proportion" else f"{score:.2f}"


def _alike(first: Standing, second: Standing) -> bool:
    return first.hardware_type != UNKNOWN and all(getattr(first, name) == getattr(second, name) for name in MEASURED_BY)


def _cost(first: Standing, second: Standing) -> list[str]:
    """Return how the two differ in speed; a ratio only where both were measured alike."""
    if not (first.workload and second.workload):
        return []
    if first.requests_per_second is None or second.requests_per_second is None:
        missing = [row.label for row in (first, second) if row.requests_per_second is None]
        return [f"no load of {' and '.join(missing)} met the SLO, so their speed is not compared"]
    if not _alike(first, second):
        hidden = [row.label for row in (first, second) if row.hardware_type == UNKNOWN]
        if hidden:
            return [f"their speed is not compared: unknown is the hardware of {' and '.join(hidden)}"]
        differs = [name for name in MEASURED_BY if getattr(first, name) != getattr(second, name)]
        return [f"their speed is not compared: another {' and '.join(differs)}"]
    if not _apart(first, second) and not _apart(second, first):
        loads = f"{_bracket(first)}; {_bracket(second)}"
        return [f"both hold about the same load ({loads})", *_latency(first, second), *_caveats(first, second)]
    more, less = (first, second) if first.requests_per_second > second.requests_per_second else (second, first)
    load = (more.requests_per_second or 0) / (less.requests_per_second or 1)
    speeds = f"{_speed(more)} against {_speed(less)}"
    return [f"{more.label} holds {load:.2g} times the load within the SLO ({speeds})", *_caveats(first, second)]


def _apart(higher: Standing, lower: Standing) -> bool:
    """Return whether one held a load at which the other was seen to miss the SLO."""
    return lower.next_load is not None and (higher.requests_per_second or 0.0) >= lower.next_load


def _bracket(row: Standing) -> str:
    above = "the highest that was tried" if row.next_load is None else f"not {row.next_load:.1f}"
    return f"{row.label} {row.requests_per_second:.1f} requests/s, {above}"


def _at_common_load(first: Standing, second: Standing) -> tuple[AtLoad, AtLoad, float] | None:
    """Return both times to first token at the highest load that both carry, None where one is not known there."""
    load = common_load([*first.curves, *second.curves])
    mine, theirs = first.at(load).get(TTFT), second.at(load).get(TTFT)
    return (mine, theirs, load) if load and mine and theirs else None


def _latency(first: Standing, second: Standing) -> list[str]:
    """Return whether TTFT at a common load differs by more than the repeats do among themselves."""
    found = _at_common_load(first, second)
    p_value = differ(*found[:2]) if found else None
    if found is None or p_value is None:
        return []
    mine, theirs, load = found
    values = f"p95 {mine.value:.0f} against {theirs.value:.0f} ms at {load:.1f} requests/s"
    level, now = 1 - first.interval.confidence, differ(mine, theirs, this_session=True)
    if p_value < level:
        return [f"their times to first token differ ({values})"]
    if now is not None and now < level:
        return [f"their times to first token differ in this session ({values}); another start may show no difference"]
    return [f"their times to first token ({values}) differ by no more than the repeats of each do"]


def _caveats(*rows: Standing) -> list[str]:
    told = [f"{row.label} {missed}" for row in rows if (missed := _missed(row))]
    told += [
        f"asked again, {row.label} scored otherwise on {row.again.flips} of {row.again.asked} questions"
        for row in rows
        if row.again and row.again.flips
    ]
    told += [f"{row.label} does not keep up with any load that meets the SLO" for row in rows if row.saturated]
    return told + [f"the load generator limited {row.label}" for row in rows if row.limited_by_load_generator]


def _missed(row: Standing) -> str:
    """Return in how many repeats the SLO was met, "" where it was met in all of them."""
    if not row.slo_repeats or row.slo_repeats[0] == row.slo_repeats[1]:
        return ""
    return "met the SLO in {} of {} repeats only".format(*row.slo_repeats)


def _speed(row: Standing) -> str:
    load = f"{row.requests_per_second:.1f} requests/s"
    return f"{load} at a TTFT p95 of {row.ttft_p95_ms:.0f} ms" if row.ttft_p95_ms is not None else load


def alone(row: Standing) -> str:
    """Return how accurate one version is, and what chance may have done to that."""
    bounds = f"between {share(row.interval.low, row)} and {share(row.interval.high, row)} allowing for chance"
    if row.kind == "mean":
        return f"{row.label} scores {share(row.accuracy, row)} on average over {row.n} questions ({bounds})"
    return f"{row.label} answers {row.accuracy:.0%} of {row.n} questions correctly ({bounds})"


def names(labels: Sequence[str], between: str = ", ") -> str:
    """Return the names, or how many there are where no sentence could hold them."""
    return f"{len(labels)} versions" if len(labels) > MOST else between.join(labels)


def short(label: str, most: int = 34) -> str:
    """Return the label, its middle left out where it is too long: names differ in their ends.

    What is marked as unverified stays so, beyond `most`: the version's end would be lost to the mark.
    """
    if label.endswith(UNVERIFIED):
        return short(label.removesuffix(UNVERIFIED), most) + UNVERIFIED
    return label if len(label) <= most else f"{label[: most // 2 - 1]}\u2026{label[-(most // 2) :]}"
