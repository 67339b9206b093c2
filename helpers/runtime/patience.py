"""The one place that asks again: the store, the registry and the Kubernetes API may each be away for two minutes.

A name that does not resolve is most likely mistyped, and outside a pod a refused connection means that the server was
never started: at first contact such a server gets ten seconds. Once it has answered, and always in a pod, it gets all
two minutes.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import chain, repeat
from typing import TypeVar

from helpers.runtime.account import in_pod

T = TypeVar("T")
SECONDS = 120.0  # from the first failure on: what went well before is not counted
FIRST_SECONDS = 10.0
STEPS = (0.5, 1.0, 2.0, 4.0, 8.0)  # seconds between two attempts; the last one stays
SAY_AFTER, SAY_EVERY = 5.0, 15.0
UNKNOWN = ("Name or service not known", "No address associated with hostname", "nodename nor servname")

_reached: set[str] = set()
_said: dict[str, float] = {}  # several threads may wait for the same server: one speaks


def patiently(
    ask: Callable[[], T],
    *,
    what: str,
    do: str,
    again: Callable[[Exception], bool],
    seconds: float | None = None,
) -> T:
    """Call `ask` until it returns, and return that; the error that ends the patience is raised as it is.

    `again` says whether an error may pass by itself. `what` names the server, for example "the store at http://…", and
    `do` what to do should it stay away; both are printed after five seconds, and then every fifteen. `seconds` are
    SECONDS unless given. An `ask` that can hang needs a time-out of its own, short enough to be asked again.
    """
    waiting = _Waiting(what, do, again, seconds)
    while True:
        try:
            return waiting.over(ask())
        except Exception as error:
            if (pause := waiting.pause(error)) is None:
                raise
            time.sleep(pause)


async def patiently_async(
    ask: Callable[[], Awaitable[T]],
    *,
    what: str,
    do: str,
    again: Callable[[Exception], bool],
    seconds: float | None = None,
) -> T:
    """Do as `patiently` for an `ask` that is awaited, so that other requests go on meanwhile."""
    waiting = _Waiting(what, do, again, seconds)
    while True:
        try:
            return waiting.over(await ask())
        except Exception as error:
            if (pause := waiting.pause(error)) is None:
                raise
            await asyncio.sleep(pause)


class _Waiting:
    """How long one request has been asked again, and whether it is once more."""

    def __init__(self, what: str, do: str, again: Callable[[Exception], bool], seconds: float | None) -> None:
        self.what, self.do, self.again = what, do, again
        self.longest, self.since = SECONDS if seconds is None else seconds, 0.0
        self.steps = chain(STEPS, repeat(STEPS[-1]))

    def pause(self, error: Exception) -> float | None:
        """Return how many seconds to wait before the next attempt, None where there is none."""
        if not self.again(error):
            _said.pop(self.what, None)
            return None
        now = time.monotonic()
        self.since = self.since or now
        longest = min(self.longest, FIRST_SECONDS) if _doubtful(error, self.what) else self.longest
        left = self.since + longest - now
        if left <= 0:
            _said.pop(self.what, None)
            return None
        _say(self.what, self.do, error, now - self.since, now - self.since + left)
        return min(next(self.steps), left)

    def over(self, answer: T) -> T:
        """Note that the server answered."""
        _reached.add(self.what)
        if _said.pop(self.what, None):
            print(f"{self.what[:1].upper()}{self.what[1:]} answers again", flush=True)
        return answer


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Wait no longer than this for any service within the block: for a check that a user watches."""
    global SECONDS
    usual, SECONDS = SECONDS, min(SECONDS, seconds)
    try:
        yield
    finally:
        SECONDS = usual


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Return an error and what caused it, as exceptions and as the clients' own fields say it."""
    seen: set[int] = set()
    left: list[object] = [error]
    while left:
        one = left.pop(0)
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            yield one
            left += [one.__cause__, one.__context__, getattr(one, "os_error", None), getattr(one, "reason", None)]


def distrusted(error: BaseException) -> bool:
    """Return whether a server's certificate is not trusted, or is another host's."""
    return any(isinstance(one, ssl.SSLCertVerificationError) for one in causes(error))


def refused_tls(error: BaseException) -> bool:
    """Return whether TLS failed for a reason that stays, which a connection that broke off is not."""
    broken = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
    return any(isinstance(one, ssl.SSLError) and not isinstance(one, broken) for one in causes(error))


def brief(error: BaseException) -> str:
    """Return the first line of what an error says, at most 200 characters; its class where it says nothing."""
    text = str(error).strip().partition("\n")[0]
    return text if 0 < len(text) <= 200 else f"{text[:199]}…" if text else type(error).__name__


def _doubtful(error: BaseException, what: str) -> bool:
    """Return whether nothing may be there at all: no such name, or refused where no pod restarts it."""
    if what in _reached:
        return False
    texts = [(one, str(one)) for one in causes(error)]
    unknown = any(
        (isinstance(one, socket.gaierror) and one.errno in (socket.EAI_NONAME, socket.EAI_NODATA))
        or any(word in text for word in UNKNOWN)
        for one, text in texts
    )
    refused = any(
        (isinstance(one, OSError) and one.errno == errno.ECONNREFUSED) or "Connection refused" in text
        for one, text in texts
    )
    return unknown or (refused and not in_pod())


def _say(what: str, do: str, error: BaseException, waited: float, longest: float) -> None:
    now = time.monotonic()
    if waited >= SAY_AFTER and now - _said.get(what, now - SAY_EVERY) >= SAY_EVERY:
        _said[what] = now
        left = f"If it stays away: {do[:1].lower()}{do[1:].rstrip('. ')}"
        print(f"Waiting for {what} ({waited:.0f} of {longest:.0f} s): {brief(error)}. {left}.", flush=True)
