"""What the catalog says of a model's tool calling: only what this record measured."""

from __future__ import annotations

from typing import Any

from helpers.artifacts import Record
from helpers.serving import arguments

SHOWN = 0.5  # of the calls: the interval has to lie above it


def tool_calling(record: Record) -> dict[str, Any]:
    """Return the model's fields, none where most calls being right was not measured on all rows, as it can be served.

    A chat template that came from elsewhere than the model is no way to serve it for others.
    """
    given = arguments.given(record.endpoint.engine_args)
    measured = [each for each in record.evaluations if each.evaluator == "tool_calling" and not each.partial]
    shown = measured and all(each.interval.low > SHOWN for each in measured)
    parser = given.get("tool-call-parser")
    if not (shown and parser and record.endpoint.digest_verified) or arguments.TEMPLATE in given:
        return {}
    config = {"toolCallParser": parser, "enableAutoToolChoice": True}
    return {"validatedTasks": ["tool-calling"], "servingConfig": {"toolCalling": config}}
