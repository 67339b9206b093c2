"""The whole stage: check, warm up, measure, read, choose, measure the choice again."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from helpers.artifacts import (
    FOLDER,
    Endpoint,
    LoadPoint,
    OperatingPoint,
    Parameter,
    PrefixCache,
    Sweep,
    now,
)
from helpers.benchmark import command, workload
from helpers.benchmark.operating_point import operating_point
from helpers.benchmark.prefix_cache import between, read_prefix_cache
from helpers.benchmark.report import read_report
from helpers.benchmark.running import Load
from helpers.benchmark.settings import Settings
from helpers.errors import EndpointUnreachable
from helpers.serving.client import access, healthy

HIT_RATE_WORTH_SAYING = 0.05


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
    load = Load(settings, endpoint, requests, folder.resolve(), say)
    points, warnings = read_report(load.measure(), settings.slo, settings.error_limit)
    chosen = operating_point(points, settings.slo, settings.error_limit)
    repeats, more = _repeat(load, points, chosen)
    cache = between(before, read_prefix_cache(endpoint.url))
    return Sweep(
        profile=settings.profile,
        workload=requests.name,
        prompt_tokens=requests.prompt_tokens,
        output_tokens=requests.output_tokens,
        dataset_digest=requests.digest,
        slo=settings.slo,
        points=points,
        operating_point=chosen,
        repeats=repeats,
        prefix_cache=cache,
        warnings=(*warnings, *more, *_cache_warning(cache)),
        report=command.SWEEP.report,
        repeats_report=command.REPEATS.report,
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


def _repeat(
    load: Load, points: tuple[LoadPoint, ...], chosen: OperatingPoint
) -> tuple[tuple[LoadPoint, ...], tuple[str, ...]]:
    """Measure the operating point again, as often as asked: one measurement does not know its own noise."""
    for old in command.REPEATS:
        (load.folder / old).unlink(missing_ok=True)
    if chosen.index is None or not load.settings.repeats:
        # A pipeline's node hands on files by name: each has to be there.
        (load.folder / command.REPEATS.report).write_text('{"benchmarks": []}')
        return (), ()
    point = points[chosen.index]
    load.say(f"the operating point, {point.strategy}, is measured {load.settings.repeats} times more")
    repeats, warnings = read_report(load.measure(point), load.settings.slo, load.settings.error_limit)
    missed = sum(not repeat.meets_slo for repeat in repeats)
    told = [f"The operating point missed the SLO in {missed} of {len(repeats)} repeats"] if missed else []
    return repeats, (*told, *(f"repeat: {warning}" for warning in warnings))


def _cache_warning(cache: PrefixCache | None) -> list[str]:
    if cache is None or cache.hit_rate <= HIT_RATE_WORTH_SAYING:
        return []
    told = f"{cache.hit_rate:.0%} of the prompts' tokens came from the prefix cache: TTFT is better than users will see"
    return [f"{told}. Set SEED to 0, and leave nothing else running against the server"]


def _recorded(settings: Settings) -> dict[str, Parameter]:
    values = settings.model_dump(mode="json", exclude_none=True)
    return {k: ",".join(map(str, v)) if isinstance(v, list) else v for k, v in values.items()}
