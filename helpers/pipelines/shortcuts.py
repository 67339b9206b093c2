"""Three detours that a compile does not need; together they are two thirds of its time."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace


def without_grammar() -> None:
    """Keep jsonschema from building a parser for international addresses when it is imported (2 s).

    Elyra's schemas ask for plain ones, which jsonschema checks with another package. For a process of our own only.
    """
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]


@contextmanager
def direct() -> Iterator[None]:
    """Take the shorter way to the same file in two places.

    To name a calling method, kfp reads the source behind the whole call stack, with every property of every task (2 s
    for a pipeline). Elyra has the Python that it generates tidied up by autopep8, and then by black (0.5 s).
    """
    from elyra.pipeline.kfp import processor_kfp
    from kfp.dsl import pipeline_task

    stack = SimpleNamespace(stack=_two_frames)
    with _replaced(pipeline_task, "inspect", stack), _replaced(processor_kfp, "fix_code", str):
        yield


@contextmanager
def _replaced(module: ModuleType, name: str, value: object) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def _two_frames() -> list[tuple[None, None, None, str]]:
    names = (sys._getframe(depth).f_code.co_name for depth in (1, 2))
    return [(None, None, None, name) for name in names]
