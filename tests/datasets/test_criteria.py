"""A use case's criteria: every mistake is named with file, line and field; what stood elsewhere with its new line."""

from __future__ import annotations

import re

import pytest

from helpers.datasets.criteria import COST, DEFAULT, FILE, LATENCY, QUALITY, Bound, Criteria, load_criteria, replaced
from helpers.datasets.making import make_use_case
from helpers.errors import InvalidCriteria
from helpers.runtime.workspace import ROOT
from tests.plugins.models import BASELINE, CRITERIA


@pytest.fixture
def written(tmp_path):
    """Write the lines and return what is made of them."""

    def load(*lines):
        path = tmp_path / FILE
        path.write_text("".join(f"{line}\n" for line in lines))
        return load_criteria(path)

    return load


def faults(load, *lines):
    """What is said of each line, by its number and field."""
    with pytest.raises(InvalidCriteria) as refused:
        load(*lines)
    found = re.findall(rf"{FILE}:(\d+): ([^:]+): (.*?)(?=; /|$)", refused.value.what)
    return {(int(line), field): said for line, field, said in found}


def test_the_shipped_criteria_weigh_quality_latency_capacity_and_cost():
    shipped = load_criteria(CRITERIA)
    assert shipped.weights == {QUALITY: 4.0, LATENCY: 1.0, "chat.requests_per_second": 1.0, COST: 1.0}
    assert (shipped.margin("knowledge"), shipped.coverage) == (0.0, 0.98)
    assert {line.name: line.tolerance for line in shipped.tolerances} == {
        QUALITY: 0.02, LATENCY: 0.1, "chat.itl_p95_ms": 0.1, "chat.requests_per_second": 0.1,
    }  # fmt: skip


def test_the_shipped_baseline_asks_as_ever():
    musts = {line.name: line.must for line in load_criteria(BASELINE).musts}
    assert musts == {QUALITY: Bound(">=", 0.3), LATENCY: Bound("<=", 2000)}


def test_a_new_use_case_has_criteria_that_can_be_read(tmp_path):
    criteria = load_criteria(make_use_case("mine", tmp_path) / FILE)
    assert criteria.weights
    assert criteria.tolerances


def test_a_file_is_known_by_its_digest(written):
    one, other = written(f"{QUALITY}: {{weight: 1}}"), written(f"{QUALITY}: {{weight: 1}}  # a note")
    assert re.fullmatch("sha256:[0-9a-f]{64}", one.digest)
    assert one.digest != other.digest
    assert one.lines == other.lines


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("knowledge.acc: {must: 0.3}", "knowledge.acc.must"),
        ('knowledge.acc: {must: ">= 30"}', "knowledge.acc.must"),
        ('knowledge.acc: {must: "> 0.3"}', "knowledge.acc.must"),
        ("knowledge.acc: {must: null}", "knowledge.acc.must"),
        ('chat.ttft_p95_ms: {must: ">= 500"}', "chat.ttft_p95_ms.must"),
        ('chat.goodput: {must: "<= 5"}', "chat.goodput.must"),
        ("knowledge.acc: {tolerance: 10%}", "knowledge.acc.tolerance"),
        ("knowledge.acc: {tolerance: 0}", "knowledge.acc.tolerance"),
        ("knowledge.acc: {tolerance: yes}", "knowledge.acc.tolerance"),
        ("knowledge.acc: {tolerance: .nan}", "knowledge.acc.tolerance"),
        (f"chat.ttft_p95_ms: {{tolerance: 1{'0' * 400}%}}", "chat.ttft_p95_ms.tolerance"),
        (f'chat.goodput: {{must: ">= 1{"0" * 400}"}}', "chat.goodput.must"),
        ('chat.slo_attainment: {must: ">= 95"}', "chat.slo_attainment.must"),
        ('chat.ttft_p95_ms: {must: "<= 0.5"}', "chat.ttft_p95_ms.must"),
        ('knowledge.acc: {must: ">= \u0661"}', "knowledge.acc.must"),
        ("knowledge.acc: {weight: true}", "knowledge.acc.weight"),
        ('knowledge.acc: {weight: "4"}', "knowledge.acc.weight"),
        ("knowledge.acc: {margin: true}", "knowledge.acc.margin"),
        ("7: {weight: 1}", "7"),
        ("chat.ttft_p95_ms: {tolerance: 0.1}", "chat.ttft_p95_ms.tolerance"),
        ("chat.requests_per_second: {tolerance: 100%}", "chat.requests_per_second.tolerance"),
        ("chat.ttft_p95_ms: {margin: 0.1}", "chat.ttft_p95_ms.margin"),
        ("knowledge.acc: {margin: 1}", "knowledge.acc.margin"),
        ("knowledge.acc: {weight: -1}", "knowledge.acc.weight"),
        ("knowledge.acc: {weight: .inf}", "knowledge.acc.weight"),
        ("knowledge.acc: {wight: 1}", "knowledge.acc.wight"),
        ("knowledge.acc: {name: other, weight: 1}", "knowledge.acc"),
        ("knowledge.acc: {}", "knowledge.acc"),
        ("knowledge.acc: 0.3", "knowledge.acc"),
        ('cost.per_thousand_requests: {must: "<= 1"}', "cost.per_thousand_requests.must"),
        ("cost.per_request: {weight: 1}", "cost.per_request.name"),
        ("knowledge: {weight: 1}", "knowledge.name"),
        ("chat.ttft_p95: {weight: 1}", "chat.ttft_p95.name"),
        ("knowledge.exact_match,strict-match: {weight: 1}", "knowledge.exact_match,strict-match.name"),
    ],
)
def test_a_mistake_is_named_with_file_line_and_field(written, line, field):
    assert list(faults(written, "coverage: 0.9", "", line)) == [(3, field)]


