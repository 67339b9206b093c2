"""Elyra's own validation and processor, called as JupyterLab's Run button calls them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

from helpers.errors import InvalidInput
from helpers.workspace import ROOT

Say = Callable[[str], None]


def parse(definition: dict[str, Any]) -> Any:
    """Return Elyra's pipeline object. Raises InvalidInput with everything that its validation finds."""
    from elyra.pipeline.parser import PipelineParser
    from elyra.pipeline.validation import PipelineValidationManager

    with told(lambda line: None):  # it complains that there are no components beside notebooks
        response = asyncio.run(PipelineValidationManager.instance(root_dir=str(ROOT)).validate(definition))
    if response.has_fatal:
        issues = [_issue(item) for item in response.to_json()["issues"]]
        raise InvalidInput(f"Elyra refuses the pipeline: {'; '.join(issues)}", do="Correct it on the canvas")
    return PipelineParser(root_dir=str(ROOT)).parse(definition)


def _issue(item: dict[str, Any]) -> str:
    data = item.get("data") or {}
    where = " ".join(str(data[key]) for key in ("nodeName", "propertyName") if data.get(key))
    return f"{where}: {item['message']}" if where else str(item["message"])


def export(pipeline: Any, path: Path) -> None:
    """Upload the nodes' archives to the runtime's store and write the compiled pipeline."""
    from elyra.pipeline.processor import PipelineProcessorManager

    path.parent.mkdir(parents=True, exist_ok=True)
    manager = PipelineProcessorManager.instance(root_dir=str(ROOT))
    asyncio.run(manager.export(pipeline, "yaml", str(path.resolve()), True))


@contextlib.contextmanager
def told(say: Say) -> Iterator[None]:
    """Pass on what Elyra logs of its progress, one line for each step, and nothing else that it logs."""
    from traitlets.log import get_logger

    logger = cast(logging.Logger, get_logger())
    handler = _Steps(say)
    before = (logger.handlers[:], logger.level, logger.propagate)
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.handlers, logger.propagate = before[0], before[2]
        logger.setLevel(before[1])


class _Steps(logging.Handler):
    STEPS = ("uploaded dependency archive",)

    def __init__(self, say: Say) -> None:
        super().__init__(logging.INFO)
        self.say, self.output = say, sys.stdout

    def emit(self, record: logging.LogRecord) -> None:
        action = record.getMessage().partition(" - ")[2].strip()
        if action.startswith(self.STEPS):
            with contextlib.redirect_stdout(self.output):
                self.say(f"  {action}")
