"""Run a suite as it is, but for its provider: that is the endpoint, reached through a process that adds the key.

The grader, another model, is reached in the same way.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from helpers.artifacts import Endpoint, write_atomic
from helpers.errors import EvaluationFailed
from helpers.evaluation.confirming import Confirming
from helpers.evaluation.files import Files
from helpers.evaluation.following import SHOWN_LINES, follow
from helpers.evaluation.forwarding import Way, forwarded
from helpers.evaluation.place import Place
from helpers.evaluation.promptfoo.grading import Labelled, suite
from helpers.evaluation.promptfoo.rows import TOOL, Row
from helpers.evaluation.promptfoo.settings import Settings
from helpers.evaluation.promptfoo.tool import tool
from helpers.runtime import partial, sandbox
from helpers.runtime.environment import GRADER_KEY, endpoint_key
from helpers.serving.client import access

MODEL, GRADER = "ASSAY_MODEL_PASSWORD", "ASSAY_GRADER_PASSWORD"  # what lets the child ask, for as long as it runs
CARRIED = ("response_format", "stop", "temperature", "tool_choice", "tools", "top_p")  # of the suite's own provider
GRADER_TOKENS = 1024
OFF = (
    "DISABLE_TELEMETRY", "DISABLE_UPDATE", "DISABLE_REMOTE_GENERATION", "DISABLE_REDTEAM_REMOTE_GENERATION",
    "DISABLE_SHARING", "DISABLE_ERROR_LOG", "DISABLE_DEBUG_LOG",
)  # fmt: skip
BACKOFF = 200  # ms before a request is sent again
QUIET = ("--no-cache", "--no-write", "--no-share", "--no-table", "--no-progress-bar")


def run(
    settings: Settings,
    endpoint: Endpoint,
    folder: Path,
    names: Files,
    *,
    show: Callable[[str], object],
    guard: partial.Guard,
) -> list[Row]:
    """Run promptfoo behind a wall, move its report into `folder`, and return the result of each test.

    Raises EvaluationFailed where it ends badly or leaves no report, ServerChanged and NotFound.
    """
    assert settings.config is not None
    config = settings.config.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        stack.enter_context(access(endpoint.auth))
        temporary = stack.enter_context(tempfile.TemporaryDirectory(prefix="assay-suite-"))
        model = stack.enter_context(forwarded(endpoint.url, endpoint_key()))
        grader = stack.enter_context(_graded(settings)) if settings.grader_model else None
        place = Place.made(Path(temporary).resolve())
        (folder / partial.FOLDER).mkdir(exist_ok=True)
        confirming = Confirming(guard, place.fresh, folder, names)
        confirming.look()
        ways = {MODEL: model} | ({GRADER: grader} if grader else {})
        command = _command(config, place.left / names.results, settings)
        command += ["-r", _provider(place, "model", endpoint.model, model, MODEL, _options(settings))]
        command += _grader(settings, place, grader) if grader else []
        command += ["--filter-first-n", str(settings.limit)] if settings.limit else []
        _follow(command, config.parent, settings, place, ways, folder / names.log, show, confirming.now_and_then)
        confirming.look()
        return _taken(place.left / names.results, folder / names.results, folder / names.log)


def judged(
    settings: Settings, sample: Sequence[Labelled], folder: Path, names: Files, show: Callable[[str], object]
) -> list[Row]:
    """Let the grader judge labelled answers, as it judges those of a suite, and return promptfoo's results.

    Raises EvaluationFailed as `run`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="assay-labels-") as temporary, _graded(settings) as grader:
        place = Place.made(Path(temporary).resolve())
        config, left = place.scratch / "labelled.json", place.left / "judged.json"
        config.write_text(json.dumps(suite(sample)), "utf-8")
        command = [*_command(config, left, settings), *_grader(settings, place, grader)]
        _follow(command, config.parent, settings, place, {GRADER: grader}, folder / names.log, show)
        return _taken(left, None, folder / names.log)


def _command(config: Path, left: Path, settings: Settings) -> list[str]:
    return [*tool().command, "eval", "-c", str(config), "-o", str(left), *QUIET, "-j", str(settings.num_concurrent)]


