"""A sweep that broke off is gone on with; what another server answered, or what broke off itself, is not measured."""

from __future__ import annotations

import os
import signal

import pytest

from helpers.errors import ServerChanged, SweepFailed
from helpers.load_test import sweep
from tests.plugins.records import CHAT

from .conftest import brief
from .test_sweep import group_of

pytestmark = pytest.mark.load

THREE = brief(profile="concurrent", streams="1,2,4", warmup=0, min_requests=100_000)  # each ends by its time


def kill_at(text, folder):
    """Kill GuideLLM as a kernel does that has no memory left, once it says this."""

    def say(told):
        if told.startswith(text):
            os.killpg(group_of(folder), signal.SIGKILL)

    return say


def kept(folder):
    return sorted(path.name for path in (folder / "partial").rglob("[0-9].json"))


@pytest.fixture
def interrupted(streaming_server, endpoint, tmp_path):
    """The endpoint and folder of a sweep whose GuideLLM was killed in its second load."""
    served, folder = endpoint(streaming_server.url), tmp_path / "out"
    with pytest.raises(SweepFailed, match="was killed, most likely for want of memory") as failed:
        sweep(THREE, served, folder, kill_at("strategy 2 of 3", folder))
    assert "RAM" in failed.value.do
    assert kept(folder) == ["0.json"]
    return served, folder


def test_loads_that_were_measured_are_not_measured_again(interrupted, streaming_server):
    served, folder = interrupted
    before, told = set(streaming_server.prompts), []
    streaming_server.prompts.clear()
    result = sweep(THREE, served, folder, told.append)
    assert [point.strategy for point in result.points] == ["concurrent@1", "concurrent@2", "concurrent@4"]
    assert any(line.startswith("strategy 1 of 2, concurrent") for line in told), told
    assert sum(point.successful for point in result.points[1:]) <= len(streaming_server.prompts)
    assert len(streaming_server.prompts) < sum(point.successful for point in result.points) + 8
    assert before.isdisjoint(streaming_server.prompts), "the prefix cache would know them"
    assert any("gone on with" in warning for warning in result.warnings)
    assert not (folder / "partial").exists()


class Changes:
    """A guard that sees another server from the given look on."""

    def __init__(self, look):
        self.looks, self.look = 0, look

    def check(self):
        self.looks += 1
        if self.looks >= self.look:
            raise ServerChanged("another one", do="deploy again")


@pytest.mark.parametrize(("look", "left"), [(1, []), (3, ["0.json"]), (5, ["0.json", "1.json", "2.json"])])
def test_what_was_measured_while_the_server_changed_is_withheld(look, left, streaming_server, endpoint, tmp_path):
    guard, folder = Changes(look), tmp_path / "out"
    with pytest.raises(ServerChanged):
        sweep(THREE, endpoint(streaming_server.url), folder, lambda _: None, guard)
    assert guard.looks == look
    assert kept(folder) == left
    assert not (folder / CHAT.report).exists()
    assert not (folder / CHAT.page).exists()


def test_streams_that_break_off_are_failures(streaming_server, endpoint, tmp_path):
    streaming_server.tokens, streaming_server.cut = 5, True
    with pytest.raises(SweepFailed, match="the stream broke off"):
        sweep(THREE, endpoint(streaming_server.url), tmp_path / "out", lambda _: None)


def test_answers_shorter_than_asked_are_no_measurement(streaming_server, endpoint, tmp_path):
    streaming_server.tokens = 5
    with pytest.raises(SweepFailed, match=r"ends its answers early: 5 of 16 tokens") as failed:
        sweep(THREE, endpoint(streaming_server.url), tmp_path / "out", lambda _: None)
    assert "ignore_eos" in failed.value.do
    assert not kept(tmp_path / "out"), "or the same answers would be judged again"
