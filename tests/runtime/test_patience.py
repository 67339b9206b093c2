"""Who is away for a while is asked again, and named; a time scale of its own makes minutes pass at once."""

from __future__ import annotations

import socket

import pytest

from helpers.runtime import patience
from helpers.runtime.patience import patiently


class Clock:
    """Time that passes only while somebody sleeps, or where a test says so."""

    def __init__(self):
        self.now, self.slept = 1000.0, []

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(patience, "time", clock)
    monkeypatch.setattr(patience, "_reached", set())
    monkeypatch.setattr(patience, "_said", {})
    return clock


def ask(answers):
    """Return something to ask that gives one answer after another, the last for ever."""

    def one():
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return one


def wait(answers, *, again=lambda error: isinstance(error, OSError), what="the store at http://s", **more):
    return patiently(ask(answers), what=what, do="Check that it runs", again=again, **more)


def test_it_waits_in_steps_until_there_is_an_answer(clock):
    assert wait([TimeoutError()] * 7 + ["here"]) == "here"
    assert clock.slept == [0.5, 1, 2, 4, 8, 8, 8]


def test_after_two_minutes_the_last_error_is_raised_as_it_is(clock):
    with pytest.raises(TimeoutError, match="away"):
        wait([TimeoutError("away")])
    assert sum(clock.slept) == pytest.approx(120)


def test_the_last_attempt_is_made_at_the_very_end(clock):
    def late():
        if clock.now < 1119:
            raise TimeoutError
        return "just in time"

    assert patiently(late, what="it", do="wait", again=lambda error: True) == "just in time"


def test_what_is_a_refusal_is_told_at_once(clock):
    with pytest.raises(ValueError, match="no"):
        wait([ValueError("no")])
    assert not clock.slept


def test_patience_counts_from_the_first_failure_not_from_the_start_of_a_long_upload(clock):
    def upload():
        clock.now += 600
        raise TimeoutError

    with pytest.raises(TimeoutError):
        patiently(upload, what="it", do="wait", again=lambda error: True)
    assert clock.slept == [0.5]  # the second attempt took longer than the patience: there is no third


def test_it_says_who_is_waited_for_and_when_he_is_back(clock, capsys):
    wait([ConnectionResetError("reset by peer")] * 10 + ["here"])
    said = capsys.readouterr().out.splitlines()
    assert ["the store at http://s" in line.lower() for line in said] == [True] * len(said)
    assert "reset by peer" in said[0]
    assert "If it stays away: check that it runs." in said[0]
    assert len(said) == 4  # after 7.5, 23.5 and 39.5 s, and when it answers
    assert "answers again" in said[-1]


def test_a_short_hiccup_is_not_worth_a_line(clock, capsys):
    wait([TimeoutError(), "here"])
    assert capsys.readouterr().out == ""


REFUSED, UNKNOWN = ConnectionRefusedError(111, "Connection refused"), socket.gaierror(socket.EAI_NONAME, "unknown")
SLOW_DNS = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


@pytest.mark.parametrize(
    ("error", "pod", "seconds"),
    [(REFUSED, False, 10), (REFUSED, True, 120), (UNKNOWN, False, 10), (UNKNOWN, True, 10), (SLOW_DNS, False, 120)],
)
def test_a_typing_error_does_not_cost_two_minutes(clock, monkeypatch, error, pod, seconds):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1" if pod else "")
    with pytest.raises(type(error)):
        wait([error])
    assert sum(clock.slept) == pytest.approx(seconds)


def test_whoever_answered_once_gets_all_of_the_patience(clock):
    wait(["here"])
    with pytest.raises(ConnectionRefusedError):
        wait([REFUSED])
    assert sum(clock.slept) == pytest.approx(120)


def test_the_cause_is_found_wherever_a_client_keeps_it(clock):
    class Wrapped(Exception):
        os_error = REFUSED

    with pytest.raises(Wrapped):
        wait([Wrapped()], again=lambda error: True)
    assert sum(clock.slept) == pytest.approx(10)


def test_several_threads_that_wait_for_one_server_speak_with_one_voice(clock, monkeypatch, capsys):
    monkeypatch.setattr(patience, "SAY_EVERY", 60)

    def another_thread():
        if clock.now < 1010:
            raise TimeoutError("away")
        return wait([TimeoutError("away")] * 6 + ["here"])

    patiently(another_thread, what="the store at http://s", do="wait", again=lambda error: True)
    assert capsys.readouterr().out.count("Waiting") == 1
