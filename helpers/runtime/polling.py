"""The only loop that sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from helpers.errors import TimedOut

T = TypeVar("T")


def wait_for(
    probe: Callable[[], T | None],
    *,
    what: str,
    do: str,
    timeout: float,
    interval: float = 0.5,
    progress: Callable[[float], None] | None = None,
) -> T:
    """Call `probe` until it returns something truthy, and return that.

    `timeout` and `interval` are seconds; `progress` is called with the seconds waited so far. An error
    raised by `probe` ends the wait at once, so a probe raises what is terminal and returns None for "not yet".
    Raises TimedOut with `what` and `do` when the time is over.
    """
    start = time.monotonic()
    while not (value := probe()):
        waited = time.monotonic() - start
        if waited >= timeout:
            raise TimedOut(f"{what} did not happen within {timeout:g} s", do=do)
        if progress:
            progress(waited)
        time.sleep(min(interval, max(timeout - waited, 0.01)))
    return value
