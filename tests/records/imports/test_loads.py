"""Reports of load generators become load tests; what a report does not say is absent, never 0."""

from __future__ import annotations

import json
import shutil

import pytest

from helpers.errors import InvalidResults
from helpers.records.imports import alike, read_source
from tests.records.imports.conftest import FACTS

GUIDELLM, VLLM, PERF = FACTS / "guidellm-0.8.1", FACTS / "vllm-bench-0.32.0", FACTS / "inference-perf-0.7.0"


def load_test(path):
    (found,) = read_source(str(path)).measurements
    return found


def changed(source, folder, change):
    """A copy of a JSON file as `change` leaves it."""
    content = json.loads(source.read_text())
    change(content)
    folder.mkdir(exist_ok=True)
    (folder / source.name).write_text(json.dumps(content))
    return folder / source.name


@pytest.mark.parametrize(("version", "runs"), [("0.8.1", 2), ("0.5.3", 1), ("0.3.1", 1)])
def test_guidellm_s_loads_and_repeats(version, runs):
    found = load_test(FACTS / f"guidellm-{version}" / "ops-large.json")
    told = json.loads((FACTS / f"guidellm-{version}" / "ops-large.json").read_text())["benchmarks"][0]["metrics"]
    told_version = "0.3" if version == "0.3.1" else version  # which wrote none
    assert (found.kind, found.imported, found.versions) == ("load_test", True, {"guidellm": told_version})
    assert (len(found.points), len(found.repeats)) == (runs, runs if runs > 1 else 0)
    assert (found.prompt_tokens, found.output_tokens) == (32, 8)
    assert found.points[0].ttft_ms.p95 == told["time_to_first_token_ms"]["successful"]["percentiles"]["p95"]
    assert found.points[0].successful == 64


def test_vllm_bench_with_details_has_every_percentile_and_without_them_no_p95():
    plain, detailed = (load_test(VLLM / f"{name}.json").points[0] for name in ("plain", "detailed"))
    told = json.loads((VLLM / "detailed.json").read_text())
    assert plain.ttft_ms is None
    assert plain.requests_per_second == pytest.approx(4, rel=0.1)
    assert detailed.ttft_ms.mean == pytest.approx(told["mean_ttft_ms"])
    assert detailed.itl_ms.mean == pytest.approx(told["mean_tpot_ms"], rel=1e-6)
    assert detailed.ttft_ms.p99 == pytest.approx(1000 * sorted(told["ttfts"])[63])
    assert detailed.ttft_ms.p95 == pytest.approx(1000 * sorted(told["ttfts"])[60])


def test_files_of_one_load_each_are_one_load_test(tmp_path):
    for name, rate in (("slow", 2.0), ("again", 2.0), ("quick", 6.0)):
        changed(VLLM / "detailed.json", tmp_path / name, lambda c, rate=rate: c.update(request_rate=rate))
    found = load_test(tmp_path)
    assert len(found.points) == 3
    assert [point.saturated for point in sorted(found.points, key=lambda p: p.rate)] == [False, False, True]
    assert len(found.repeats) == 2


def test_what_was_sent_is_one_workload_where_about_as_many_tokens_came(tmp_path):
    """A model ends its answers itself: no two loads have the very same number of tokens."""
    for name, tokens in (("one", 15000), ("again", 15100), ("third", 14890)):
        changed(VLLM / "detailed.json", tmp_path / name, lambda c, n=tokens: c.update(total_output_tokens=n))
    assert len(load_test(tmp_path).points) == 3
    first, second = alike([read_source(str(tmp_path / name)) for name in ("one", "third")])[0]
    assert first.measurements[0].workload == second.measurements[0].workload
    changed(VLLM / "detailed.json", tmp_path / "long", lambda c: c.update(total_output_tokens=30000))
    assert any("not compared" in note for note in alike([first, read_source(str(tmp_path / "long"))])[1])
    with pytest.raises(InvalidResults, match="several workloads"):
        read_source(str(tmp_path))


def test_without_its_configuration_inference_perf_s_workload_is_what_was_seen(tmp_path):
    (stage, other) = (PERF / f"stage_{number}_lifecycle_metrics.json" for number in (0, 1))
    shutil.copy(stage, tmp_path)
    other = changed(other, tmp_path / "other", lambda c: c["successes"]["throughput"].update(input_tokens_per_sec=900))
    kept, notes = alike([read_source(str(tmp_path / stage.name)), read_source(str(other))])
    assert "about" in kept[0].measurements[0].workload
    assert len(notes) == 1


