"""Must-haves first, then the front, then a ranking; and a claim to be sure only where a test says so."""

from __future__ import annotations

import pytest

from helpers.analysis.comparison import Comparison, Pair, Standing
from helpers.analysis.comparison.common_load import Measured
from helpers.analysis.recommendation import Needs, PriceList, decide, load_prices
from helpers.analysis.recommendation.headline import LONGEST
from helpers.analysis.recommendation.options import replicas_for
from helpers.datasets.criteria import COST, LATENCY, QUALITY
from helpers.errors import InvalidCriteria, InvalidParameter
from helpers.statistics import above_chance, adjusted, compare, wilson
from tests.plugins.criteria import asked
from tests.plugins.models import PRICES as PRICES_FILE

PRICES = PriceList(date="2026-11-01", source="a quote", currency="EUR", per_hour={"gpu-a": 4.0, "gpu-b": None})
TTFT = "ttft_p95_ms"
N, TOO_SLOW = 208, "TTFT p95 over 500 ms at any load"


def repeated(rate, ttft, noise=0.01):
    """Three repeats around their mean."""
    around = (1 - noise, 1.0, 1 + noise)
    figures = {"requests_per_second": rate, "ttft_p95_ms": ttft}
    return {name: tuple(value * each for each in around) for name, value in figures.items()} if rate else {}


def standing(name, right, *, rate=10.0, ttft=100.0, hardware="gpu-a", n=N, **about):
    guessing = about.get("chance") and above_chance(first(right, n), about["chance"])
    made = Standing(
        label=name, name=name, version="1", digest="sha256:" + "a" * 64, record_id=name, purpose="use-case", task="t",
        dataset_digest="sha256:" + "b" * 64, accuracy=right / n, interval=wilson(right, n), n=n, failed=0,
        requests_per_second=rate, output_tokens_per_second=rate and rate * 50, ttft_p95_ms=rate and ttft,
        itl_p95_ms=None, e2e_p95_ms=None,
        operating_point="20 requests/s" if rate else TOO_SLOW,
        slo="{}", workload="chatbot", hardware=f"1 x {hardware}", hardware_type=hardware, hardware_count=1,
        startup_seconds=60.0, next_load=rate and 1.2 * rate, repeats=repeated(rate, ttft), guessing=guessing,
    )  # fmt: skip
    return made.model_copy(update={"curve": flat(rate, ttft)} | about)


def flat(rate, ttft):
    """A time to first token that is the same under every load."""
    loads = ((rate / 1e12, True), (rate, False)) if rate else ()
    return tuple(Measured(requests_per_second=r, latencies={TTFT: ttft}, alone=alone) for r, alone in loads)


def comparison(answers, margin=0.0, **about):
    """A comparison of models by their answers, the most accurate first."""
    order = sorted(answers, key=lambda name: -sum(answers[name]))
    rows = [standing(name, sum(answers[name]), n=len(answers[name]), **about.get(name, {})) for name in order]
    pairs = [(a, b) for place, a in enumerate(order) for b in order[place + 1 :]]
    tested = adjusted([compare(answers[a], answers[b], margin=margin) for a, b in pairs])
    return Comparison(
        standings=tuple(rows),
        pairs=tuple(Pair(first=a, second=b, paired=p, sentence="") for (a, b), p in zip(pairs, tested, strict=True)),
        flips=(),
        verdict="",
    )


def first(count, n=N):
    return [place < count for place in range(n)]


def test_the_shown_best_is_recommended_and_that_is_sure():
    decision = decide(comparison({"good": first(180), "poor": first(120)}), asked(), Needs(), PRICES)
    assert (decision.recommended, decision.sure) == ("good", True)
    assert [option.rank for option in decision.options] == [1, 2]
    assert decision.options[1].dominated_by == ("good",)
    assert (decision.action, decision.doubts) == ("take", ())


