"""Versions side by side: what is called a difference, what is not, and what is not compared at all."""

from __future__ import annotations

from datetime import timedelta

import pytest

from helpers.analysis.comparison import Comparison, choose, compare
from helpers.analysis.comparison.verdict import about as about_so_many
from helpers.artifacts import Hardware, run
from helpers.errors import NotFound
from helpers.records import join
from helpers.statistics import holm, mcnemar
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
)


def from_pattern(right):
    """The samples log of a model that is right where the pattern says so."""
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


def test_a_clear_difference_is_named_with_its_test_beside_it():
    comparison = compared(small=BASE, large=CLEARLY_BETTER)
    (pair,) = comparison.pairs
    assert (pair.first, pair.second, pair.paired.verdict) == ("large 1.0", "small 1.0", "better")
    assert pair.paired.means == (0.75, 0.5)
    assert pair.sentence in comparison.verdict
    assert "p < 0.0001" in pair.detail
    for row, other in zip(comparison.standings, ("small 1.0", "large 1.0"), strict=True):
        assert other in row.verdict


def asked_before(name, rows, *, digest="sha256:" + "e" * 64, **about):
    """The record of a version on the first of its questions, a day before."""
    fewer = an_evaluation(rows[:80], digest=digest, when=START - timedelta(days=1)).model_copy(update=about)
    return a_record(name, samples=rows, evaluation=fewer, sweep=a_sweep(when=START - timedelta(days=1)))


@pytest.mark.parametrize(
    ("planned", "about", "look", "stricter"),
    [
        (0, {}, 2, 6.0),
        (0, {"limit": 80, "total": 160}, 1, 1.0),
        (0, {"metric": "acc_norm"}, 1, 1.0),
        (160, {}, 2, pytest.approx(0.05 / 0.0490, rel=0.01)),
        (600, {"limit": 80, "total": 160}, 1, pytest.approx(1758, rel=0.01)),
    ],
    ids=["without a plan", "a trial", "another metric", "the plan's last look", "early in the plan"],
)
def test_a_second_look_at_more_questions_is_tested_more_strictly(planned, about, look, stricter):
    logs = {"small": from_pattern(BASE), "large": from_pattern(CLEARLY_BETTER)}
    records = [a_record(name, samples=rows) for name, rows in logs.items()]
    earlier = [asked_before(name, rows, **about) for name, rows in logs.items()]
    samples = {record.record_id: logs[record.selection.name] for record in records}
    (pair,) = compare([*earlier, *records], samples, planned=planned).pairs
    assert (pair.paired.n, pair.paired.looks) == (160, look)
    assert pair.paired.stricter == stricter
    assert pair.paired.verdict == "better"
    assert pair.paired.p_value == pytest.approx(mcnemar(40, 0) * pair.paired.stricter)


def test_a_version_that_was_alone_on_other_questions_was_not_compared_on_them():
    logs = {"small": from_pattern(BASE), "large": from_pattern(CLEARLY_BETTER)}
    records = [a_record(name, samples=rows) for name, rows in logs.items()]
    samples = {record.record_id: logs[record.selection.name] for record in records}
    (pair,) = compare([asked_before("small", logs["small"]), *records], samples).pairs
    assert pair.paired.looks == 1


@pytest.mark.parametrize("better", [CLEARLY_BETTER, HARDLY_BETTER, BASE])
def test_no_sentence_needs_statistics_and_every_detail_has_them(better):
    comparison = compared(small=BASE, large=better)
    (pair,) = comparison.pairs
    said = [comparison.verdict, pair.sentence, *(row.verdict for row in comparison.standings)]
    for word in ("interval", "McNemar", "Welch", "p =", "p <", "Holm", "lengthwise", "four times in five", "power"):
        assert not any(word in each for each in said), word
    assert all(word in pair.detail for word in ("interval", "McNemar", "p "))


def test_a_difference_that_chance_explains_is_not_called_one():
    (pair,) = compared(small=BASE, large=HARDLY_BETTER).pairs
    assert pair.paired.verdict == "inconclusive"
    assert about_so_many(pair.paired.questions_to_settle - 160) in pair.sentence
    assert 0 < pair.paired.detectable < 1


def test_equal_models_are_inconclusive_and_no_number_is_invented():
    comparison = compared(small=BASE, large=BASE)
    (pair,) = comparison.pairs
    assert (pair.paired.verdict, pair.paired.p_value, pair.paired.questions_to_settle) == ("inconclusive", 1, None)
    assert comparison.flips == ()


