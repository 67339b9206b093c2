"""One decision from several tasks: which model is better on some of them and worse on none."""

from __future__ import annotations

from collections.abc import Sequence

from helpers.analysis.comparison import Comparison
from helpers.analysis.comparison.verdict import about, share, short
from helpers.analysis.recommendation import Decision
from helpers.statistics import Paired, adjusted

MOST = 4  # tasks that a sentence names
WORTH = 10  # times as many questions as were asked are worth to be asked


def across(comparisons: Sequence[Comparison], decisions: Sequence[Decision]) -> Decision:
    """Return the one task's decision; of several the first one's, with what all tasks together say to do.

    All pairs of all tasks are one family (Holm's correction).
    """
    if len(comparisons) == 1:
        return decisions[0]
    won = _won(comparisons)
    labels = list(dict.fromkeys(row.label for each in comparisons for row in each.standings))
    beaten = {label: [other for other in labels if won.get((other, label))] for label in labels}
    lead = [a for a in labels if all(won.get((a, b)) and not won.get((b, a)) for b in labels if b != a)]
    front = [label for label in labels if not [other for other in beaten[label] if not won.get((label, other))]]
    if lead:
        said, action, sure = _take(lead[0], comparisons, won), "take", True
    elif won:
        said, action, sure = _trade(front or labels, won), "measure", False
    else:
        said, action, sure = _open(comparisons), "measure", False
    changed = {"sentence": said, "action": action, "sure": sure, "recommended": lead[0] if lead else None}
    return decisions[0].model_copy(update=changed)


def _won(comparisons: Sequence[Comparison]) -> dict[tuple[str, str], list[str]]:
    """Return the tasks on which one model is shown to be better than another."""
    pairs = [(each.standings[0].task, pair) for each in comparisons for pair in each.pairs]
    judged = adjusted([pair.paired for _, pair in pairs])
    found: dict[tuple[str, str], list[str]] = {}
    for (task, pair), result in zip(pairs, judged, strict=True):
        if result.verdict in ("better", "worse"):
            both = (pair.first, pair.second) if result.verdict == "better" else (pair.second, pair.first)
            found.setdefault(both, []).append(task)
    return found


def _take(label: str, comparisons: Sequence[Comparison], won: dict[tuple[str, str], list[str]]) -> str:
    tasks = list(dict.fromkeys(task for (first, _), found in won.items() if first == label for task in found))
    shown = []
    for each in (each for each in comparisons if each.standings[0].task in tasks[:MOST]):
        rows = {row.label: row for row in each.standings}
        others = ", ".join(share(row.accuracy, row) for name, row in rows.items() if name != label)
        shown.append(f"{each.standings[0].task} {share(rows[label].accuracy, rows[label])} against {others}")
    more = f" and {len(tasks) - MOST} more" if len(tasks) > MOST else ""
    return (
        f"Take {short(label)}: better on {len(tasks)} of {len(comparisons)} tasks ({'; '.join(shown)}{more}), worse on "
        "none. The measurements are enough to be sure."
    )


def _trade(labels: Sequence[str], won: dict[tuple[str, str], list[str]]) -> str:
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
