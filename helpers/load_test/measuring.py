"""The whole stage: check, warm up, measure, read, choose, measure the choice again."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from helpers.artifacts import FOLDER, Endpoint, LoadPoint, LoadTest, Parameter, PrefixCache, now
from helpers.errors import EndpointUnreachable, SweepFailed
from helpers.load_test import command, keeping, planning, saturation, workload
from helpers.load_test.choosing import operating_point
from helpers.load_test.prefix_cache import between, read_prefix_cache
from helpers.load_test.repeating import repeated
from helpers.load_test.report import read_report
from helpers.load_test.running import Load
from helpers.load_test.settings import Settings
from helpers.load_test.workload import Workload
from helpers.runtime import partial
from helpers.serving.client import access, healthy

HIT_RATE_WORTH_SAYING = 0.05
KEPT = "guidellm"
NEEDED = 60  # answers for a 95th percentile


def _say(text: str) -> None:
    print(text, flush=True)


def sweep(
    settings: Settings,
    endpoint: Endpoint,
    folder: Path = FOLDER,
    say: Callable[[str], None] = _say,
    guard: partial.Guard | None = None,
) -> LoadTest:
    """Measure the endpoint and return the load points with the operating point; raw reports stay in `folder`.

    Each load that was measured whole is kept in `folder`/partial until all is done: a second call goes on from there.
    Raises InvalidParameter or InvalidDataset where the requests do not fit into the model's context,
    EndpointUnreachable before anything is measured, SweepFailed when GuideLLM ends badly, every request fails or no
    answer is as long as was asked, and ServerChanged where the server is or becomes another one.
    """
    with access(endpoint.auth):
        return _swept(settings, endpoint, folder, say, guard or partial.Unguarded())


def _swept(
    settings: Settings, endpoint: Endpoint, folder: Path, say: Callable[[str], None], guard: partial.Guard
) -> LoadTest:
    _require_endpoint(endpoint)
    requests = workload.load(settings, endpoint)
    guard.check()
    kept = folder.resolve() / partial.FOLDER / KEPT / _identity(settings, endpoint, requests, folder)
    attempt = keeping.begin(kept, settings.seed or 1 + secrets.randbelow(2**30))
    requests = planning.accepted(endpoint, requests)
    plan = planning.plan(settings, planning.one_request(endpoint, requests))
    say(str(plan))
    settings = settings.model_copy(update={"seed": attempt.seed, "max_seconds": plan.max_seconds})
    started, before = now(), read_prefix_cache(endpoint.url)
    load = Load(_sent(settings, attempt), endpoint, requests, folder.resolve(), say, guard, kept)
    report = load.measure()
    points, warnings = read_report(report, settings.slo, settings.error_limit, requests.outputs, settings.min_requests)
    _require_whole_answers(points, endpoint, kept)
    points = saturation.marked(points)
    found = repeated(load, points, operating_point(points, settings.slo, settings.error_limit))
    cache = between(before, read_prefix_cache(endpoint.url))
    shutil.rmtree(kept.parent)
    with contextlib.suppress(OSError):  # somebody else's partial work lies there too
        kept.parent.parent.rmdir()
    return LoadTest(
        name=settings.name,
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
        warnings=(
            *_few(settings),
            *_plain(requests),
            *warnings,
            *found.warnings,
            *_cache_warning(cache),
            *_attempt_warning(attempt),
        ),
        report=command.files(settings.name).report,
        repeats_report=command.files(settings.name, repeats=True).report,
        one_request_seconds=plan.alone,
        started=started,
        ended=now(),
        versions={"guidellm": version("guidellm"), endpoint.engine: endpoint.engine_version},
        settings=_recorded(settings) | ({"ignore_eos": False} if requests.plain else {}),
    )


def _identity(settings: Settings, endpoint: Endpoint, requests: Workload, folder: Path) -> str:
    return partial.fingerprint(
        endpoint,
        folder,
        guidellm=version("guidellm"),
        settings=settings.model_dump(mode="json", exclude={"prompts", "workers"}),
        prompts=requests.digest,
    )


def _sent(settings: Settings, attempt: keeping.Attempt) -> Settings:
    """Return the settings with the seed of this attempt's prompts."""
    return settings.model_copy(update={"seed": settings.seed + attempt.offset})


def _require_whole_answers(points: Sequence[LoadPoint], endpoint: Endpoint, kept: Path) -> None:
    """Raise SweepFailed where no load had answers as long as was asked: then another workload was measured."""
    answered = [point for point in points if point.successful]
    if any(not point.short_of for point in answered):
        return
    shutil.rmtree(kept)
    raise SweepFailed(
        f"{endpoint.url} ({endpoint.model}) ends its answers early: {answered[0].mean_output_tokens:.3g} of "
        f"{answered[0].short_of:.3g} tokens on average, though ignore_eos was asked for",
        do="Serve the model with a server that keeps to ignore_eos and max_completion_tokens, as vLLM does, "
        f"then {partial.again()}",
    )


def _require_endpoint(endpoint: Endpoint) -> None:
    if not healthy(endpoint.url):
        raise EndpointUnreachable(
            f"{endpoint.url}, which should serve {endpoint.model}, does not answer",
            do=f"Run deploy_model again, then {partial.again()}",
        )


def _plain(requests: Workload) -> list[str]:
    told = "The endpoint takes no ignore_eos: answers end where the model ends them, and may be shorter than asked for"
    return [told] if requests.plain else []


def _few(settings: Settings) -> list[str]:
    told = f"MIN_REQUESTS is {settings.min_requests}: a 95th percentile of fewer than {NEEDED} answers says little"
    return [told] if settings.min_requests < NEEDED else []


def _cache_warning(cache: PrefixCache | None) -> list[str]:
    if cache is None or cache.hit_rate <= HIT_RATE_WORTH_SAYING:
        return []
    told = f"{cache.hit_rate:.0%} of the prompts' tokens came from the prefix cache: TTFT is better than users will see"
    return [f"{told}. Set SEED to 0, and leave nothing else running against the server"]


def _attempt_warning(attempt: keeping.Attempt) -> list[str]:
    if not attempt.number:
        return []
    told = f"this sweep was interrupted and gone on with (attempt {attempt.number + 1})"
    return [f"{told}: the prefix cache was watched in the last attempt only"]


def _recorded(settings: Settings) -> dict[str, Parameter]:
    values = settings.model_dump(mode="json", exclude_none=True, exclude={"name"})
    return {k: ",".join(map(str, v)) if isinstance(v, list) else v for k, v in values.items()}