@pytest.mark.parametrize("rivals", [{}, {"poor": first(120)}])
@pytest.mark.parametrize("chance", [None, 0.25])
def test_what_answers_at_an_endpoint_that_nobody_verified_is_never_sure(rivals, chance):
    hosted = {"hosted": {"unverified": True, "chance": chance}}
    decision = decide(comparison({"hosted": first(180), **rivals}, **hosted), asked(), Needs(), PRICES)
    assert (decision.recommended, decision.sure) == ("hosted", False)
    assert [doubt.kind for doubt in decision.doubts] == ["unverified"]
    assert decision.doubts[0].text in decision.sentence


def test_a_lead_that_chance_explains_is_recommended_without_being_sure():
    answers = {"a": first(150), "b": [*first(147, 150), *[True] * 2, *[False] * 56]}
    decision = decide(comparison(answers), asked(), Needs(), PRICES)
    assert decision.recommended == "a"
    assert not decision.sure
    assert [(doubt.kind, doubt.about) for doubt in decision.doubts] == [("accuracy", "b")]


def test_within_the_margin_the_cheaper_one_is_taken_and_that_is_sure():
    answers = {"big": first(180), "small": [*first(178, 180), *[True], *[False] * 27]}
    about = {"big": {"rate": 5.0}, "small": {"rate": 20.0}}
    decision = decide(comparison(answers, margin=0.05, **about), asked(), Needs(), PRICES)
    assert (decision.recommended, decision.sure) == ("small", True)
    assert all(option.on_front for option in decision.options)


def test_a_version_that_misses_a_gate_is_out_however_good_it_is():
    decision = decide(
        comparison({"good": first(190), "fast": first(120)}, good={"rate": None}), asked(), Needs(), PRICES
    )
    assert decision.recommended == "fast"
    out = decision.options[-1]
    assert (out.label, out.rank, out.score, out.cost_per_thousand_requests) == ("good", None, None, None)
    assert [(gate.name, gate.seen) for gate in out.missed] == [("load", TOO_SLOW)]


@pytest.mark.parametrize(("limit", "state"), [(200, "met"), (120, "unsure"), (40, "missed")])
def test_the_slo_is_met_where_the_interval_over_sessions_lies_within_it(limit, state):
    """100 ms at every load, measured from one start of the server."""
    about = {"slo": f'{{"ttft_ms":{limit}.0}}', "slo_repeats": (3, 3)}
    decision = decide(comparison({"m": first(180)}, m=about), asked(), Needs(), PRICES)
    option = decision.options[0]
    assert option.gates[0].state == state
    assert option.keeps == (10.0 if state == "met" else None)
    assert decision.sure is (state == "met")


def test_a_gate_met_by_less_than_the_uncertainty_is_not_sure():
    decision = decide(comparison({"good": first(160)}), asked(least=0.75), Needs(), PRICES)
    assert decision.options[0].gates[1].state == "unsure"
    assert not decision.sure
    assert [doubt.kind for doubt in decision.doubts] == ["must-have"]


def test_nothing_is_recommended_where_nothing_meets_the_must_haves():
    decision = decide(comparison({"a": first(100), "b": first(90)}), asked(least=0.9), Needs(), PRICES)
    assert (decision.recommended, decision.sure, decision.action) == (None, False, "none")
    assert all([gate.name for gate in option.missed] == [QUALITY] for option in decision.options)


def test_costs_by_hand():
    (option,) = decide(comparison({"m": first(150)}), asked(), Needs(target_rate=45, headroom=0.25), PRICES).options
    assert option.replicas == 6  # 45 / 7.5
    assert option.cost_per_hour == pytest.approx(24.0)
    assert option.cost_per_thousand_requests == pytest.approx(4.0 / 36_000 * 1000)
    assert option.cost_per_million_output_tokens == pytest.approx(4.0 / 1_800_000 * 1e6)


def test_a_missing_price_is_no_zero_and_does_not_rank():
    about = {"cheap": {"hardware": "gpu-b", "rate": 2.0}, "known": {}}
    decision = decide(
        comparison({"cheap": first(150), "known": first(150)}, **about), asked(quality=0), Needs(), PRICES
    )
    costs = {option.label: option.cost_per_thousand_requests for option in decision.options}
    assert costs["cheap"] is None
    assert costs["known"] > 0
    assert decision.options[0].score == decision.options[1].score == 1.0


