"""Run a suite as it is, but for its provider: that is the endpoint, reached through a process that adds the key."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
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
    found, config = tool(), settings.config.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        stack.enter_context(access(endpoint.auth))
        temporary = stack.enter_context(tempfile.TemporaryDirectory(prefix="assay-suite-"))
        model = stack.enter_context(forwarded(endpoint.url, endpoint_key()))
        key = os.environ.get(GRADER_KEY, "").strip()
        grader = stack.enter_context(forwarded(settings.grader_url, key)) if settings.grader_model else None
        place = Place.made(Path(temporary).resolve())
        (folder / partial.FOLDER).mkdir(exist_ok=True)
        confirming = Confirming(guard, place.fresh, folder, names)
        confirming.look()
        ways = {MODEL: model} | ({GRADER: grader} if grader else {})
        command = [*found.command, "eval", "-c", str(config), "-o", str(place.left / names.results), *QUIET]
        command += ["-j", str(settings.num_concurrent)]
        command += ["-r", _provider(place, "model", endpoint.model, model, MODEL, _options(settings))]
        if grader:
            options = {"max_tokens": GRADER_TOKENS, "temperature": 0}
            command += ["--grader", _provider(place, "grader", settings.grader_model, grader, GRADER, options)]
        command += ["--filter-first-n", str(settings.limit)] if settings.limit else []
        ports = [urlsplit(way.url).port or 0 for way in ways.values()]
        place.handed.write_text("{}", "utf-8")
        said: list[str] = []
        try:
            follow(
                place.walled(command, [config.parent, *found.reads], show, ports, settings.memory_limit),
                _environment(settings, place, ways), folder / names.log, said.append, confirming.now_and_then,
                limit=settings.time_limit, most=settings.memory_limit, cwd=place.left, tool=TOOL,
            )  # fmt: skip
        except EvaluationFailed:
            show("\n".join(said[-SHOWN_LINES:]))
            raise
        confirming.look()
        return _taken(place.left / names.results, folder / names.results, folder / names.log)


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


def _taken(left: Path, kept: Path, log: Path) -> list[Row]:
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
    write_atomic(kept, content)
    return rows
