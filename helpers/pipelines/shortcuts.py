"""Two detours that a compile does not need; together they are more than half of its time."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace


def without_grammar() -> None:
    """Keep jsonschema from building a parser for international addresses when it is imported (2 s).

    Elyra's schemas ask for plain ones, which jsonschema checks with another package. For a process of our own only.
    """
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]


@contextmanager
def named_callers() -> Iterator[None]:
    """Tell kfp the name of a calling method at once.

    It reads the source behind the whole call stack for that, with every property of every task (2 s for a pipeline).
    """
    from kfp.dsl import pipeline_task

    before = pipeline_task.inspect
    pipeline_task.inspect = SimpleNamespace(stack=_two_frames)
    try:
        yield
    finally:
        pipeline_task.inspect = before


def _two_frames() -> list[tuple[None, None, None, str]]:
    names = (sys._getframe(depth).f_code.co_name for depth in (1, 2))
    return [(None, None, None, name) for name in names]