@pytest.mark.parametrize(("rate", "replicas"), [(None, None), (10.0, 10), (12.5, 8), (200.0, 1)])
def test_replicas_for_eighty_requests_per_second_with_a_fifth_kept_free(rate, replicas):
    assert replicas_for(80, rate, 0.2) == replicas


def test_the_weights_decide_between_models_on_the_front():
    about = {"good": {"rate": 2.0, "ttft": 400.0}, "quick": {"rate": 20.0, "ttft": 50.0}}
    contest = comparison({"good": first(190), "quick": first(120)}, **about)
    assert decide(contest, asked(latency=0, cost=0), Needs(), PRICES).recommended == "good"
    assert decide(contest, asked(quality=0.1), Needs(), PRICES).recommended == "quick"


def test_no_weight_at_all_is_refused():
    with pytest.raises(InvalidCriteria, match="no line has a weight"):
        decide(comparison({"a": first(100)}), asked(quality=0, latency=0, cost=0), Needs(), PRICES)


def test_a_star_in_the_table_stands_for_anything_and_the_first_match_counts():
    prices = PriceList(date="2026-11-01", source="s", currency="EUR", per_hour={"NVIDIA-H100*": 3, "*": None})
    assert prices.hourly("NVIDIA-H100-80GB-HBM3", 2) == 6
    assert prices.hourly("Intel(R) Xeon(R)", 2) is None


def test_a_price_table_with_a_mistake_is_refused_with_its_field(tmp_path):
    path = tmp_path / "prices.yaml"
    path.write_text("date: 2026-11-01\nsource: a quote\ncurrency: EUR\nper_hour: {gpu-a: cheap}\n")
    with pytest.raises(InvalidParameter, match=r"prices\.yaml:4: per_hour\.gpu-a"):
        load_prices(path)


def near(margin=0.05, **about):
    """Two versions whose accuracies are equivalent."""
    answers = {"a": first(180), "b": [*first(178, 180), True, *[False] * 27]}
    return comparison(answers, margin=margin, **about)


def test_a_load_that_the_generator_limited_meets_the_slo_all_the_same():
    about = {"good": {"limited_by_load_generator": True}}
    assert decide(
        comparison({"good": first(180), "poor": first(60)}, **about), asked(latency=0, cost=0), Needs(), PRICES
    ).sure
    doubted = decide(near(a={"limited_by_load_generator": True}), asked(), Needs(), PRICES)
    assert [doubt.kind for doubt in doubted.doubts] == ["speed"], "of its speed nothing is concluded"


def test_what_leads_in_one_session_only_is_asked_for_a_second_one():
    decision = decide(near(b={"ttft": 200.0}), asked(), Needs(), PRICES)
    assert [(doubt.kind, doubt.about) for doubt in decision.doubts] == [("session", "b")]
    assert "FRESH=true" in decision.sentence


@pytest.mark.parametrize(
    ("about", "doubted"),
    [
        ({"b": {"ttft": 101.0}}, True),
        ({"b": {"rate": 9.0}}, True),
        ({"b": {"ttft": 200.0, "repeats": {}}}, True),
        ({"b": {"rate": 5.0, "next_load": None}}, True),
        ({"b": {"ttft": 200.0, "workload": "rag"}}, True),
        ({"b": {"ttft": 200.0, "limited_by_load_generator": True}}, True),
        ({"b": {"ttft": 400.0}}, False),
        ({"b": {"rate": 2.0}}, False),
    ],
)
def test_where_accuracy_does_not_decide_speed_and_cost_must_lead_by_more_than_the_noise(about, doubted):
    decision = decide(near(**about), asked(), Needs(), PRICES)
    assert decision.recommended == "a"
    assert [(doubt.kind, doubt.about) for doubt in decision.doubts] == [("speed", "b")] * doubted
    assert decision.sure is not doubted


def test_where_only_accuracy_counts_nothing_else_is_doubted():
    criteria = asked(latency=0, cost=0)
    assert decide(near(b={"repeats": {}}), criteria, Needs(), PRICES).sure
    assert not decide(near(margin=0.0, b={"repeats": {}}), criteria, Needs(), PRICES).sure


