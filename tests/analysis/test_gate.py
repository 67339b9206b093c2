"""A candidate against its baseline: 0 pass, 1 fail, 2 inconclusive, and a report that says why."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from numpy.random import default_rng

from helpers.analysis.gate.__main__ import main
from helpers.analysis.gate.checks import accuracy, speed
from helpers.analysis.gate.exits import NOT_JUDGED
from helpers.artifacts import Hardware, Record
from helpers.statistics import from_counts
from tests.plugins.records import a_record, a_sample, a_sweep, holding, questions, write_samples


def sweep(*values):
    """A sweep whose operating point was repeated with these TTFTs, everything else alike."""
    made = a_sweep()
    point = made.chosen
    again = [point.model_copy(update={"ttft_ms": point.ttft_ms.model_copy(update={"p95": value})}) for value in values]
    return made.model_copy(update={"repeats": tuple(again)})


def answers(wrong, n=1280):
    return [a_sample(number, question, number not in wrong) for number, question in enumerate((questions() * 8)[:n])]


@pytest.fixture
def written(tmp_path):
    """Write a record with the samples log and return its path."""

    def write(name, wrong, ttft, unanswered=0):
        folder = tmp_path / name
        folder.mkdir()
        log = answers(set(wrong), 1280 - unanswered)
        record = a_record(name, samples=log, sweep=sweep(*ttft))
        evaluation = record.evaluation.model_copy(update={"failed": unanswered, "total": 1280})
        record = holding(record, evaluation).sealed()
        write_samples(log, folder / record.evaluation.samples)
        record.write(folder)
        return str(folder / "record.json")

    return write


STEADY = (100.0, 101.0, 99.0)


def test_the_same_again_passes(written, capsys):
    baseline = written("baseline", range(100), STEADY)
    candidate = written("candidate", range(100), (100.5, 99.5, 100.0))
    assert main([candidate, baseline]) == 0
    report = capsys.readouterr().out
    assert report.startswith("## candidate 1.0 (record ")
    assert "passes against baseline 1.0" in report
    assert "| knowledge.acc | at most 0.02 lost | +0.000" in report
    assert report.count("| pass |") == 5


@pytest.mark.parametrize(("unanswered", "code"), [(880, 2), (100, 2), (12, 0)])
def test_questions_without_an_answer_are_no_pass(unanswered, code, written, capsys):
    candidate = written("candidate", range(100), STEADY, unanswered)
    assert main([candidate, written("baseline", range(100), STEADY)]) == code
    assert f"{1280 - unanswered} of 1280 questions answered" in capsys.readouterr().out


def test_questions_that_the_candidate_was_never_asked_are_no_pass(written):
    path = Path(written("candidate", range(100), STEADY, 880))
    record = Record.model_validate_json(path.read_bytes())
    asked = record.evaluation.model_copy(update={"failed": 0, "total": 400})
    path.write_text(holding(record, asked).sealed().model_dump_json())
    assert main([str(path), written("baseline", range(100), STEADY)]) == 2


@pytest.mark.parametrize("given", [["--polcy", "x"], [], ["only.json"], ["a.json", "b.json", "--accept", "0"]], ids=str)
def test_a_mistyped_line_is_no_verdict(given, capsys):
    with pytest.raises(SystemExit) as ended:
        main(given)
    assert ended.value.code == NOT_JUDGED not in (0, 1, 2)
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize(("share", "allowed"), [(0.1, 0.02), (0.3, 0.05)])
def test_an_open_check_says_how_many_more_questions_decide_it_four_times_in_five(share, allowed):
    """Two equally good models that differ on a share of the questions; the published formula is 6.18 share / loss^2."""
    few = from_counts(0, round(100 * share), round(100 * share), 200, 0.9)
    told = accuracy("acc", few, allowed)
    assert told.state == "inconclusive"
    needed = 200 + int(re.search(r"about ([\d,]+) more", told.seen)[1].replace(",", ""))
    assert needed == pytest.approx(6.18 * share / allowed**2, rel=0.12), "the error of few questions is a little wider"
    rng, passed = default_rng(8), 0
    for _ in range(400):
        flips = rng.binomial(needed, share)
        first = int(rng.binomial(flips, 0.5))
        passed += accuracy("acc", from_counts(0, first, int(flips) - first, needed, 0.9), allowed).state == "pass"
    assert 0.74 <= passed / 400 <= 0.88


def test_lost_accuracy_fails(written, capsys):
    code = main([written("candidate", range(200), STEADY), written("baseline", range(100), STEADY)])
    assert code == 1
    assert "| fail |" in next(
        line for line in capsys.readouterr().out.splitlines() if line.startswith("| knowledge.acc")
    )


def test_a_loss_that_chance_explains_is_inconclusive(written):
    candidate = written("candidate", [*range(80), *range(200, 245)], STEADY)
    assert main([candidate, written("baseline", range(100), STEADY)]) == 2


@pytest.mark.parametrize(
    ("ttft", "code"),
    [
        ((240.0, 242.0, 238.0), 1),
        ((120.0, 121.0, 119.0), 2),
        ((107.0, 108.0, 106.0), 0),
        ((90.0, 130.0, 110.0), 2),
        ((), 2),
    ],
)
def test_slower_fails_only_beyond_tolerance_and_noise_and_what_another_start_may_change(ttft, code, written):
    assert main([written("candidate", range(100), ttft), written("baseline", range(100), STEADY)]) == code


def test_other_hardware_is_no_comparison_of_speed(written, capsys):
    path = Path(written("baseline", range(100), STEADY))
    record = Record.model_validate_json(path.read_bytes())
    elsewhere = record.endpoint.model_copy(update={"hardware": Hardware(type="H100", count=1)})
    path.write_text(record.model_copy(update={"endpoint": elsewhere}).sealed().model_dump_json())
    assert main([written("candidate", range(100), STEADY), str(path)]) == 2
    assert "measured under another hardware" in capsys.readouterr().out


def test_the_criteria_say_what_is_tolerated(written, tmp_path):
    criteria, report = tmp_path / "criteria.yaml", tmp_path / "report.md"
    criteria.write_text(
        "knowledge.acc: {tolerance: 0.2}\nchat.ttft_p95_ms: {tolerance: 50%}\nchat.goodput: {weight: 1}\n"
    )
    candidate = written("candidate", range(200), (120.0, 121.0, 119.0))
    files = [candidate, written("baseline", range(100), STEADY), "--criteria", str(criteria), "--report", str(report)]
    assert main(files) == 0
    assert report.read_text().count("| pass |") == 3


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("knowledge.acc: {tolerance: a little}\n", "criteria.yaml:1: knowledge.acc.tolerance"),
        ("coverage: 0.98\naccuracy: 0.03\n", "criteria.yaml:2: accuracy: write knowledge.acc: {tol"),
        ("ttft_p95_ms: 0.15\n", "write chat.ttft_p95_ms: {tolerance: 15%}"),
        ("knowledge.acc: {weight: 1}\n", "criteria.yaml: no line has a tolerance"),
        ("knowledge.exact_match: {tolerance: 0.1}\n", "criteria.yaml:1: nothing measures knowledge.exact_match"),
    ],
)
def test_criteria_by_which_nothing_can_be_judged_are_refused(content, said, written, tmp_path, capsys):
    criteria = tmp_path / "criteria.yaml"
    criteria.write_text(content)
    path = written("baseline", range(100), STEADY)
    assert main([path, path, "--criteria", str(criteria)]) == NOT_JUDGED
    assert said in capsys.readouterr().err


def test_the_policy_of_before_is_refused_with_what_replaces_it(written, capsys):
    path = written("baseline", range(100), STEADY)
    with pytest.raises(SystemExit) as ended:
        main([path, path, "--policy", "gate.yaml"])
    assert ended.value.code == NOT_JUDGED
    assert "--criteria" in capsys.readouterr().err


def test_what_is_no_record_is_named_and_no_verdict(tmp_path, capsys):
    (tmp_path / "x.json").write_text("{}")
    assert main([str(tmp_path / "x.json"), str(tmp_path / "y.json")]) == NOT_JUDGED
    assert "x.json is no record" in capsys.readouterr().err


def test_a_crash_is_no_verdict(written, monkeypatch):
    monkeypatch.setattr("helpers.analysis.gate.__main__.judge", lambda *_: 1 / 0)
    assert main([written("candidate", range(100), STEADY), written("baseline", range(100), STEADY)]) == NOT_JUDGED


def test_more_load_is_better_and_less_is_worse():
    baseline = [10.0, 10.1, 9.9]
    assert speed("requests/s", [[20.0, 20.1, 19.9]], [baseline], 0.1, -1).state == "pass"
    assert speed("requests/s", [[5.0, 5.1, 4.9]], [baseline], 0.1, -1).state == "fail"


def test_with_sessions_that_agree_a_smaller_loss_fails():
    sessions = [[10.0, 10.1, 9.9], [10.2, 10.3, 10.1], [9.8, 9.9, 9.7], [10.0, 10.0, 10.1]]
    slower = [[0.75 * each for each in values] for values in sessions]
    assert speed("requests/s", slower[:1], sessions[:1], 0.1, -1).state == "inconclusive"
    assert speed("requests/s", slower, sessions, 0.1, -1).state == "fail"


def test_scores_between_right_and_wrong_are_held_against_each_other_too(tmp_path, capsys):
    def write(name, lost):
        scores = [{"acc": 0.3 + 0.4 * (number % 5) / 4 - lost} for number in range(1280)]
        log = [row.model_copy(update={"scores": found}) for row, found in zip(answers(set()), scores, strict=True)]
        (tmp_path / name).mkdir()
        record = a_record(name, samples=log, sweep=sweep(*STEADY))
        evaluation = record.evaluation.model_copy(update={"score_kind": "mean", "correct": None, "score": 0.5 - lost})
        record = holding(record, evaluation).sealed()
        write_samples(log, tmp_path / name / record.evaluation.samples)
        record.write(tmp_path / name)
        return str(tmp_path / name / "record.json")

    baseline = write("baseline", 0.0)
    assert main([write("same", 0.01), baseline]) == 0
    assert main([write("worse", 0.1), baseline]) == 1


def tuned_from(path, parent):
    """Make the record in a file one of a version that was tuned from that of another file."""
    record = Record.model_validate_json(Path(path).read_bytes())
    digest = Record.model_validate_json(Path(parent).read_bytes()).selection.digest
    Path(path).write_text(record.model_copy(update={"parent": digest}).sealed().model_dump_json())


@pytest.mark.parametrize(
    ("gain", "wrong", "code"),
    [(0.02, range(0), 0), (0.02, range(100), 1), (0.02, range(70), 2), (-0.05, range(100), 0), (-0.05, range(200), 1)],
    ids=["gained", "nothing gained", "perhaps gained", "kept", "forgot"],
)
def test_tuning_has_to_gain_or_may_lose_what_the_criteria_say(gain, wrong, code, written, tmp_path):
    parent, tuned = written("parent", range(100), STEADY), written("tuned", wrong, STEADY)
    criteria = tmp_path / "criteria.yaml"
    criteria.write_text(f"knowledge.acc: {{gain: {gain}}}\nchat.ttft_p95_ms: {{tolerance: 10%}}\n")
    against = [tuned, parent, "--criteria", str(criteria)]
    assert main(against) == 0, "it was not tuned, so that nothing is asked of it"
    tuned_from(tuned, parent)
    assert main(against) == code


def test_what_a_tuned_version_was_not_measured_by_is_open(written, tmp_path, capsys):
    parent, tuned = written("parent", range(100), STEADY), written("tuned", range(20), STEADY)
    tuned_from(tuned, parent)
    criteria = tmp_path / "criteria.yaml"
    criteria.write_text("retention.acc: {gain: -0.1}\nchat.ttft_p95_ms: {tolerance: 10%}\n")
    assert main([tuned, parent, "--criteria", str(criteria)]) == 2
    assert "| retention.acc by tuning | less than 0.1 lost |" in capsys.readouterr().out


def with_retention(path, unanswered=0):
    """Give the record in a file a second evaluation, whose last questions have no answer."""
    record, log = Record.model_validate_json(Path(path).read_bytes()), answers(set(), 1280 - unanswered)
    changes = {"name": "retention", "samples": "retention.samples.jsonl", "failed": unanswered, "total": 1280}
    write_samples(log, Path(path).parent / changes["samples"])
    second = record.evaluation.model_copy(update=changes)
    record = record.model_copy(update={"measurements": (*record.measurements, second)}).sealed()
    Path(path).write_text(record.model_dump_json())


def test_a_tuned_version_that_leaves_questions_out_has_kept_nothing(written, tmp_path):
    parent, tuned = written("parent", range(100), STEADY), written("tuned", range(20), STEADY)
    with_retention(parent)
    with_retention(tuned, unanswered=400)
    tuned_from(tuned, parent)
    criteria = tmp_path / "criteria.yaml"
    criteria.write_text("knowledge.acc: {tolerance: 0.02}\nretention.acc: {gain: -0.1}\n")
    assert main([tuned, parent, "--criteria", str(criteria)]) == 2