def test_a_margin_makes_near_models_equivalent_and_far_ones_not():
    logs = {"small": from_pattern(BASE), "near": from_pattern(HARDLY_BETTER), "large": from_pattern(CLEARLY_BETTER)}
    records = [a_record(name, samples=log) for name, log in logs.items()]
    comparison = compare(records, {record.record_id: logs[record.selection.name] for record in records}, margin=0.06)
    verdicts = {(pair.first, pair.second): pair.paired.verdict for pair in comparison.pairs}
    assert verdicts["near 1.0", "small 1.0"] == "equivalent"
    assert verdicts["large 1.0", "near 1.0"] == "better"


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
    assert [pair.paired.p_adjusted for pair in comparison.pairs] == holm([p.paired.p_value for p in comparison.pairs])


def test_one_version_alone_has_a_verdict_too():
    comparison = compared(small=BASE)
    assert "small 1.0" in comparison.verdict
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
    assert sum(round(part.score * part.n) for part in row.categories) == 80
    assert all(part.interval.low <= part.score <= part.interval.high for part in row.categories)


# What is held against what


def changed(name, log, *, of="evaluation", when=START, digest=None, settings=None, **fields):
    """A record of which one measurement was made in another way."""
    parts = {"evaluation": an_evaluation(log, when=when), "sweep": a_sweep(when=when)}
    parts[of] = parts[of].model_copy(update={**fields, "settings": parts[of].settings | (settings or {})})
    record = a_record(name, when=when, **parts)
    if digest:
        selection = record.selection.model_copy(update={"digest": digest})
        record = record.model_copy(update={"selection": selection, "record_id": "f" * 16})
    return record


OTHERWISE = {
    "other questions": {"dataset_digest": "sha256:" + "e" * 64},
    "another task": {"task": "other"},
    "another metric": {"metric": "acc_norm"},
    "means of scores": {"score_kind": "mean"},
    "chat": {"api": "chat"},
    "worked examples": {"num_fewshot": 3},
    "a system prompt": {"settings": {"system_instruction": "Be brief."}},
    "generated otherwise": {"settings": {"gen_kwargs": "temperature=1"}},
    "another workload": {"of": "sweep", "workload": "rag"},
    "other prompts": {"of": "sweep", "dataset_digest": "sha256:" + "e" * 64},
    "shorter answers": {"of": "sweep", "output_tokens": 16},
    "a trial": {"limit": 24},
    "answers missing": {"total": 400},
}


@pytest.mark.parametrize("how", OTHERWISE)
def test_measuring_a_version_otherwise_does_not_remove_it_from_the_comparison(how):
    log, later = from_pattern(BASE), START + timedelta(hours=1)
    again = changed("small", log, when=later, **OTHERWISE[how])
    records = [a_record("small", samples=log), a_record("large", samples=log), again]
    comparison = compare(records, {record.record_id: log for record in records[:2]})
    assert {row.record_id for row in comparison.standings} == {record.record_id for record in records[:2]}
    (note,) = comparison.not_compared
    assert again.record_id in note
    assert len(note) > len(f"small 1.0: record {again.record_id} is not compared: ")


@pytest.mark.parametrize(
    "settings",
    [{"gen_kwargs": ""}, {"gen_kwargs": "auto"}, {"num_concurrent": 3}, {"seed": 5}, {"fewshot_as_multiturn": True}],
)
def test_settings_that_decide_no_answer_keep_records_together(settings):
    log = from_pattern(BASE)
    records = [a_record("small", samples=log), changed("large", log, settings=settings)]
    assert len(choose(records).records) == 2


def test_the_seed_decides_where_there_are_worked_examples():
    log = from_pattern(BASE)
    records = [changed(str(seed), log, num_fewshot=3, settings={"seed": seed}) for seed in (1, 2)]
    assert len(choose(records).records) == 1


@pytest.mark.parametrize(("api", "compared"), [("chat", 1), ("completions", 2)])
def test_turns_decide_in_a_chat_with_worked_examples(api, compared):
    log = from_pattern(BASE)
    turns = [{"fewshot_as_multiturn": turn} for turn in (True, False)]
    records = [changed(str(n), log, num_fewshot=3, api=api, settings=each) for n, each in enumerate(turns)]
    assert len(choose(records).records) == compared


def test_a_trial_is_never_the_result_where_there_is_one():
    log, later = from_pattern(BASE), START + timedelta(hours=1)
    trials = [changed(name, log[:24], when=later, limit=24) for name in ("a", "b", "c")]
    whole = a_record("a", samples=log)
    chosen = choose([whole, *trials], own=trials[0].record_id)
    assert [record.record_id for record in chosen.records] == [whole.record_id]
    assert len(chosen.notes) == 3


