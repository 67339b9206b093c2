"""Ctrl-C and SIGTERM end a command alike: one line that says what is kept and how to go on, and exit code 130."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

CODE = 130
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run(main: Callable[[], int], kept: str) -> int:
    """Return what `main` returns, or 130 where it is interrupted.

    What the interrupt says is printed, else `kept`: what stays, and how to go on.
    """
    for stop in SIGNALS:  # also where a shell started this with interrupts ignored
        signal.signal(stop, signal.default_int_handler)
    try:
        code = main()
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # `… | head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt as error:
        print(f"\n{error if error.args else f'interrupted: {kept}'}", file=sys.stderr, flush=True)
        return CODE


@contextmanager
def held_back() -> Iterator[None]:
    """Let nothing interrupt the block, which tidies up in a bounded time: people press Ctrl-C twice."""
    stops = SIGNALS if threading.current_thread() is threading.main_thread() else ()  # no other thread gets any
    before = {stop: signal.signal(stop, signal.SIG_IGN) for stop in stops}
    try:
        yield
    finally:
        for stop, handler in before.items():
            signal.signal(stop, handler)
