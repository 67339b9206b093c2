"""A server that cannot answer enough in the time: said for each load, and no crash; the loads that can are measured."""

from __future__ import annotations

import pytest

from helpers.load_test import sweep

from .conftest import brief

pytestmark = pytest.mark.load


@pytest.fixture
def stalls(streaming_server):
    """A server that answers nothing while the given load is applied, and what was said meanwhile."""

    def at(number):
        said = []

        def say(text):
            said.append(text)
            if text.startswith(f"strategy {number} of"):
                streaming_server.works.clear()
            elif text.startswith(f"strategy {number + 1} of"):
                streaming_server.works.set()

        return streaming_server.url, say, said

    return at


def test_a_sweep_goes_on_where_all_at_once_gets_no_answer(stalls, endpoint, tmp_path):
    # GuideLLM's sweep computes a rate of 0 from such a load, and raises.
    url, say, said = stalls(2)
    settings = brief(max_seconds=5, max_concurrency=16, sweep_size=4, warmup=0, min_requests=8, slo_e2e_ms=50_000)
    result = sweep(settings, endpoint(url), tmp_path, say)
    strategies = [(point.strategy.partition("@")[0], point.streams) for point in result.points]
    assert strategies[:3] == [("synchronous", 1), ("throughput", 16), ("throughput", 4)]
    assert [kind for kind, _ in strategies[3:]] == ["constant", "constant"]
    none, some = result.points[1], result.points[2]
    assert (none.successful, none.enough, none.ended_by, none.meets_slo) == (0, False, "time", False)
    assert (some.enough, some.ended_by, some.meets_slo) == (True, "requests", True)
    assert result.chosen.enough
    assert any(warning.startswith("throughput: 0 answers within") for warning in result.warnings)
    assert any("fewer at once" in line for line in said)


def test_where_levels_grow_none_is_tried_above_one_without_an_answer(stalls, endpoint, tmp_path):
    url, say, _ = stalls(2)
    settings = brief(profile="concurrent", streams="1,2,4", max_seconds=3, warmup=0)
    result = sweep(settings, endpoint(url), tmp_path, say)
    assert [(point.streams, point.enough) for point in result.points] == [(1, True), (2, False)]
    assert result.chosen.streams == 1


def test_without_a_tokenizer_the_servers_usage_counts_the_tokens(streaming_server, endpoint, tmp_path):
    served = endpoint(streaming_server.url).model_copy(update={"tokenizer": ""})
    settings = brief(profile="concurrent", streams="2", warmup=0, max_seconds=30)
    [point] = sweep(settings, served, tmp_path, lambda _: None).points
    assert (point.enough, point.mean_input_tokens, point.mean_output_tokens) == (True, 8, 16)
    assert not (tmp_path / "tokenizer").exists()
