"""Gates first, then the front, then a ranking; and a claim to be sure only where a test says so."""

from __future__ import annotations

import pytest

from helpers.comparison import Comparison, Pair, Standing
from helpers.decision import Needs, PriceList, decide, load_prices
from helpers.decision.options import replicas_for
from helpers.errors import InvalidParameter
from helpers.statistics import adjusted, compare, wilson

PRICES = PriceList(date="2026-11-01", source="a quote", currency="EUR", per_hour={"gpu-a": 4.0, "gpu-b": None})
N, TOO_SLOW = 208, "TTFT p95 over 500 ms at any load"


def repeated(rate, ttft, noise=0.01):
    """Three repeats around their mean."""
    around = (1 - noise, 1.0, 1 + noise)
    figures = {"requests_per_second": rate, "ttft_p95_ms": ttft}
    return {name: tuple(value * each for each in around) for name, value in figures.items()} if rate else {}


def standing(name, right, *, rate=10.0, ttft=100.0, hardware="gpu-a", n=N, **about):
    made = Standing(
        label=name, name=name, version="1", digest="sha256:" + "a" * 64, record_id=name, purpose="use-case", task="t",
        dataset_digest="sha256:" + "b" * 64, accuracy=right / n, interval=wilson(right, n), n=n, failed=0,
        requests_per_second=rate, output_tokens_per_second=rate and rate * 50, ttft_p95_ms=rate and ttft,
        itl_p95_ms=None, e2e_p95_ms=None,
        operating_point="20 requests/s" if rate else TOO_SLOW,
        slo="{}", workload="chatbot", hardware=f"1 x {hardware}", hardware_type=hardware, hardware_count=1,
        startup_seconds=60.0, next_load=rate and 1.2 * rate, repeats=repeated(rate, ttft),
    )  # fmt: skip
    return made.model_copy(update=about)


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
    decision = decide(comparison({"good": first(180), "poor": first(120)}), Needs(), PRICES)
    assert (decision.recommended, decision.sure) == ("good", True)
    assert [option.rank for option in decision.options] == [1, 2]
    assert decision.options[1].dominated_by == ("good",)
    assert decision.sentence.startswith("Take good: it ranks first for these weights and in 100% of all weightings.")


def test_a_lead_that_chance_explains_is_recommended_without_being_sure():
    answers = {"a": first(150), "b": [*first(147, 150), *[True] * 2, *[False] * 56]}
    decision = decide(comparison(answers), Needs(), PRICES)
    assert decision.recommended == "a"
    assert not decision.sure
    assert "That is not sure: b is not shown to be less accurate." in decision.sentence


def test_within_the_margin_the_cheaper_one_is_taken_and_that_is_sure():
    answers = {"big": first(180), "small": [*first(178, 180), *[True], *[False] * 27]}
    about = {"big": {"rate": 5.0}, "small": {"rate": 20.0}}
    decision = decide(comparison(answers, margin=0.05, **about), Needs(), PRICES)
    assert (decision.recommended, decision.sure) == ("small", True)
    assert all(option.on_front for option in decision.options)


def test_a_version_that_misses_a_gate_is_out_however_good_it_is():
    decision = decide(comparison({"good": first(190), "fast": first(120)}, good={"rate": None}), Needs(), PRICES)
    assert decision.recommended == "fast"
    out = decision.options[-1]
    assert (out.label, out.rank, out.score, out.cost_per_thousand_requests) == ("good", None, None, None)
    assert "good misses a load within the SLO (TTFT p95 over 500 ms at any load)" in decision.sentence


@pytest.mark.parametrize(("met", "state"), [(3, "met"), (1, "unsure"), (0, "missed")])
def test_an_operating_point_that_misses_the_slo_when_repeated_is_doubted(met, state):
    decision = decide(comparison({"m": first(180)}, m={"slo_repeats": (met, 3)}), Needs(), PRICES)
    (gate,) = decision.options[0].gates
    assert gate.state == state
    assert f"{met} of 3 repeats met it" in gate.seen
    assert decision.sure is (state == "met")


def test_a_gate_met_by_less_than_the_uncertainty_is_not_sure():
    decision = decide(comparison({"good": first(160)}), Needs(min_accuracy=0.75), PRICES)
    assert decision.options[0].gates[1].state == "unsure"
    assert not decision.sure
    assert "factual accuracy gate is met by less than the uncertainty" in decision.sentence


def test_nothing_is_recommended_where_nothing_meets_the_must_haves():
    decision = decide(comparison({"a": first(100), "b": first(90)}), Needs(min_accuracy=0.9), PRICES)
    assert decision.recommended is None
    assert not decision.sure
    assert decision.sentence.startswith("No version meets the must-haves: a misses accuracy of 0.9 or more (0.481")


