"""The whole stage: check, warm up, measure, read, choose."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from helpers.artifacts import FOLDER, Endpoint, Parameter, PrefixCache, Sweep, now
from helpers.benchmark import command, process, workload
from helpers.benchmark.operating_point import operating_point
from helpers.benchmark.prefix_cache import between, read_prefix_cache
from helpers.benchmark.report import first_error, load, read_report
from helpers.benchmark.settings import Settings
from helpers.errors import EndpointUnreachable, SweepFailed
from helpers.serving.client import access, healthy

HIT_RATE_WORTH_SAYING = 0.05
LOG_LINES = 5
SECONDS_AROUND_A_STRATEGY = 240  # far more than GuideLLM needs, its warm-up too: beyond that it hangs


def _say(text: str) -> None:
    print(text, flush=True)


def sweep(settings: Settings, endpoint: Endpoint, folder: Path = FOLDER, say: Callable[[str], None] = _say) -> Sweep:
    """Measure the endpoint and return the load points with the operating point; raw reports stay in `folder`.

    Raises InvalidParameter or InvalidDataset where the requests do not fit into the model's context,
    EndpointUnreachable before anything is measured, SweepFailed when GuideLLM ends badly or every request fails;
    the message says what was kept.
    """
    with access(endpoint.auth):
        return _swept(settings, endpoint, folder, say)


def _swept(settings: Settings, endpoint: Endpoint, folder: Path, say: Callable[[str], None]) -> Sweep:
    requests = workload.load(settings, endpoint)
    _require_endpoint(endpoint)
    settings = settings if settings.seed else settings.model_copy(update={"seed": 1 + secrets.randbelow(2**30)})
    started, before = now(), read_prefix_cache(endpoint.url)
    path = _measure(settings, endpoint, requests, folder, say)
    points, warnings = read_report(path, settings.slo, settings.error_limit)
    cache = between(before, read_prefix_cache(endpoint.url))
    return Sweep(
        profile=settings.profile,
        workload=requests.name,
        prompt_tokens=requests.prompt_tokens,
        output_tokens=requests.output_tokens,
        dataset_digest=requests.digest,
        slo=settings.slo,
        points=points,
        operating_point=operating_point(points, settings.slo, settings.error_limit),
        prefix_cache=cache,
        warnings=(*warnings, *_cache_warning(cache)),
        report=path.name,
        started=started,
        ended=now(),
        versions={"guidellm": version("guidellm"), endpoint.engine: endpoint.engine_version},
        settings=_recorded(settings),
    )


def _require_endpoint(endpoint: Endpoint) -> None:
    if not healthy(endpoint.url):
        raise EndpointUnreachable(
            f"{endpoint.url}, which should serve {endpoint.model}, does not answer",
            do="Run deploy_model again, then this stage",
        )


def _measure(
    settings: Settings, endpoint: Endpoint, requests: workload.Workload, folder: Path, say: Callable[[str], None]
) -> Path:
    """Run GuideLLM and return its report. Raises SweepFailed."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    report, partial, log = folder / command.REPORT, folder / command.PARTIAL, folder / command.LOG
    code = _run(settings, endpoint, requests, folder, say)
    if code is None and healthy(endpoint.url):
        log.replace(folder / command.HUNG)
        say(f"GuideLLM hung on a server that answers, the sweep is measured once more; {command.HUNG} shows where")
        code = _run(settings, endpoint, requests, folder, say)
    if code != 0 or not report.is_file():
        raise _failure(code, endpoint, partial, log)
    if not any(b["metrics"]["request_totals"]["successful"] for b in load(report)["benchmarks"]):
        raise _nothing_answered(endpoint, report)
    if not healthy(endpoint.url):
        raise _failure(code, endpoint, report, log)
    partial.unlink(missing_ok=True)
    return report


def _run(
    settings: Settings, endpoint: Endpoint, requests: workload.Workload, folder: Path, say: Callable[[str], None]
) -> int | None:
    """Run GuideLLM on an emptied folder; return its exit code, or None where it hung."""
    for old in (command.REPORT, command.PARTIAL, command.PAGE):
        (folder / old).unlink(missing_ok=True)
    line = command.build_command(settings, endpoint, requests, folder)
    environment = command.build_environment(settings, folder, os.environ)
    limit = settings.max_seconds + SECONDS_AROUND_A_STRATEGY
    return process.run(line, environment, folder / command.LOG, settings.strategies, say, limit)


def _failure(code: int | None, endpoint: Endpoint, kept: Path, log: Path) -> SweepFailed:
    finished = load(kept)["benchmarks"] if kept.is_file() else []
    good = [b for b in finished if b["metrics"]["request_totals"]["successful"]]
    if finished and not good:
        return _nothing_answered(endpoint, kept)
    if healthy(endpoint.url):
        ended = "hung twice" if code is None else f"ended with code {code}"
        what = f"GuideLLM {ended} on {endpoint.url}: {_last_words(log)}"
    else:
        what = f"{endpoint.url} stopped answering during the sweep of {endpoint.model}"
    what += f"; the first {len(good)} strategies were measured and are kept in {kept}" if good else ""
    return SweepFailed(what, do=f"Read {log} and the server's own log, run deploy_model, then this stage again")


def _nothing_answered(endpoint: Endpoint, report: Path) -> SweepFailed:
    error = first_error(load(report)) or "they were cut off before they ended"
    return SweepFailed(
        f"Every request to {endpoint.url} ({endpoint.model}) failed; the first said: {error}",
        do="Correct what the server complains about, or give slow requests more time with MAX_SECONDS, and run again",
    )


def _last_words(log: Path) -> str:
    lines = [text.strip() for text in log.read_text("utf-8", "replace").splitlines() if text.strip()]
    return " / ".join(lines[-LOG_LINES:]) if lines else "it said nothing"


def _cache_warning(cache: PrefixCache | None) -> list[str]:
    if cache is None or cache.hit_rate <= HIT_RATE_WORTH_SAYING:
        return []
    told = f"{cache.hit_rate:.0%} of the prompts' tokens came from the prefix cache: TTFT is better than users will see"
    return [f"{told}. Set SEED to 0, and leave nothing else running against the server"]


def _recorded(settings: Settings) -> dict[str, Parameter]:
    values = settings.model_dump(mode="json", exclude_none=True)
    return {k: ",".join(map(str, v)) if isinstance(v, list) else v for k, v in values.items()}
