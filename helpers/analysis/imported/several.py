"""One decision from several tasks: which model is better on some of them and worse on none."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from helpers.analysis.comparison import Comparison
from helpers.analysis.comparison.verdict import about, share, short
from helpers.analysis.recommendation import Decision
from helpers.statistics import Paired, adjusted

MOST = 4  # tasks that a sentence names
WORTH = 10  # times as many questions as were asked are worth to be asked
Won = dict[tuple[str, str], list[str]]  # by the better and the other model, the tasks that show it


def across(comparisons: Sequence[Comparison], decisions: Sequence[Decision]) -> Decision:
    """Return the one task's decision; of several the first one's, with what all tasks together say to do.

    All pairs of all tasks are one family (Holm's correction).
    """
    if len(comparisons) == 1:
        return decisions[0]
    outcomes = _judged(comparisons)
    won = {both: tasks for (both, verdict), tasks in outcomes.items() if verdict == "better"}
    labels = list(dict.fromkeys(row.label for each in comparisons for row in each.standings))
    lead = [a for a in labels if all((a, b) in won and (b, a) not in won for b in labels if b != a)]
    front = [a for a in labels if not any((b, a) in won and (a, b) not in won for b in labels)]
    sure = False
    if lead:
        open_ = {task for ((a, _), said), tasks in outcomes.items() if a == lead[0] and not said for task in tasks}
        said, action, sure = _take(lead[0], comparisons, won, open_), "take", not open_
    elif won:
        said, action = _trade(front or labels, won), "weigh"
    else:
        said, action = _open(comparisons), "measure"
    changed = {"sentence": said, "action": action, "sure": sure, "recommended": lead[0] if lead else None}
    return decisions[0].model_copy(update=changed)


def _judged(comparisons: Sequence[Comparison]) -> dict[tuple[tuple[str, str], str], list[str]]:
    """Return the tasks by two models and what is shown: that the first is `better`, `equivalent`, or nothing."""
    pairs = [(each.standings[0].task, pair) for each in comparisons for pair in each.pairs]
    judged = adjusted([pair.paired for _, pair in pairs])
    found: dict[tuple[tuple[str, str], str], list[str]] = {}
    for (task, pair), result in zip(pairs, judged, strict=True):
        for both, verdict in (
            ((pair.first, pair.second), result.verdict),
            ((pair.second, pair.first), result.mirrored),
        ):
            if verdict != "worse":  # told the other way round
                found.setdefault((both, "" if verdict == "inconclusive" else verdict), []).append(task)
    return found


def _take(label: str, comparisons: Sequence[Comparison], won: Won, open_: Collection[str]) -> str:
    tasks = list(dict.fromkeys(task for (first, _), found in won.items() if first == label for task in found))
    shown = []
    for each in (each for each in comparisons if each.standings[0].task in tasks[:MOST]):
        rows = {row.label: row for row in each.standings}
        others = ", ".join(share(row.accuracy, row) for name, row in rows.items() if name != label)
        shown.append(f"{each.standings[0].task} {share(rows[label].accuracy, rows[label])} against {others}")
    more = f" and {len(tasks) - MOST} more" if len(tasks) > MOST else ""
    better = f"better on {len(tasks)} of {len(comparisons)} tasks ({'; '.join(shown)}{more}), shown to be worse on none"
    if open_:
        return f"Take {short(label)} for now: {better}. Not sure: nothing tells on {_tasks(sorted(open_))}."
    return f"Take {short(label)}: {better}. The measurements are enough to be sure."


def _trade(labels: Sequence[str], won: Won) -> str:
    told = [f"{short(a)} is better than {short(b)} on {_tasks(tasks)}" for (a, b), tasks in won.items() if a in labels]
    return f"No model is better than all others: {'; '.join(told)}. Give the task that counts a weight (--criteria)."


def _tasks(tasks: Sequence[str]) -> str:
    return ", ".join(tasks[:MOST]) + (f" and {len(tasks) - MOST} more" if len(tasks) > MOST else "")


def _open(comparisons: Sequence[Comparison]) -> str:
    """Return that no task tells two models apart, and where the fewest questions more would."""
    reach = [
        (settle - pair.paired.n, each.standings[0].task)
        for each in comparisons
        for pair in each.pairs
        if (settle := _settles(pair.paired))
    ]
    more = (
        f" About {about(min(reach)[0])} more questions of {min(reach)[1]} would be the shortest way." if reach else ""
    )
    return f"Measure more questions: none of {len(comparisons)} tasks tells these models apart yet.{more}"


def _settles(pair: Paired) -> int | None:
    settle = pair.questions_to_settle
    return settle if settle and settle <= WORTH * pair.n else None
