"""Versions side by side: what is called a difference, what is not, and what is not compared at all."""

from __future__ import annotations

from datetime import timedelta

import pytest

from helpers.artifacts import Hardware, run
from helpers.comparison import Comparison, compare, read_answers
from helpers.errors import ArtifactMissing, InvalidInput, NotFound
from helpers.records import join
from tests.plugins.records import (
    START,
    a_record,
    a_sample,
    a_selection,
    a_sweep,
    about,
    an_endpoint,
    an_evaluation,
    questions,
    some_samples,
    write_samples,
)


def from_pattern(right):
    """The per-question log of a model that is right where the pattern says so."""
    return [
        a_sample(number, question, good) for number, (question, good) in enumerate(zip(questions(), right, strict=True))
    ]


BASE = [number % 2 == 0 for number in range(160)]
CLEARLY_BETTER = [good or number % 4 == 1 for number, good in enumerate(BASE)]
HARDLY_BETTER = [good or number in (1, 3) for number, good in enumerate(BASE)]


def compared(**patterns):
    logs = {name: from_pattern(pattern) for name, pattern in patterns.items()}
    records = [a_record(name, samples=log, slowness=1 + place) for place, (name, log) in enumerate(logs.items())]
    return compare(records, {record.record_id: logs[record.selection.name] for record in records})


def test_a_clear_difference_is_named_with_its_uncertainty_and_its_price():
    comparison = compared(small=BASE, large=CLEARLY_BETTER)
    verdict = comparison.verdict
    assert verdict.startswith("large 1.0 answers more questions correctly than small 1.0 (0.750 against 0.500,")
    assert "exact McNemar p < 0.0001" in verdict
    assert "160 questions" in verdict
    assert "times the load within the SLO" in verdict
    assert verdict.count(".  ") == 0
    assert verdict.endswith(".")
    assert "more accurate than small 1.0" in comparison.standings[0].verdict
    assert "less accurate than large 1.0" in comparison.standings[1].verdict


def test_a_difference_that_chance_explains_is_not_called_one():
    comparison = compared(small=BASE, large=HARDLY_BETTER)
    assert comparison.verdict.startswith("No difference in accuracy is shown between large 1.0 and small 1.0")
    assert "questions would settle one of this size" in comparison.verdict
    assert "would have been shown four times in five" in comparison.verdict
    assert all("no difference shown from" in row.verdict for row in comparison.standings)


def test_equal_models_are_inconclusive_and_no_number_is_invented():
    comparison = compared(small=BASE, large=BASE)
    assert "p = 1," in comparison.verdict
    assert "would settle" not in comparison.verdict
    assert comparison.flips == ()


def test_a_margin_makes_near_models_equivalent_and_far_ones_not():
    logs = {"small": from_pattern(BASE), "near": from_pattern(HARDLY_BETTER), "large": from_pattern(CLEARLY_BETTER)}
    records = [a_record(name, samples=log) for name, log in logs.items()]
    comparison = compare(records, {record.record_id: logs[record.selection.name] for record in records}, margin=0.06)
    verdicts = {(pair.first, pair.second): pair.paired.verdict for pair in comparison.pairs}
    assert verdicts["near 1.0", "small 1.0"] == "equivalent"
    assert verdicts["large 1.0", "near 1.0"] == "better"
    assert "equivalent in accuracy within the margin of 0.06" in comparison.pairs[-1].sentence
    assert "equivalent within the margin to near 1.0" in comparison.standings[-1].verdict


def test_each_category_is_judged_with_the_same_care():
    (pair,) = compared(small=BASE, large=CLEARLY_BETTER).pairs
    assert sum(part.n for part in pair.categories.values()) == 160
    assert sum(part.only_first for part in pair.categories.values()) == pair.paired.only_first
    assert all(part.p_adjusted >= part.p_value for part in pair.categories.values())
    assert any(part.p_adjusted > part.p_value for part in pair.categories.values())


def test_three_versions_are_tested_together():
    comparison = compared(small=BASE, mid=HARDLY_BETTER, large=CLEARLY_BETTER)
    assert [row.name for row in comparison.standings] == ["large", "mid", "small"]
    assert len(comparison.pairs) == 3
    assert "adjusted for 3 pairs" in comparison.verdict
    assert "also shown to be more accurate than small 1.0" in comparison.verdict


def test_one_version_alone_has_a_verdict_too():
    comparison = compared(small=BASE)
    assert "small 1.0 answers 50% of 160 questions correctly (95% interval" in comparison.verdict
    assert "no other version" in comparison.verdict
    assert comparison.pairs == ()


def test_flips_show_the_question_and_both_answers_in_both_directions():
    better, worse = list(BASE), list(BASE)
    better[1], worse[1] = True, False
    better[0], worse[0] = False, True
    better[3], worse[3] = True, False
    comparison = compared(good=better, bad=worse)
    assert len(comparison.flips) == 3
    assert [flip.correct["good 1.0"] for flip in comparison.flips] == [True, True, False]
    (question, *_) = [item for item in questions() if item["id"] == comparison.flips[0].question]
    flip = comparison.flips[0]
    assert flip.text == question["question"]
    assert flip.expected == flip.answers["good 1.0"] == question["choices"][question["answer"]]
    assert flip.answers["bad 1.0"] in set(question["choices"]) - {flip.expected}
    assert flip.category == question["category"]


