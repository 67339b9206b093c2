"""Many requests at once: the first error ends them, progress is shown, and failures are told in few words."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

from aiohttp import (
    ClientConnectionError,
    ClientError,
    ClientPayloadError,
    ClientResponse,
    ClientResponseError,
    ClientSession,
    ClientTimeout,
)  # fmt: skip

from helpers.errors import EndpointUnreachable
from helpers.runtime import partial

PROGRESS_SECONDS = 2.0
ATTEMPTS = 3  # at a request that the server fails at, or that takes too long
BUSY = (408, 425, 429, 502, 503, 504)  # the server, or what stands before it, says that it cannot now


class Unusable(ValueError):
    """The server answered, and left out what was asked for."""


async def all_at_once(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run everything at once; the first error ends the others and is raised itself, not in a group."""
    try:
        async with asyncio.TaskGroup() as group:
            for item in work:
                group.create_task(item)
    except ExceptionGroup as errors:
        first = errors.exceptions[0]
        while isinstance(first, ExceptionGroup):
            first = first.exceptions[0]
        raise first from None


def finish(work: Coroutine[Any, Any, None]) -> None:
    """Run it to its end, in a thread where this one has a running loop, as a notebook's has; an interrupt ends it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    loop = asyncio.new_event_loop()

    def inside() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(work)

    with ThreadPoolExecutor(1) as threads:
        job = threads.submit(copy_context().run, inside)
        try:
            return job.result()
        except BaseException:
            with contextlib.suppress(RuntimeError):  # it ended by itself
                loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(loop)])
            raise


class Progress:
    """Prints how many answers there are, every few seconds."""

    def __init__(self, done: int, total: int, show: Callable[[str], object] | None = None) -> None:
        self.done, self.total, self.start = done, total, done
        self.show = show or _print
        self.began = self.printed = time.monotonic()
        self.line()

    def line(self) -> None:
        """Print how far it is, and how long the rest takes at this pace."""
        took, new = time.monotonic() - self.began, self.done - self.start
        left = (
            f", about {took / new * (self.total - self.done):.0f} s left" if new > 0 and self.done < self.total else ""
        )
        self.show(f"{self.done} of {self.total} answers after {took:.0f} s{left}")

    def add(self, count: int) -> None:
        """Note more answers, and print them if the last line is old enough."""
        self.done += count
        if time.monotonic() - self.printed >= PROGRESS_SECONDS or self.done == self.total:
            self.printed = time.monotonic()
            self.line()


def _print(text: str) -> None:
    print(text, flush=True)


class Passing:
    """Says whether one request is worth another attempt: while the server is away, or thrice where it fails."""

    def __init__(self) -> None:
        self.failures = 0

    def __call__(self, error: BaseException) -> bool:
        """Return whether to ask again."""
        if away(error):
            return True
        own = isinstance(error, TimeoutError) or (isinstance(error, ClientResponseError) and error.status >= 500)
        self.failures += own
        return own and self.failures < ATTEMPTS


def away(error: BaseException) -> bool:
    """Whether not this request but the server is at fault."""
    if isinstance(error, ClientResponseError):
        return error.status in BUSY
    gone = isinstance(error, ClientConnectionError | ClientPayloadError)
    return gone and not isinstance(error, TimeoutError)


async def still_there(
    http: ClientSession,
    error: BaseException,
    asked: str,
    models: str,
    model: str,
    reached: Callable[[ClientResponse], object] = lambda response: None,
) -> None:
    """Raise EndpointUnreachable where not this request to `asked` but the server is at fault, as `models` shows.

    `reached` raises where who forwards the requests did not reach the server.
    """
    if isinstance(error, ClientResponseError) and error.status in (401, 403, 404):
        raise EndpointUnreachable(
            f"The endpoint {asked} answers {error.status} ({error.message}) for model {model}",
            do=f"Check ENDPOINT_API_KEY and the served model name, then {partial.again()}",
        )
    gone: BaseException | None = error if away(error) else None
    try:
        if gone is None:
            async with http.get(models, timeout=ClientTimeout(total=5)) as response:
                reached(response)
                gone = None if response.status < 500 else Unusable(f"HTTP {response.status} for /v1/models")
    except (ClientError, TimeoutError) as silent:
        gone = silent
    if gone is not None:
        crowded = isinstance(gone, ClientResponseError) and gone.status == 429
        do = "Lower NUM_CONCURRENT or wait for the quota" if crowded else "See in the server's log why"
        raise EndpointUnreachable(
            f"The endpoint {asked} stopped answering: {reason(gone)}",
            do=f"{do}, then {partial.again()}: it goes on from what was answered",
        ) from gone


def reason(error: BaseException) -> str:
    """Return the failure in few words."""
    if isinstance(error, ClientResponseError):
        return f"HTTP {error.status} {error.message}"
    return str(error) if isinstance(error, Unusable) else f"{type(error).__name__}: {error}".rstrip(": ")