def test_loads_that_vllm_bench_appended_to_one_file_are_one_load_test(tmp_path):
    """As `--append-result` leaves them; the last one may be cut short."""
    told = [json.loads((VLLM / "detailed.json").read_text()) | {"request_rate": rate} for rate in (2.0, 4.0)]
    place = tmp_path / "all.json"
    place.write_text("\n".join(map(json.dumps, told)))
    assert [point.rate for point in load_test(place).points] == [2, 4]
    place.write_text(place.read_text()[:-20])
    with pytest.raises(InvalidResults, match=r"all.json, line 2: is cut short"):
        read_source(str(place))


def test_inference_perf_s_stages_are_loads_and_its_summary_is_none():
    found = load_test(PERF)
    told = json.loads((PERF / "stage_1_lifecycle_metrics.json").read_text())["successes"]
    assert [point.rate for point in found.points] == [3, 6]
    assert found.chosen.rate == 6
    assert found.points[1].ttft_ms.p95 == 1000 * told["latency"]["time_to_first_token"]["p95"]
    assert read_source(str(PERF)).model == "ops-large"
    assert (found.prompt_tokens, found.output_tokens) == (32, 8)
    with pytest.raises(InvalidResults, match="holds no results"):
        read_source(str(PERF / "summary_lifecycle_metrics.json"))


def test_older_reports_of_inference_perf_beside_what_prometheus_saw_are_read(tmp_path):
    """As 0.2 left them: the time of a stage stands in its throughput alone."""
    stage = changed(PERF / "stage_0_lifecycle_metrics.json", tmp_path, lambda c: c.pop("benchmark_time_seconds"))
    seen = {"load_summary": {}, "successes": {"count": 9, "rate": 0.3}, "failures": {}}
    (tmp_path / "stage_0_prometheus_metrics.json").write_text(json.dumps(seen))
    (point,) = load_test(tmp_path).points
    told = json.loads((PERF / stage.name).read_text())
    assert point.duration_seconds == pytest.approx(told["benchmark_time_seconds"])


def test_too_few_answers_meet_nothing_and_that_is_said(tmp_path):
    few = changed(VLLM / "plain.json", tmp_path, lambda c: c.update(completed=20, num_prompts=20))
    found = read_source(str(few))
    assert found.measurements[0].headline is None
    assert any("too few" in note for note in found.notes)


@pytest.mark.parametrize(
    ("source", "change", "said"),
    [
        (VLLM / "plain.json", lambda c: c.pop("duration"), "without 'duration'"),
        (VLLM / "detailed.json", lambda c: c["ttfts"].pop(), "differ in length"),
        (GUIDELLM / "smollm2.json", lambda c: c["benchmarks"][0].pop("metrics"), "form is not known"),
        (GUIDELLM / "smollm2.json", lambda c: c["benchmarks"].clear(), "holds no load"),
        (PERF / "stage_0_lifecycle_metrics.json", lambda c: c["successes"].pop("throughput"), "without 'throughput'"),
        (VLLM / "plain.json", lambda c: c.update(duration=float("inf")), "is not as vllm bench serve writes it"),
        (PERF / "stage_0_lifecycle_metrics.json", lambda c: c.update(successes="none"), "is not as inference-perf"),
        (PERF / "stage_0_lifecycle_metrics.json", lambda c: c["successes"].update(count=0), "none of its 0 requests"),
    ],
    ids=["vllm", "details", "guidellm", "empty", "inference-perf", "endless", "text", "no answer"],
)
def test_a_report_that_is_not_whole_is_refused_with_its_name(tmp_path, source, change, said):
    with pytest.raises(InvalidResults, match=said) as refused:
        read_source(str(changed(source, tmp_path, change)))
    assert source.name in str(refused.value)


def test_two_workloads_of_one_model_are_refused(tmp_path):
    shutil.copy(GUIDELLM / "ops-large.json", tmp_path)
    shutil.copy(VLLM / "detailed.json", tmp_path)
    with pytest.raises(InvalidResults, match="several workloads"):
        read_source(str(tmp_path))


def test_answers_and_loads_of_one_model_come_from_one_folder(tmp_path):
    shutil.copytree(FACTS / "lm-eval-0.4.13" / "ops-large", tmp_path / "answers")
    shutil.copy(GUIDELLM / "ops-large.json", tmp_path)
    assert {each.kind for each in read_source(str(tmp_path)).measurements} == {"evaluation", "load_test"}