def test_costs_by_hand():
    (option,) = decide(comparison({"m": first(150)}), Needs(target_rate=45, headroom=0.25), PRICES).options
    assert option.replicas == 6  # 45 / 7.5
    assert option.cost_per_hour == pytest.approx(24.0)
    assert option.cost_per_thousand_requests == pytest.approx(4.0 / 36_000 * 1000)
    assert option.cost_per_million_output_tokens == pytest.approx(4.0 / 1_800_000 * 1e6)


def test_a_missing_price_is_no_zero_and_does_not_rank():
    about = {"cheap": {"hardware": "gpu-b", "rate": 2.0}, "known": {}}
    decision = decide(comparison({"cheap": first(150), "known": first(150)}, **about), Needs(quality_weight=0), PRICES)
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
    assert decide(contest, Needs(latency_weight=0, cost_weight=0), PRICES).recommended == "good"
    assert decide(contest, Needs(quality_weight=0.1), PRICES).recommended == "quick"
    shares = [option.first_share for option in decide(contest, Needs(), PRICES).options]
    assert sum(shares) == pytest.approx(1)
    assert min(shares) > 0


def test_no_weight_at_all_is_refused():
    with pytest.raises(InvalidParameter, match="one of them must count"):
        Needs(quality_weight=0, latency_weight=0, cost_weight=0)


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


@pytest.mark.parametrize(
    ("about", "doubt"),
    [
        ({"b": {"ttft": 101.0}}, "is equivalent in accuracy and not shown to be slower or dearer"),
        ({"b": {"rate": 9.0}}, "b is equivalent in accuracy and not shown to be slower or dearer"),
        ({"b": {"ttft": 200.0, "repeats": {}}}, "the speed of b was not repeated, so that its noise is not known"),
        ({"b": {"rate": 5.0, "next_load": None}}, "no load was too much for b, so that it may cost less"),
        ({"b": {"ttft": 200.0, "workload": "rag"}}, "the speed of b was measured under another workload"),
        ({"b": {"ttft": 200.0, "limited_by_load_generator": True}}, "the load generator limited b"),
        ({"b": {"ttft": 200.0}}, None),
        ({"b": {"rate": 5.0}}, None),
    ],
)
def test_where_accuracy_does_not_decide_speed_and_cost_must_lead_by_more_than_the_noise(about, doubt):
    decision = decide(near(**about), Needs(), PRICES)
    assert decision.recommended == "a"
    assert decision.sure is (doubt is None)
    assert doubt is None or doubt in decision.sentence


def test_where_only_accuracy_counts_nothing_else_is_doubted():
    needs = Needs(latency_weight=0, cost_weight=0)
    assert decide(near(b={"repeats": {}}), needs, PRICES).sure
    assert not decide(near(margin=0.0, b={"repeats": {}}), needs, PRICES).sure


def test_a_faster_one_may_outweigh_what_is_shown_to_be_more_accurate():
    about = {"poor": {"ttft": 50.0, "rate": 12.0}}
    decision = decide(comparison({"good": first(180), "poor": first(150)}, **about), Needs(quality_weight=6), PRICES)
    assert decision.recommended == "good"
    assert "for these weights the speed and cost of poor may outweigh its lower accuracy" in decision.sentence


def test_what_misses_a_gate_by_less_than_the_uncertainty_may_be_the_best():
    about = {"nearly": {"ttft": 20.0}}
    answers = {"enough": first(150), "nearly": [*first(144, 180), *[True] * 4, *[False] * 24]}
    decision = decide(comparison(answers, margin=0.1, **about), Needs(min_accuracy=0.72), PRICES)
    assert decision.recommended == "enough"
    assert "nearly misses a gate by less than the uncertainty" in decision.sentence
    far = decide(comparison({"enough": first(160), "far": first(60)}), Needs(min_accuracy=0.6), PRICES)
    assert far.sure


def test_meeting_an_slo_once_without_a_repeat_is_doubted():
    decision = decide(comparison({"m": first(180)}, m={"slo": '{"ttft_ms":500.0}'}), Needs(), PRICES)
    assert decision.options[0].gates[0].state == "unsure"


def test_a_saturated_operating_point_is_doubted():
    decision = decide(comparison({"m": first(180)}, m={"saturated": True, "slo_repeats": (3, 3)}), Needs(), PRICES)
    assert decision.options[0].gates[0].state == "unsure"
    assert not decision.sure