def test_categories_add_up_to_the_whole():
    (row,) = compared(small=BASE).standings
    assert sum(part.n for part in row.categories) == row.n == 160
    assert sum(part.correct for part in row.categories) == 80
    assert all(part.interval.low <= part.score <= part.interval.high for part in row.categories)


def test_records_of_other_questions_are_not_compared_and_that_is_said():
    log = from_pattern(BASE)
    records = [
        a_record("small", samples=log),
        a_record("large", samples=log),
        a_record("other", evaluation=an_evaluation(log, digest="sha256:" + "e" * 64)),
        a_record("shots", evaluation=an_evaluation(log, shots=3)),
    ]
    comparison = compare(records, {record.record_id: log for record in records})
    assert {row.name for row in comparison.standings} == {"small", "large"}
    assert len(comparison.not_compared) == 2
    assert "other 1.0" in comparison.not_compared[0]
    assert "other questions" in comparison.not_compared[0]
    assert "3 worked examples instead of 0" in comparison.not_compared[1]


def test_only_the_newest_record_of_a_version_counts():
    old, new = from_pattern(BASE), from_pattern(CLEARLY_BETTER)
    records = [a_record("m", samples=new, when=START + timedelta(hours=1)), a_record("m", samples=old)]
    comparison = compare(records, {records[0].record_id: new, records[1].record_id: old})
    (row,) = comparison.standings
    assert row.record_id == records[0].record_id
    assert "left out" in comparison.not_compared[0]


def test_versions_that_answered_different_numbers_of_questions_are_paired_on_the_common_ones():
    whole, part = from_pattern(CLEARLY_BETTER), from_pattern(BASE)[:100]
    records = [a_record("whole", samples=whole), a_record("part", samples=part)]
    comparison = compare(records, {records[0].record_id: whole, records[1].record_id: part})
    assert comparison.pairs[0].paired.n == 100


def test_a_version_without_an_operating_point_is_compared_by_accuracy_alone():
    log, better = from_pattern(BASE), from_pattern(CLEARLY_BETTER)
    records = [a_record("small", samples=log), a_record("large", samples=better, sweep=a_sweep(none_meets=True))]
    comparison = compare(records, {records[0].record_id: log, records[1].record_id: better})
    assert "no operating point to compare the speed at for large 1.0" in comparison.verdict
    assert comparison.standings[0].ttft_p95_ms is None
    assert "no load met the SLO" in comparison.standings[0].verdict


def test_speed_on_other_hardware_is_not_compared():
    log, selection = from_pattern(BASE), a_selection("large")
    endpoint = an_endpoint(selection, hardware=Hardware(type="H100", count=1))
    measured = about(selection, a_sweep()), about(selection, an_evaluation(log))
    large = join(selection, endpoint, *measured, purpose="use-case", use_case="ops-assistant")
    records = [a_record("small", samples=log), large]
    comparison = compare(records, {record.record_id: log for record in records})
    assert "measured under another hardware and is not compared" in comparison.verdict
    assert "times the load" not in comparison.verdict


def test_nothing_to_compare_says_what_to_run():
    with pytest.raises(NotFound, match="ai-engineer"):
        compare([], {})


def test_the_comparison_is_read_back_as_it_was_written(tmp_path, monkeypatch):
    monkeypatch.setenv(run.VARIABLE, "a-run")
    comparison = compared(small=BASE, large=CLEARLY_BETTER)
    comparison.write(tmp_path)
    assert Comparison.read(tmp_path) == comparison.model_copy(update={"run": "a-run"})


def test_answers_come_from_lm_evals_log(tmp_path):
    path = write_samples(some_samples(0.5, 20), tmp_path / "samples.jsonl")
    answers = read_answers(path, "acc")
    assert len(answers) == 20
    for answer in answers.values():
        assert answer.correct == (answer.given == answer.expected)
        assert answer.choices == 4


def test_written_answers_are_read_too():
    row = a_sample(0, questions(1)[0], True) | {
        "arguments": [["How many?", {"until": ["."]}]],
        "filtered_resps": ["seven"],
        "target": "seven",
        "exact_match": 1.0,
    }
    (answer,) = read_answers([row], "exact_match").values()
    assert (answer.given, answer.expected, answer.choices) == ("seven", "seven", 0)


def test_a_missing_or_foreign_log_is_named(tmp_path):
    with pytest.raises(ArtifactMissing, match=r"nothing\.jsonl"):
        read_answers(tmp_path / "nothing.jsonl", "acc")
    (tmp_path / "foreign.jsonl").write_text('{"task": "t", "doc_id": 1}\n')
    with pytest.raises(InvalidInput, match=r"foreign\.jsonl"):
        read_answers(tmp_path / "foreign.jsonl", "acc")


