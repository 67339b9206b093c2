"""Against `guidellm mock-server`, whose latencies are known. Each run of GuideLLM costs some ten seconds.

A busy machine only adds to a latency, and takes from a rate: bounds are held on the one side, sums on both.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.artifacts import LoadTest
from helpers.errors import EndpointUnreachable, InvalidDataset, InvalidParameter, SweepFailed
from helpers.load_test import sweep, workload
from helpers.runtime.polling import wait_for
from tests.plugins.records import CHAT, CHAT_REPEATS

from .conftest import ITL_MS, TTFT_MS, at, brief

pytestmark = pytest.mark.load

KEY = "sk-0123456789-not-for-everyone"


@pytest.fixture(scope="module")
def said():
    return []


@pytest.fixture(scope="module")
def measured(mock_server, tokenizer, tmp_path_factory, said):
    """One real sweep, looked at by several tests."""
    folder = tmp_path_factory.mktemp("artifacts")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("ENDPOINT_API_KEY", KEY)
        return folder, sweep(
            brief(slo_ttft_ms=60_000, max_seconds=60, min_requests=8, repeats=2, api="auto"),
            at(mock_server.url, tokenizer),
            folder,
            said.append,
        )


WHOLE_MS = TTFT_MS + 15 * ITL_MS  # 16 tokens: the first, and 15 more


def test_no_answer_is_quicker_than_the_server_can_be(measured):
    for point in (*measured[1].points, *measured[1].repeats):
        assert point.ttft_ms.p50 >= 0.9 * TTFT_MS
        assert point.itl_ms.p50 >= 0.9 * ITL_MS
        assert point.e2e_ms.p50 >= 0.9 * WHOLE_MS
        assert point.e2e_ms.mean == pytest.approx(point.ttft_ms.mean + 15 * point.itl_ms.mean, rel=0.1)
        assert point.mean_output_tokens == pytest.approx(16)
    assert measured[1].one_request_seconds >= 0.9 * WHOLE_MS / 1000


def test_each_load_has_the_answers_that_were_asked_for(measured):
    result = measured[1]
    for point in (*result.points, *result.repeats):
        assert (point.enough, point.ended_by, point.errored) == (True, "requests", 0)
        assert point.successful >= 8
    assert [point.strategy.partition("@")[0] for point in result.points] == ["synchronous", "throughput", "constant"]
    assert [point.streams for point in result.points] == [1, 4, None]
    assert [point.saturated for point in result.points[:2]] == [False, True]


def test_requests_in_flight_are_what_was_asked_for_and_what_littles_law_says(measured):
    one, all_at_once, _ = measured[1].points
    assert 0.5 < one.concurrency <= 1.05
    assert 1 < all_at_once.concurrency <= 4.05
    for point in (one, all_at_once):
        assert point.requests_per_second * point.duration_seconds == pytest.approx(point.successful, rel=0.5)
        assert point.output_tokens_per_second == pytest.approx(16 * point.requests_per_second, rel=0.3)


def test_the_operating_point_meets_the_objective(measured):
    result = measured[1]
    fitting = [p.requests_per_second for p in result.points if p.meets_slo and not p.saturated]
    assert result.chosen.requests_per_second == max(fitting)
    assert result.chosen.slo_attainment == 1
    assert result.headline.n == 2


def test_the_operating_point_is_measured_again_at_the_same_load(measured):
    result = measured[1]
    assert len(result.repeats) == 2
    assert all(
        (point.rate or point.streams) == (result.chosen.rate or result.chosen.streams) for point in result.repeats
    )
    assert result.repeats_report == CHAT_REPEATS.report


def test_warm_up_requests_are_in_no_count(measured):
    raw = json.loads((measured[0] / CHAT.report).read_bytes())
    counted = [b["metrics"]["request_totals"]["total"] for b in raw["benchmarks"]]
    assert counted == [p.successful + p.errored + p.incomplete for p in measured[1].points]
    assert [b["config"]["strategy"]["type_"] for b in raw["benchmarks"]] == ["synchronous", "throughput", "constant"]


def test_the_artifact_survives_writing_and_reading(measured, tmp_path):
    measured[1].write(tmp_path)
    assert LoadTest.read_named("chat", tmp_path) == measured[1]
    assert measured[1].settings["seed"] > 0
    assert measured[1].versions["guidellm"] == "0.8.1"


def test_raw_reports_stay_beside_it_and_hold_no_key(measured):
    folder, result = measured
    assert result.report == CHAT.report
    assert sorted(p.name for p in folder.iterdir()) == sorted(
        name for names in (CHAT, CHAT_REPEATS) for name in (names.report, names.page, names.log)
    )
    assert not any(KEY in p.read_text("utf-8") for p in folder.iterdir())


def test_progress_is_said_while_it_runs(measured, said):
    assert said[0].startswith("One request takes")
    assert "warm-up done" in said
    assert any(line.startswith("strategy 2 of 3, throughput") and "answered" in line for line in said)


def test_the_use_cases_own_prompts_are_sent(mock_server, endpoint, tmp_path):
    rows = [{"id": str(n), "category": "c", "prompt": f"restart pod {n}", "output_tokens": 4} for n in range(3)]
    path = tmp_path / "prompts.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    settings = brief(
        profile="concurrent", streams="2", workload="prompts", prompts=str(path), warmup=0, min_requests=8,
        max_seconds=60, api="completions",
    )  # fmt: skip
    result = sweep(settings, endpoint(mock_server.url), tmp_path / "out", lambda _: None)
    assert len(result.points) == 1
    assert result.points[0].successful >= 8  # over and over: there are only three
    assert result.points[0].mean_output_tokens == pytest.approx(4)
    assert result.dataset_digest.startswith("sha256:")


def test_a_prompt_longer_than_the_context_is_refused_with_its_line(mock_server, endpoint, tmp_path):
    rows = [{"id": str(n), "category": "c", "prompt": f"{n} pod" * (1 + 300 * n), "output_tokens": 4} for n in range(2)]
    path = tmp_path / "prompts.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(InvalidDataset, match=r"prompts\.jsonl, line 2.* tokens.*context of 512"):
        sweep(brief(workload="prompts", prompts=str(path)), endpoint(mock_server.url), tmp_path)


def test_a_workload_larger_than_the_context_is_refused_with_a_scale_that_fits(endpoint):
    with pytest.raises(InvalidParameter, match=r"SCALE=1 .* 768 .*|SCALE=1 .*512 in the prompt") as refused:
        workload.load(brief(scale=1), endpoint())
    fitting = float(refused.value.do.split()[3])
    assert 0 < fitting < 1
    assert workload.load(brief(scale=fitting), endpoint()).prompt_tokens < 512


def test_an_endpoint_that_is_not_there_is_named_before_anything_runs(endpoint, tmp_path):
    with pytest.raises(EndpointUnreachable, match=r"http://127\.0\.0\.1:9"):
        sweep(brief(), endpoint(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_when_the_first_request_fails_its_error_is_told(own_server, endpoint, tmp_path):
    server = own_server("--fail-after-requests", "0")
    with pytest.raises(SweepFailed, match="500"):
        sweep(brief(warmup=0), endpoint(server.url), tmp_path / "out", lambda _: None)


def test_when_the_server_dies_what_was_measured_is_kept(own_server, endpoint, tmp_path):
    server = own_server("--ttft-ms", "20", "--itl-ms", "2", "--output-tokens", "16")

    def say(text):
        if text.startswith("strategy 2 of 3"):
            server.kill()

    settings = brief(profile="concurrent", streams="1,2,4", warmup=0, max_seconds=30)
    with pytest.raises(SweepFailed, match=r"stopped answering during the sweep.*first [12] strategies.*are kept"):
        sweep(settings, endpoint(server.url), tmp_path / "out", say)
    assert list((tmp_path / "out" / "partial").rglob("0.json"))


def group_of(folder: Path) -> int:
    """Process group of the GuideLLM that writes into the folder; its workers are in it too."""
    lines = subprocess.run(
        ["ps", "-ww", "-eo", "pgid,args"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return next(int(line.split()[0]) for line in lines if "helpers.load_test.driver" in line and str(folder) in line)


def gone(group: int) -> bool:
    listed = subprocess.run(["ps", "-eo", "pgid,stat"], capture_output=True, text=True, check=True).stdout
    return not any(line.split()[0] == str(group) and "Z" not in line for line in listed.splitlines()[1:])


def test_an_interrupt_leaves_nothing_running(mock_server, endpoint, tmp_path):
    groups = []

    def interrupt(text):
        if ", 0 failed" in text:
            groups.append(group_of(tmp_path))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(
            brief(warmup=0, max_seconds=60, min_requests=5000), endpoint(mock_server.url), tmp_path / "out", interrupt
        )
    wait_for(lambda: gone(groups[0]), what="GuideLLM's end", do="see who is left in its group", timeout=10)


PARENT = """
import os, sys
from pathlib import Path
from helpers.artifacts import Endpoint
from helpers.load_test import Settings, sweep

endless = Settings(scale=0.0625, max_seconds=60, warmup=0, min_requests=5000, api="chat")
sweep(endless, Endpoint.read(Path(sys.argv[1])), Path(sys.argv[1]))
"""


def test_a_killed_kernel_takes_guidellm_with_it(mock_server, endpoint, tmp_path):
    endpoint(mock_server.url).write(tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment
    )
    next(line for line in parent.stdout if ", 0 failed" in line)
    group = group_of(tmp_path)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    wait_for(lambda: gone(group), what="the end of GuideLLM", do="look at its watch over its input", timeout=30)