def test_all_mistakes_are_told_at_once(written):
    assert set(faults(written, "coverage: true")) == {(1, "coverage")}
    found = faults(written, "coverage: 2", "knowledge.acc: {must: x, tolerance: 10%}", "chat.ttft_p95: {weight: 1}")
    assert set(found) == {
        (1, "coverage"), (2, "knowledge.acc.must"), (2, "knowledge.acc.tolerance"), (3, "chat.ttft_p95.name"),
    }  # fmt: skip


def test_one_line_twice_is_refused(written):
    with pytest.raises(InvalidCriteria, match=rf"{FILE}:2: knowledge.acc: is there twice"):
        written("knowledge.acc: {weight: 1}", "knowledge.acc: {weight: 2}")


def test_a_form_that_is_another_metrics_is_told_in_its_own(written):
    found = faults(written, "knowledge.acc: {tolerance: 10%}", "chat.itl_p95_ms: {tolerance: 0.1}")
    assert "write 0.1" in found[1, "knowledge.acc.tolerance"]
    assert "write 10%" in found[2, "chat.itl_p95_ms.tolerance"]


@pytest.mark.parametrize(
    ("line", "now"),
    [
        ("accuracy: 0.02", "knowledge.acc: {tolerance: 0.02}"),
        ("ttft_p95_ms: 0.15", "chat.ttft_p95_ms: {tolerance: 15%}"),
        ("itl_p95_ms: null", "leave the line out"),
        ("requests_per_second: 0.1", "chat.requests_per_second: {tolerance: 10%}"),
    ],
)
def test_a_gates_file_of_before_is_refused_with_the_line_that_replaces_it(written, line, now):
    said = faults(written, line)
    assert now in "".join(said.values())
    if "tolerance" in now:
        assert written(now).tolerances


@pytest.mark.parametrize(
    ("name", "value", "now"),
    [
        ("MIN_ACCURACY", "0.5", 'knowledge.acc: {must: ">= 0.5"}'),
        ("MARGIN", "0.05", "knowledge.acc: {margin: 0.05}"),
        ("QUALITY_WEIGHT", "8", "knowledge.acc: {weight: 8}"),
        ("LATENCY_WEIGHT", "0", "chat.ttft_p95_ms: {weight: 0}"),
        ("COST_WEIGHT", "2", "cost.per_thousand_requests: {weight: 2}"),
        ("GATE_POLICY", "gate.yaml", "knowledge.acc: {tolerance: 0.02}"),
    ],
)
def test_a_parameter_of_before_is_told_with_a_line_that_can_be_read(written, name, value, now):
    (said,) = replaced({name: value, "TASK": "t"})
    assert said.startswith(f"{name} is no parameter any more")
    assert now in said
    assert written(now).lines