def _with_repeats(sweep, *values):
    point = sweep.chosen
    again = [point.model_copy(update={"ttft_ms": point.ttft_ms.model_copy(update={"p95": value})}) for value in values]
    return sweep.model_copy(update={"repeats": tuple(again)})


def _speeds(small, large):
    log, better = from_pattern(BASE), from_pattern(CLEARLY_BETTER)
    records = [a_record("small", samples=log, sweep=small), a_record("large", samples=better, sweep=large)]
    return compare(records, {records[0].record_id: log, records[1].record_id: better})


def test_loads_between_the_same_steps_are_no_difference():
    comparison = _speeds(a_sweep(), a_sweep(rates=(1, 2, 4, 6, 8, 12, 15, 18)))
    assert "no difference in the load within the SLO is shown beyond the steps of the sweep" in comparison.verdict
    assert "small 1.0 held 16.0 requests/s, and missed it at 19.0" in comparison.verdict


def test_the_repeats_say_what_is_noise():
    noisy = _speeds(_with_repeats(a_sweep(), 80, 95, 88), _with_repeats(a_sweep(), 85, 99, 78))
    assert "no difference beyond the noise of the repeats" in noisy.verdict
    clear = _speeds(_with_repeats(a_sweep(), 80, 81, 79), _with_repeats(a_sweep(), 90, 91, 92))
    assert "TTFT p95 91 against 80 ms: differs, Welch p" in clear.verdict


def test_a_missed_slo_among_the_repeats_is_said():
    sweep = _with_repeats(a_sweep(), 80, 95, 130)
    missed = sweep.repeats[-1].model_copy(update={"meets_slo": False})
    comparison = _speeds(sweep.model_copy(update={"repeats": (*sweep.repeats[:2], missed)}), a_sweep())
    assert "small 1.0 met the SLO in 2 of 3 repeats only" in comparison.verdict
    assert "met the SLO in 2 of 3 repeats only" in comparison.standings[-1].verdict


def test_the_figures_are_those_of_the_repeats_with_their_interval():
    row = _speeds(_with_repeats(a_sweep(), 80, 95, 89), a_sweep()).standings[-1]
    assert row.ttft_p95_ms == pytest.approx(88)
    assert row.noise["ttft_p95_ms"].low < 80 < 96 < row.noise["ttft_p95_ms"].high


def test_a_load_that_the_generator_limited_is_marked():
    limited = [point.model_copy(update={"limited_by_load_generator": True}) for point in a_sweep().points]
    comparison = _speeds(a_sweep().model_copy(update={"points": tuple(limited)}), a_sweep())
    assert "the load generator limited small 1.0" in comparison.verdict


def _with_shares(sweep, *shares):
    again = [sweep.chosen.model_copy(update={"slo_attainment": share, "goodput": 16 * share}) for share in shares]
    return sweep.model_copy(update={"repeats": tuple(again)})


def test_goodput_and_slo_attainment_have_the_interval_of_their_repeats():
    row = _speeds(_with_shares(a_sweep(), 0.90, 0.91, 0.92), a_sweep()).standings[-1]
    assert row.slo_attainment == pytest.approx(0.91)
    assert row.goodput == pytest.approx(16 * 0.91)
    half = 4.302653 * 0.01 / 3**0.5  # Student's t with two degrees of freedom
    for name, scale in (("slo_attainment", 1), ("goodput", 16)):
        found = row.noise[name]
        assert (found.high - found.low) / 2 / scale == pytest.approx(half, rel=1e-5)


def test_no_interval_leaves_what_the_figure_can_be():
    rows = _speeds(_with_shares(a_sweep(), 1.0, 0.99, 1.0), _with_shares(a_sweep(), 0.0, 0.3, 0.05)).standings
    assert all(0 <= row.noise["slo_attainment"].low <= row.noise["slo_attainment"].high <= 1 for row in rows)
    assert all(row.noise["goodput"].low >= 0 for row in rows)


def test_fewer_than_two_repeats_know_no_interval():
    comparison = _speeds(_with_shares(a_sweep(), 0.98), a_sweep())
    assert all("goodput" not in row.noise for row in comparison.standings)


def test_a_saturated_operating_point_is_said():
    sweep = a_sweep()
    points = [point.model_copy(update={"saturated": True}) for point in sweep.points]
    comparison = _speeds(sweep.model_copy(update={"points": tuple(points)}), a_sweep())
    assert "small 1.0 is saturated under every load that meets the SLO" in comparison.verdict
    assert "and is saturated there" in comparison.standings[-1].verdict
    assert not comparison.standings[0].saturated


def test_a_saturated_load_bounds_the_load_as_a_missed_slo_does():
    sweep = a_sweep(rates=(1, 2, 4, 8))
    points = [*sweep.points, sweep.points[-1].model_copy(update={"requests_per_second": 11.0, "saturated": True})]
    row = _speeds(sweep.model_copy(update={"points": tuple(points)}), a_sweep()).standings[-1]
    assert row.next_load == 11.0