def test_a_faster_one_may_outweigh_what_is_shown_to_be_more_accurate():
    about = {"poor": {"ttft": 30.0, "rate": 12.0}}
    decision = decide(comparison({"good": first(180), "poor": first(150)}, **about), asked(), Needs(), PRICES)
    assert decision.recommended == "poor"
    assert [(doubt.kind, doubt.about) for doubt in decision.doubts] == [("trade", "good")]
    decision = decide(comparison({"good": first(180), "poor": first(150)}, **about), asked(quality=6), Needs(), PRICES)
    assert decision.recommended == "good"
    assert [(doubt.kind, doubt.about) for doubt in decision.doubts] == [("trade", "poor")]


def test_what_misses_a_gate_by_less_than_the_uncertainty_may_be_the_best():
    about = {"nearly": {"ttft": 20.0}}
    answers = {"enough": first(150), "nearly": [*first(144, 180), *[True] * 4, *[False] * 24]}
    decision = decide(comparison(answers, margin=0.1, **about), asked(least=0.72), Needs(), PRICES)
    assert decision.recommended == "enough"
    assert ("kept out", "nearly") in [(doubt.kind, doubt.about) for doubt in decision.doubts]
    far = decide(comparison({"enough": first(160), "far": first(60)}), asked(least=0.6), Needs(), PRICES)
    assert far.sure


def test_meeting_an_slo_once_without_a_repeat_is_doubted():
    decision = decide(comparison({"m": first(180)}, m={"slo": '{"ttft_ms":500.0}'}), asked(), Needs(), PRICES)
    assert decision.options[0].gates[0].state == "unsure"


def test_a_saturated_operating_point_is_doubted():
    decision = decide(
        comparison({"m": first(180)}, m={"saturated": True, "slo_repeats": (3, 3)}), asked(), Needs(), PRICES
    )
    assert decision.options[0].gates[0].state == "unsure"
    assert not decision.sure


# Guessing


def guessing(shares, chance=0.25, n=103, **about):
    """A comparison of models that answer so many of n questions, with the same choices."""
    answers = {name: first(right, n) for name, right in shares.items()}
    return comparison(answers, **{name: {"chance": chance, **about.get(name, {})} for name in shares})


FAST = {"rate": 400.0, "ttft": 4.0}


def test_a_model_that_guesses_is_not_taken_however_fast_and_cheap_it_is():
    """The case as it was reported: 11 of 103 with four choices, many times as fast, with a price that is no quote."""
    contest = guessing({"ops-large": 40, "smol": 35, "ops-small": 11}, **{"ops-small": FAST})
    decision = decide(contest, asked(), Needs(), PRICES)
    assert decision.recommended == "ops-large"
    out = next(option for option in decision.options if option.label == "ops-small")
    assert ([gate.name for gate in out.missed], out.score, out.quality) == (["guessing"], None, 0.0)
    assert not any(doubt.about == "ops-small" for doubt in decision.doubts), "far below chance it is no rival"


@pytest.mark.parametrize("right", [11, 26, 32])
def test_where_all_guess_none_is_recommended(right):
    decision = decide(guessing({"a": right, "b": 11}, b=FAST), asked(), Needs(), PRICES)
    assert (decision.action, decision.recommended, decision.sure) == ("none", None, False)
    assert all(option.rank is None for option in decision.options)


def test_of_many_that_guess_one_that_seems_better_is_not_sure():
    contest = guessing({"a": 35, "b": 10})
    assert decide(contest, asked(), Needs(), PRICES).sure
    rows = [row.model_copy(update={"guessing_together": min(1.0, 10 * row.guessing)}) for row in contest.standings]
    decision = decide(contest.model_copy(update={"standings": tuple(rows)}), asked(), Needs(), PRICES)
    assert (decision.recommended, decision.sure) == ("a", False)
    assert [doubt.kind for doubt in decision.doubts] == ["must-have"]


