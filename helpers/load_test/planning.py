"""What a sweep will ask for, and how long it takes, from one request that is measured before it."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from helpers.artifacts import Endpoint
from helpers.errors import InvalidParameter, SweepFailed
from helpers.load_test.report import WHOLE
from helpers.load_test.settings import LONGEST, Settings
from helpers.load_test.workload import Workload
from helpers.runtime.partial import anew
from helpers.serving.client import Answer, post
from helpers.serving.offers import CHAT

PATIENCE = 16  # times what one request takes alone: 60 answers come in that time where four in flight hardly wait
SHORTEST = 30.0  # seconds that a load gets where MAX_SECONDS is 0
WAVES = 3  # times the requests in flight have to be answered: those of the first wave arrive all at once
OK = 200


class Planned(NamedTuple):
    """A load, how many answers end it, and the seconds that they take if latency does not grow with the load."""

    name: str
    answers: int
    seconds: float


class Plan(NamedTuple):
    """The loads in turn, the repeats last; `alone` is what a request takes with nothing else in flight, in seconds."""

    alone: float
    max_seconds: float
    loads: tuple[Planned, ...]

    @property
    def expected(self) -> tuple[float, float]:
        """Seconds that all loads take, at least and at most; steps down to a load that holds come on top."""
        low = sum(min(load.seconds, self.max_seconds) for load in self.loads)
        return low, self.max_seconds * len(self.loads)

    def __str__(self) -> str:
        low, high = self.expected
        slow = [load.name for load in self.loads if load.seconds > self.max_seconds]
        names = ", ".join(dict.fromkeys(f"{load.name} until {load.answers} answers" for load in self.loads))
        text = f"One request takes {self.alone:.3g} s alone, so each load gets {self.max_seconds:.0f} s at most. "
        text += f"{len(self.loads)} loads in {low:.0f} to {high:.0f} s: {names}"
        return f"{text}. Too slow for that many: {', '.join(slow)}" if slow else text


def answers(least: int, in_flight: int) -> int:
    """Return how many answers end a load that keeps so many requests in flight."""
    return max(least, WAVES * in_flight)


def plan(settings: Settings, alone: float) -> Plan:
    """Return the plan for requests of `alone` seconds; raises InvalidParameter where none ends in MAX_SECONDS."""
    enough = math.ceil(PATIENCE * alone)
    most = settings.max_seconds or min(max(SHORTEST, enough), LONGEST)
    if alone > most:
        raise InvalidParameter(
            f"One request takes {alone:.3g} s alone: none ends in the {most:g} s that a load gets by MAX_SECONDS",
            do=f"Set MAX_SECONDS to {enough}, or ask for fewer tokens (SCALE)",
        )
    loads = tuple(_load(settings, alone, name, streams, kept) for name, streams, kept in _loads(settings))
    return Plan(alone, most, loads)


def _loads(settings: Settings) -> Iterator[tuple[str, int, bool]]:
    """Yield each load's name, the requests in flight, and whether these are kept in flight."""
    most = settings.max_concurrency
    if settings.profile == "sweep":
        yield "one at a time", 1, False
        yield f"{most} in flight", most, True
        middle = max(1, most // 2)
        yield from [("a rate in between", middle, False)] * (settings.sweep_size - 2)
    else:
        streams = settings.streams if settings.profile != "goodput" else settings.streams[-1:] * settings.max_probes
        middle = streams[-1]
        yield from ((f"{each} in flight", each, True) for each in streams)
    yield from [("a repeat", middle, False)] * settings.repeats


def _load(settings: Settings, alone: float, name: str, in_flight: int, kept: bool) -> Planned:
    count = settings.max_requests or answers(settings.min_requests, in_flight if kept else 1)
    return Planned(name, count, max(alone, count * alone / in_flight))


def accepted(endpoint: Endpoint, requests: Workload) -> Workload:
    """Return the workload as an endpoint that exists takes it: hosted APIs refuse ignore_eos, or pay no heed to it.

    Raises EndpointUnreachable where it does not answer.
    """
    if endpoint.target != "existing":
        return requests
    answer = post(endpoint.url, requests.path, _body(endpoint, requests), LONGEST)
    if answer.status == OK:
        usage = (answer.body or {}).get("usage") or {}
        return replace(requests, plain=usage.get("completion_tokens", math.inf) < WHOLE * requests.example[1])
    plain = replace(requests, plain=True)
    return plain if post(endpoint.url, plain.path, _body(endpoint, plain), LONGEST).status == OK else requests


def one_request(endpoint: Endpoint, requests: Workload) -> float:
    """Return the seconds of one request of the workload's shape, sent alone after one that warms the server up.

    Raises SweepFailed with what the server says where it refuses, EndpointUnreachable where it does not answer.
    """
    for _ in range(2):
        started = time.monotonic()
        answer: Answer = post(endpoint.url, requests.path, _body(endpoint, requests), LONGEST)
        if answer.status != OK:
            raise SweepFailed(
                f"The first request to {endpoint.url}{answer.path} ({endpoint.model}) was answered by {answer.status}: "
                f"{answer.said or 'nothing more is said'}",
                do=f"Correct what the server complains about, then {anew()}",
            )
    return time.monotonic() - started


def _body(endpoint: Endpoint, requests: Workload) -> dict[str, Any]:
    """Return what GuideLLM sends: so many tokens are asked for, by a prompt that no prefix cache holds."""
    text, asked = requests.example
    text = f"[{uuid.uuid4().hex[:8]}] {text}"
    common = {"model": endpoint.model} | ({} if requests.plain else {"stop": None, "ignore_eos": True})
    if requests.path == CHAT:
        return {**common, "messages": [{"role": "user", "content": text}], "max_completion_tokens": asked}
    return {**common, "prompt": text, "max_tokens": asked}
