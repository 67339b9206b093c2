"""Whether a record approves its version: by verified measurements only, and by each `must` of the criteria."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from helpers.artifacts import Approval, LoadTest, Record
from helpers.datasets.criteria import Criteria, Criterion
from helpers.errors import InvalidInput
from helpers.records.figures import Figure, figures
from helpers.records.reading import require_scored

DO = "Run the model-ops pipeline: it serves what was signed and measures it with the baseline's use case"


def require_measured(record: Record, asked: Mapping[str, str], folder: Path) -> None:
    """Refuse a record that is no measurement of this version's signed files with the baseline's own questions.

    `asked` is the task of each evaluation that the baseline's use case names, empty where it names none; the raw files
    lie in `folder`. Raises InvalidInput or DigestMismatch.
    """
    label, endpoint = record.selection.label, record.endpoint
    if record.purpose != "baseline":
        raise InvalidInput(f"{label} is approved by a baseline only, and this is a {record.purpose}", do=DO)
    if endpoint.target == "existing" or not endpoint.digest_verified:
        raise InvalidInput(f"{label} was measured at {endpoint.url}, whose files nobody verified", do=DO)
    for each in record.evaluations:
        if asked and asked.get(each.name) != each.task:
            wanted = asked.get(each.name, "none of that name")
            raise InvalidInput(f"{each.name} asked {each.task}, and {record.use_case} asks {wanted}", do=DO)
        if not each.dataset_digest:
            raise InvalidInput(f"{each.name} does not say which questions it asked", do=DO)
        require_scored(each, folder)


def decide(record: Record, criteria: Criteria) -> Approval:
    """Return approved or rejected with a reason for each `must`; the value decides, its interval is told too.

    Without an operating point, or a measurement that must hold something, nothing is approved. Raises InvalidCriteria
    for a line about a figure that its measurement does not have.
    """
    found, measured = figures(record), {each.name for each in record.measurements}
    criteria.require([*found, *(line.name for line in criteria.lines if line.measurement not in measured)])
    checks = [_must(line, found.get(line.name)) for line in criteria.musts]
    checks += [
        (False, f"No operating point: {each.operating_point.reason}") for each in record.load_tests if not each.headline
    ]
    checks += [
        (False, f"{each.name} has {each.n} questions, and {criteria.least} are the least that approve")
        for each in record.evaluations
        if each.name in criteria.deciding and each.n < criteria.least
    ]
    passed = all(good for good, _ in checks)
    return Approval(state="approved" if passed else "rejected", reasons=tuple(reason for _, reason in checks))


def _must(line: Criterion, figure: Figure | None) -> tuple[bool, str]:
    assert line.must, "asked of lines with a must only"
    if figure is None:
        return False, f"{line.name} must be {line.must}, and {line.measurement} was not measured"
    if figure.value is None:
        return False, f"{line.name} was not measured at an operating point, so {line.must} cannot be checked"
    good, reaches = line.must.holds(figure.value), ""
    if isinstance(figure.measurement, LoadTest):
        shown, about = f"{figure.value:.4g}", _load(figure.measurement)
    else:
        shown, about = f"{figure.value:.3f}", f"{figure.measurement.subject}, n = {figure.n}"
    if bounds := figure.interval:
        about += f", {bounds.confidence:.0%} interval {bounds.low:.3f} to {bounds.high:.3f}"
        if good and not (line.must.holds(bounds.low) and line.must.holds(bounds.high)):
            reaches = ", though the interval reaches beyond it"
    return good, f"{line.name} is {shown} ({about}) and {'meets' if good else 'misses'} {line.must}{reaches}"


def _load(load_test: LoadTest) -> str:
    headline = load_test.headline
    mean = f"mean of {headline.n} measurements " if headline and headline.n > 1 else ""
    return f"{mean}at {headline.requests_per_second:.2f} requests/s" if headline else ""
