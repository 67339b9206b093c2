"""Many requests at once: the first error ends them, progress is shown, and failures are told in few words."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterable
from typing import Any

from aiohttp import ClientResponseError

PROGRESS_SECONDS = 2.0


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


class Progress:
    """Prints how many answers there are, every few seconds."""

    def __init__(self, done: int, total: int) -> None:
        self.done, self.total, self.start = done, total, done
        self.began = self.printed = time.monotonic()
        self.line()

    def line(self) -> None:
        """Print how far it is."""
        print(f"{self.done} of {self.total} answers after {time.monotonic() - self.began:.0f} s", flush=True)

    def add(self, count: int) -> None:
        """Note more answers, and print them if the last line is old enough."""
        self.done += count
        if time.monotonic() - self.printed >= PROGRESS_SECONDS or self.done == self.total:
            self.printed = time.monotonic()
            self.line()


def final(error: BaseException) -> bool:
    """Whether asking again gives the same: the server understood and refused."""
    return isinstance(error, ClientResponseError) and 400 <= error.status < 500 and error.status not in (408, 429)


def reason(error: BaseException) -> str:
    """Return the failure in few words."""
    if isinstance(error, ClientResponseError):
        return f"HTTP {error.status} {error.message}"
    return str(error) if isinstance(error, Unusable) else f"{type(error).__name__}: {error}".rstrip(": ")