def test_quality_is_what_is_above_chance():
    options = decide(guessing({"a": 80, "b": 60}, chance=0.5, n=100), asked(), Needs(), PRICES).options
    assert [option.quality for option in options] == pytest.approx([0.6, 0.2])
    unknown = decide(comparison({"a": first(80, 100)}), asked(), Needs(), PRICES).options
    assert [option.quality for option in unknown] == pytest.approx([0.8])


@pytest.mark.parametrize("much", [10.0, 1e3, 1e9])
def test_beyond_ten_times_as_slow_and_dear_nothing_more_is_lost(much):
    about = {"slow": {"rate": 10 / much, "ttft": 100.0 * much}, "fast": {}}
    decision = decide(comparison({"slow": first(190), "fast": first(110)}, **about), asked(cost=0), Needs(), PRICES)
    scores = {option.label: option.score for option in decision.options}
    assert scores["slow"] == pytest.approx(4 * 190 / 208 / 5)
    assert scores["fast"] == pytest.approx((4 * 110 / 208 + 1) / 5)
    assert decision.recommended == "slow"


def test_prices_that_nobody_set_count_nothing():
    shipped = load_prices(PRICES_FILE)
    kinds = [*shipped.per_hour, "Intel(R) Xeon(R) Platinum", "NVIDIA-L4"]
    assert [shipped.hourly(kind, 4) for kind in kinds] == [None] * len(kinds)
    about = {"good": {"rate": 1.0}, "cheap": {"rate": 100.0}}
    decision = decide(comparison({"good": first(150), "cheap": first(149)}, **about), asked(), Needs(), shipped)
    assert decision.counting == {QUALITY: 4.0, LATENCY: 1.0, COST: 0.0}
    assert [option.cost_per_thousand_requests for option in decision.options] == [None, None]
    assert decision.options[0].label == "good"


# The headline


def test_nothing_is_sure_of_the_only_version():
    alone = decide(comparison({"a": first(180)}), asked(), Needs(), PRICES).sentence.rpartition(": ")[2].split(". ")[1]
    two = decide(comparison({"a": first(180), "b": first(20)}), asked(), Needs(), PRICES).sentence
    assert alone not in two
    assert "sure" not in alone


def test_a_trial_is_told_and_decides_nothing():
    about = {name: {"partial": "a trial of 24 questions"} for name in ("a", "b")}
    decision = decide(comparison({"a": first(20, 24), "b": first(4, 24)}, **about), asked(), Needs(), PRICES)
    assert (decision.action, decision.sure) == ("measure", False)
    assert decision.doubts[0].kind == "partial"


@pytest.mark.parametrize(
    ("answers", "about", "criteria", "action"),
    [
        ({"a": first(180), "b": first(120)}, {}, asked(), "take"),
        ({"a": first(150), "b": [*first(142, 150), *[True] * 2, *[False] * 56]}, {}, asked(), "measure"),
        ({"a": first(150), "b": [*first(147, 150), *[True] * 3, *[False] * 55]}, {}, asked(), "take"),
        ({"a": first(100), "b": first(90)}, {}, asked(least=0.9), "none"),
        ({"a": first(52), "b": first(50)}, {"a": {"chance": 0.25}, "b": {"chance": 0.25}}, asked(), "none"),
        ({"a": first(150), "b": first(90)}, {"b": {"rate": None}, "a": {"rate": None}}, asked(), "none"),
        ({"a": first(150), "b": first(90)}, {"a": {"slo_repeats": (1, 3)}}, asked(), "take"),
        ({"a": first(150), "b": first(90)}, {"a": {"partial": "150 of 1,280 questions answered"}}, asked(), "measure"),
    ],
)
def test_the_headline_says_what_to_do_in_280_characters(answers, about, criteria, action):
    names = {name: f"organisation--family-of-models-{name * 60} 1.0.0" for name in answers}
    long = {names[name]: known for name, known in about.items()}
    for contest in (comparison(answers, **about), comparison({names[n]: a for n, a in answers.items()}, **long)):
        decision = decide(contest, criteria, Needs(), PRICES)
        assert decision.action == action
        assert len(decision.sentence) <= LONGEST
        assert decision.recommended or not decision.sure