def _graded(settings: Settings) -> AbstractContextManager[Way]:
    return forwarded(settings.grader_url, os.environ.get(GRADER_KEY, "").strip())


def _grader(settings: Settings, place: Place, way: Way) -> list[str]:
    options = {"max_tokens": GRADER_TOKENS, "temperature": 0}
    return ["--grader", _provider(place, "grader", settings.grader_model, way, GRADER, options)]


def _follow(
    command: list[str],
    reads: Path,
    settings: Settings,
    place: Place,
    ways: Mapping[str, Way],
    log: Path,
    show: Callable[[str], object],
    now_and_then: Callable[[], object] = lambda: None,
) -> None:
    """Run promptfoo behind its wall; what it says is shown where it fails only."""
    place.handed.write_text("{}", "utf-8")
    ports, said = [urlsplit(way.url).port or 0 for way in ways.values()], list[str]()
    try:
        follow(
            place.walled(command, [reads, *tool().reads], show, ports, settings.memory_limit),
            _environment(settings, place, ways), log, said.append, now_and_then,
            limit=settings.time_limit, most=settings.memory_limit, cwd=place.left, tool=TOOL,
        )  # fmt: skip
    except EvaluationFailed:
        show("\n".join(said[-SHOWN_LINES:]))
        raise


def _options(settings: Settings) -> dict[str, Any]:
    """Return how the model is asked: what the suite's own provider says of it, and the stage's settings."""
    import yaml

    assert settings.config is not None
    whole = yaml.safe_load(settings.config.read_text("utf-8"))
    providers = whole.get("providers") or whole.get("targets") or []
    first = providers[0] if isinstance(providers, list) and providers else providers
    given = first.get("config") if isinstance(first, dict) else None
    carried = {name: value for name, value in (given or {}).items() if name in CARRIED}
    own = {"max_tokens": settings.max_tokens, "seed": settings.seed, "showThinking": False}
    return {"temperature": 0} | carried | own


def _provider(place: Place, name: str, model: str, way: Way, password: str, options: Mapping[str, Any]) -> str:
    """Write a provider into the child's scratch folder and return its name for promptfoo."""
    path = place.scratch / f"{name}.json"
    config = {"apiBaseUrl": f"{way.url}/v1", "apiKeyEnvar": password, **options}
    path.write_text(json.dumps({"id": f"openai:chat:{model}", "label": model, "config": config}), "utf-8")
    return f"file://{path}"


def _environment(settings: Settings, place: Place, ways: Mapping[str, Way]) -> dict[str, str]:
    """Return the child's variables: nothing that opens anything but the ways to the models."""
    allowed = {name: value for name, value in sandbox.allowed().items() if name.lower() not in sandbox.PROXIES}
    own = dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME", "PROMPTFOO_CONFIG_DIR"), str(place.scratch))
    own |= {f"PROMPTFOO_{name}": "true" for name in OFF}
    own |= {"PROMPTFOO_CACHE_ENABLED": "false", "PROMPTFOO_FAILED_TEST_EXIT_CODE": "0"}
    own |= {"PROMPTFOO_REQUEST_BACKOFF_MS": str(BACKOFF), "PROMPTFOO_PYTHON": sys.executable}
    own |= {"REQUEST_TIMEOUT_MS": f"{settings.request_timeout * 1000:.0f}", "LOG_LEVEL": "warn", "NO_COLOR": "1"}
    return allowed | own | {name: way.token for name, way in ways.items()}


def _taken(left: Path, kept: Path | None, log: Path) -> list[Row]:
    content = sandbox.read_left(left) or b""
    try:
        rows: list[Row] = json.loads(content)["results"]["results"]
        if not (isinstance(rows, list) and rows):
            raise TypeError("it holds no results")
    except (ValueError, KeyError, TypeError) as error:
        raise EvaluationFailed(
            f"{TOOL} ended without an error and left no whole report: {error}",
            do=f"See {log}; a suite without tests, or whose code ends the process, has none",
        ) from error
    if kept:
        write_atomic(kept, content)
    return rows
