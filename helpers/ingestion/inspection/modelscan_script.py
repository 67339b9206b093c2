"""Run as a script, not imported: asks modelscan about files and writes its answer as JSON.

modelscan holds every opcode of a pickle at once, takes time that grows with their square, and prints as it likes. So
this process has bounds on memory and time, and imports nothing of ours. It reads from memory, because a file makes room
for whatever it is asked for, and a text may begin like a pickle of a text of gigabytes ("The ").
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelscan.model import Model

MEMORY = 256 << 20
BY_SUFFIX = "modelscan.middlewares.FormatViaExtensionMiddleware"
NO_REASON = "Parsing error: "  # what modelscan says of an error without a text, such as lack of memory
Answer = tuple[str, str, str]


def main() -> None:
    """Answer the question on standard input; what modelscan prints goes to standard error."""
    import logging
    import resource

    answer = os.dup(1)
    os.dup2(2, 1)
    question = json.load(sys.stdin)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (question["seconds"], question["seconds"]))
    logging.disable(logging.CRITICAL)
    found = [answer for name in question["names"] for answer in scan(Path(question["folder"]), name)]
    with os.fdopen(answer, "w") as file:
        json.dump(found, file)


def scan(folder: Path, name: str) -> Iterator[Answer]:
    """Yield name, severity and problem for every issue, and for every error but that a file is no pickle."""
    from modelscan.error import PickleGenopsError
    from modelscan.model import Model
    from modelscan.modelscan import ModelScan

    Model.open = _held
    scanner = ModelScan(settings=_settings(Path(name).suffix))
    scanner.scan(folder / name)
    for issue in scanner.issues.all_issues:
        details: Any = issue.details
        inner = str(details.source).removeprefix(str(folder / name)).lstrip(":")
        where = f" in {inner[:80]!a}" if inner else ""
        yield name, issue.severity.name.lower(), f"would use {details.module}.{details.operator}{where}"[:200]
    for error in scanner.errors:
        if not isinstance(error, PickleGenopsError) or error.message == NO_REASON:
            yield name, "medium", f"cannot be read to its end ({type(error).__name__})"


def _held(model: Model) -> Model:
    """Open a model as bytes in memory."""
    if not model._stream:
        model._stream = io.BytesIO(model.get_source().read_bytes())
    return model


def _settings(suffix: str) -> dict[str, Any]:
    """Return settings under which a file is a pickle whatever its suffix says, unless modelscan knows the suffix."""
    from modelscan.settings import DEFAULT_SETTINGS, SupportedModelFormats

    defaults: dict[str, Any] = DEFAULT_SETTINGS
    formats = dict(defaults["middlewares"][BY_SUFFIX]["formats"])
    if not any(suffix in known for known in formats.values()):
        formats[SupportedModelFormats.PICKLE] = [*formats[SupportedModelFormats.PICKLE], suffix]
    return {**defaults, "middlewares": {BY_SUFFIX: {"formats": formats}}}


if __name__ == "__main__":
    main()