def test_trials_alone_are_compared_among_themselves_and_marked():
    log = from_pattern(CLEARLY_BETTER)
    records = [changed(name, log[:size], limit=size) for name, size in (("a", 24), ("b", 24), ("c", 60))]
    comparison = compare(records, {record.record_id: log[:24] for record in records[:2]})
    assert {row.name for row in comparison.standings} == {"a", "b"}
    assert all(row.partial for row in comparison.standings)


def test_what_this_run_was_asked_is_what_is_compared():
    log, other = from_pattern(BASE), {"dataset_digest": "sha256:" + "e" * 64}
    records = [*(a_record(name, samples=log) for name in ("a", "b", "c")), changed("a", log, **other)]
    assert len(choose(records).records) == 3
    assert choose(records, own=records[3].record_id).records == [records[3]]


def test_only_the_newest_record_of_a_version_counts_or_this_runs_own():
    old, new = from_pattern(BASE), from_pattern(CLEARLY_BETTER)
    records = [a_record("m", samples=new, when=START + timedelta(hours=1)), a_record("m", samples=old)]
    for own, place in (("", 0), (records[1].record_id, 1)):
        chosen = choose(records, own)
        assert chosen.records == [records[place]]
        assert records[1 - place].record_id in chosen.notes[0]


def test_another_model_under_the_same_name_and_version_is_told_apart():
    log = from_pattern(BASE)
    records = [a_record("m", samples=log), changed("m", log, digest="sha256:" + "f" * 64)]
    chosen = choose(records)
    assert [record.record_id for record in chosen.records] == ["f" * 16]
    assert records[0].record_id in chosen.notes[0]


def test_an_endpoint_that_existed_is_never_shown_as_the_registered_model():
    log = from_pattern(BASE)
    record = a_record("small", samples=log)
    endpoint = record.endpoint.model_copy(update={"target": "existing", "digest_verified": False})
    theirs = record.model_copy(update={"endpoint": endpoint, "record_id": "e" * 16})
    comparison = compare([record, theirs], {"e" * 16: log, record.record_id: log})
    assert {row.label: row.unverified for row in comparison.standings} == {
        "small 1.0": False,
        "small 1.0 (unverified)": True,
    }
    (pair,) = comparison.pairs
    assert {pair.first, pair.second} == {"small 1.0", "small 1.0 (unverified)"}


# Scores between right and wrong


def scored(name, scores):
    """A record and its log, of a task whose questions are scored between 0 and 1."""
    rows = from_pattern([score >= 0.5 for score in scores])
    log = [row.model_copy(update={"scores": {"acc": score}}) for row, score in zip(rows, scores, strict=True)]
    evaluation = an_evaluation(log).model_copy(
        update={"score_kind": "mean", "correct": None, "score": sum(scores) / len(scores), "chance": None}
    )
    return a_record(name, evaluation=evaluation), log


def test_means_of_scores_are_paired_by_a_bootstrap():
    low = [0.2 + 0.5 * (number % 7) / 7 for number in range(160)]
    found = [scored("low", low), scored("high", [score + 0.05 for score in low])]
    comparison = compare([record for record, _ in found], {record.record_id: log for record, log in found})
    (pair,) = comparison.pairs
    assert (pair.paired.test, pair.paired.verdict, pair.first) == ("paired bootstrap", "better", "high 1.0")
    assert pair.paired.difference == pytest.approx(0.05)
    assert {part.test for part in pair.categories.values()} == {"paired bootstrap"}
    for row in comparison.standings:
        assert all(part.interval.low <= part.score <= part.interval.high for part in row.categories)


def test_versions_that_answered_different_numbers_of_questions_are_paired_on_the_common_ones():
    whole, part = from_pattern(CLEARLY_BETTER), from_pattern(BASE)[:100]
    records = [a_record("whole", samples=whole), a_record("part", samples=part)]
    comparison = compare(records, {records[0].record_id: whole, records[1].record_id: part})
    assert comparison.pairs[0].paired.n == 100


def test_a_version_without_an_operating_point_is_compared_by_accuracy_alone():
    log, better = from_pattern(BASE), from_pattern(CLEARLY_BETTER)
    records = [a_record("small", samples=log), a_record("large", samples=better, sweep=a_sweep(none_meets=True))]
    comparison = compare(records, {records[0].record_id: log, records[1].record_id: better})
    assert comparison.standings[0].requests_per_second is comparison.standings[0].ttft_p95_ms is None
    assert "requests/s" not in comparison.verdict


