"""The whole stage: check, warm up, measure, read, choose, measure the choice again."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from helpers.artifacts import (
    FOLDER,
    Endpoint,
    Parameter,
    PrefixCache,
    Sweep,
    now,
)
from helpers.benchmark import command, saturation, workload
from helpers.benchmark.operating_point import operating_point
from helpers.benchmark.prefix_cache import between, read_prefix_cache
from helpers.benchmark.repeating import repeated
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
    points = saturation.marked(points)
    found = repeated(load, points, operating_point(points, settings.slo, settings.error_limit))
    cache = between(before, read_prefix_cache(endpoint.url))
    return Sweep(
        digest=endpoint.digest,
        profile=settings.profile,
        workload=requests.name,
        prompt_tokens=requests.prompt_tokens,
        output_tokens=requests.output_tokens,
        dataset_digest=requests.digest,
        slo=settings.slo,
        points=points,
        operating_point=found.chosen,
        repeats=found.repeats,
        not_held=found.not_held,
        prefix_cache=cache,
        warnings=(*warnings, *found.warnings, *_cache_warning(cache)),
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


def _cache_warning(cache: PrefixCache | None) -> list[str]:
    if cache is None or cache.hit_rate <= HIT_RATE_WORTH_SAYING:
        return []
    told = f"{cache.hit_rate:.0%} of the prompts' tokens came from the prefix cache: TTFT is better than users will see"
    return [f"{told}. Set SEED to 0, and leave nothing else running against the server"]


def _recorded(settings: Settings) -> dict[str, Parameter]:
    values = settings.model_dump(mode="json", exclude_none=True)
    return {k: ",".join(map(str, v)) if isinstance(v, list) else v for k, v in values.items()}