def test_what_is_no_number_is_not_repeated():
    assert "hunter2" not in "".join(replaced({"MARGIN": "hunter2"}))


def test_a_line_about_what_nothing_measures_is_refused_with_what_there_is(written):
    criteria = written("knowledge.acc: {weight: 1}", "knowledge.exact_mach: {weight: 1}", f"{COST}: {{weight: 1}}")
    criteria.require(["knowledge.acc", "knowledge.exact_mach"])
    with pytest.raises(InvalidCriteria) as refused:
        criteria.require(["knowledge.acc", "chat.ttft_p95_ms", "knowledge.exact_match"])
    assert (
        f"{FILE}:2: nothing measures knowledge.exact_mach (did you mean knowledge.exact_match?)" in refused.value.what
    )
    assert "chat.ttft_p95_ms" in refused.value.what
    assert COST not in refused.value.what


@pytest.mark.parametrize("what", ["weights", "tolerances"])
def test_what_a_reader_cannot_do_without_is_asked_for(written, what):
    with pytest.raises(InvalidCriteria, match=f"{FILE}: no line has a {what[:-1]}"):
        getattr(written('knowledge.acc: {must: ">= 0.3"}'), what)


@pytest.mark.parametrize(
    ("first", "second", "ranked"),
    [
        ("knowledge.acc", "sums.acc", ""),
        ("chat.ttft_p95_ms", "rag.ttft_p95_ms", ""),
        ("knowledge.acc", "knowledge.f1", {"knowledge"}),
        ("sums.acc", "rag.ttft_p95_ms", {"sums", "rag"}),
    ],
)
def test_versions_are_ranked_by_one_evaluation_and_one_load_test(written, first, second, ranked):
    criteria = written(f"{first}: {{weight: 2}}", f"{second}: {{weight: 1}}", f"{COST}: {{weight: 1}}")
    if ranked:
        assert (set(criteria.weights), criteria.ranked) == ({first, second, COST}, ranked)
        return
    with pytest.raises(InvalidCriteria) as refused:
        _ = criteria.weights
    assert f"{FILE}:1: {first}" in refused.value.what
    assert f"{FILE}:2: {second}" in refused.value.what


def test_a_bound_holds_what_is_good_enough():
    made = Criteria.model_validate({"a.acc": {"must": ">=.5"}, "b.ttft_p95_ms": {"must": "<=  20"}})
    least, most = (line.must for line in made.musts)
    assert (least.holds(0.5), least.holds(0.49), most.holds(20), most.holds(20.1)) == (True, False, True, False)


@pytest.mark.parametrize("folder", sorted(path.parent.name for path in (ROOT / "datasets").glob(f"*/{FILE}")))
def test_every_shipped_file_names_what_its_use_case_measures(folder):
    from helpers.datasets import load_use_case

    use_case = load_use_case(ROOT / "datasets" / folder)
    criteria = load_criteria(use_case.folder / use_case.criteria)
    assert {line.name.partition(".")[0] for line in criteria.lines} - {"cost"} <= {*use_case.names}


def test_a_label_without_a_file_is_held_to_what_is_shipped_and_asks_nothing_of_other_measurements():
    criteria = load_criteria(DEFAULT)
    shipped = load_criteria(ROOT / "datasets" / "ops-assistant" / "criteria.yaml")
    assert (criteria.weights, criteria.coverage) == (shipped.weights, shipped.coverage)
    assert {line.name: line.tolerance for line in criteria.tolerances} == {
        line.name: line.tolerance for line in shipped.tolerances
    }
    criteria.require(["mine.exact_match"])
    with pytest.raises(InvalidCriteria):
        shipped.require(["mine.exact_match"])