@pytest.mark.parametrize("small", ["L40S", "unknown"])
@pytest.mark.parametrize("large", ["H100", "unknown"])
def test_speed_on_other_or_unknown_hardware_is_not_compared(small, large):
    log, records = from_pattern(BASE), []
    for name, hardware in {"small": small, "large": large}.items():
        selection = a_selection(name)
        endpoint = an_endpoint(selection, hardware=Hardware(type=hardware, count=1))
        measured = about(selection, a_sweep()), about(selection, an_evaluation(log))
        records.append(join(selection, endpoint, measured, purpose="use-case", use_case="ops-assistant"))
    comparison = compare(records, {record.record_id: log for record in records})
    assert "hardware" in comparison.verdict
    assert "requests/s" not in comparison.verdict


def test_nothing_to_compare_says_what_to_run():
    with pytest.raises(NotFound, match="ai-engineer"):
        compare([], {})


def test_the_comparison_is_read_back_as_it_was_written(tmp_path, monkeypatch):
    monkeypatch.setenv(run.VARIABLE, "a-run")
    comparison = compared(small=BASE, large=CLEARLY_BETTER)
    comparison.write(tmp_path)
    assert Comparison.read(tmp_path) == comparison.model_copy(update={"run": "a-run"})


def _with_repeats(sweep, *values):
    point = sweep.chosen
    again = [point.model_copy(update={"ttft_ms": point.ttft_ms.model_copy(update={"p95": value})}) for value in values]
    return sweep.model_copy(update={"repeats": tuple(again)})


def _speeds(small, large):
    log, better = from_pattern(BASE), from_pattern(CLEARLY_BETTER)
    records = [a_record("small", samples=log, sweep=small), a_record("large", samples=better, sweep=large)]
    return compare(records, {records[0].record_id: log, records[1].record_id: better})


def test_loads_between_the_same_steps_are_no_difference():
    near = _speeds(a_sweep(), a_sweep(rates=(1, 2, 4, 6, 8, 12, 15, 18))).pairs[0].sentence
    assert all(load in near for load in ("16.0 requests/s", "15.0 requests/s", "19.0", "18.0"))
    assert "times the load" not in near
    assert "times the load" in _speeds(a_sweep(), a_sweep(2.0)).pairs[0].sentence


def test_the_repeats_say_what_is_noise():
    noisy = _speeds(_with_repeats(a_sweep(), 80, 95, 88), _with_repeats(a_sweep(), 85, 99, 78))
    clear = _speeds(_with_repeats(a_sweep(), 80, 81, 79), _with_repeats(a_sweep(), 90, 91, 92))
    far = _speeds(_with_repeats(a_sweep(), 80, 81, 79), _with_repeats(a_sweep(), 190, 191, 192))
    assert "no more than" in noisy.pairs[0].sentence
    assert "in this session" in clear.pairs[0].sentence
    assert not any(word in far.pairs[0].sentence for word in ("no more than", "in this session"))
    assert all("Welch" in each.pairs[0].detail for each in (noisy, clear, far))


def test_a_missed_slo_among_the_repeats_is_said():
    sweep = _with_repeats(a_sweep(), 80, 95, 130)
    missed = sweep.repeats[-1].model_copy(update={"meets_slo": False})
    comparison = _speeds(sweep.model_copy(update={"repeats": (*sweep.repeats[:2], missed)}), a_sweep())
    assert comparison.standings[-1].slo_repeats == (2, 3)
    assert all("2 of 3" in said for said in (comparison.verdict, comparison.standings[-1].verdict))


def test_the_figures_are_those_of_the_repeats_with_their_interval():
    row = _speeds(_with_repeats(a_sweep(), 80, 95, 89), a_sweep()).standings[-1]
    assert row.ttft_p95_ms == pytest.approx(88)
    assert row.noise["ttft_p95_ms"].low < 80 < 96 < row.noise["ttft_p95_ms"].high


def test_a_load_that_the_generator_limited_is_marked():
    limited = [point.model_copy(update={"limited_by_load_generator": True}) for point in a_sweep().points]
    comparison = _speeds(a_sweep().model_copy(update={"points": tuple(limited)}), a_sweep())
    assert [row.limited_by_load_generator for row in comparison.standings] == [False, True]
    assert "load generator" in comparison.verdict


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
    assert [row.saturated for row in comparison.standings] == [False, True]
    assert len(comparison.standings[-1].verdict) > len(_speeds(sweep, a_sweep()).standings[-1].verdict)


def test_a_saturated_load_bounds_the_load_as_a_missed_slo_does():
    sweep = a_sweep(rates=(1, 2, 4, 8))
    points = [*sweep.points, sweep.points[-1].model_copy(update={"requests_per_second": 11.0, "saturated": True})]
    row = _speeds(sweep.model_copy(update={"points": tuple(points)}), a_sweep()).standings[-1]
    assert row.next_load == 11.0
