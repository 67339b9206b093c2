"""What Elyra, the Pipelines client and the object store say, in terms of what failed and what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from helpers.errors import AssayError, Forbidden, NotFound, StoreFailed, StoreUnreachable, SubmissionFailed
from helpers.pipelines.definition import Pipeline
from helpers.pipelines.runtimes import Runtime

DO_TOKEN = (
    "Renew the token, and let somebody with admin rights bind the account to the Role ds-pipeline-user-access-dspa of "
    "the project"
)


@contextmanager
def explained(pipeline: Pipeline, runtime: Runtime) -> Iterator[None]:
    """Raise our error for whatever ends the block."""
    try:
        yield
    except AssayError:
        raise
    except Exception as error:  # Elyra raises everything as RuntimeError; its cause says what it was
        raise explain(list(_chain(error)), pipeline, runtime) from error


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: list[BaseException] = []  # Elyra raises some errors from themselves
    while error and error not in seen:
        seen.append(error)
        yield error
        error = error.__context__ if error.__cause__ in (None, error) else error.__cause__


def explain(chain: list[BaseException], pipeline: Pipeline, runtime: Runtime) -> AssayError:
    """Return the error that tells what ended a submission, from the exceptions, the last raised first."""
    from kfp_server_api import ApiException
    from minio.error import S3Error
    from urllib3.exceptions import HTTPError

    for error in chain:
        if isinstance(error, S3Error):
            return _store_refused(str(error.code), runtime)
        if isinstance(error, ApiException) and error.status:
            return refusal(int(error.status), message(error.body), pipeline, runtime)
    if any(isinstance(error, HTTPError) for error in chain) and "object storage" in _all(chain):
        return _store_silent(runtime)
    if "cloud storage" in _all(chain):
        return _store_silent(runtime)
    return SubmissionFailed(
        f"Elyra could not submit {pipeline.name}: {chain[0]}", do=f"Correct the pipeline or runtime {runtime.name}"
    )


def _all(chain: list[BaseException]) -> str:
    return " ".join(str(error) for error in chain)


def refusal(status: int, said: str, pipeline: Pipeline, runtime: Runtime) -> AssayError:
    """Return the error for an HTTP status of the Pipelines server and what it said."""
    where = f"The Pipelines server of runtime {runtime.name} ({runtime.api_endpoint})"
    if status in (401, 403):
        return Forbidden(f"{where} refused the token: {status} {said}".rstrip(), do=DO_TOKEN)
    if status == 409:
        return SubmissionFailed(
            f"{where} has that name already, from somebody who submitted {pipeline.name} at the same moment: {said}",
            do="Submit it again",
        )
    if status == 404 and "experiment" in said.lower():
        return NotFound(
            f"{where} does not know the experiment {pipeline.resource_name}: {said}",
            do="Create or restore the experiment on the dashboard, then submit again",
        )
    return SubmissionFailed(f"{where} refused {pipeline.name}: {status} {said}", do="Act on what it says")


def message(body: str | bytes | None) -> str:
    """Return what the server says in its reply's JSON, or the beginning of the reply."""
    text = body.decode(errors="replace") if isinstance(body, bytes) else body or ""
    try:
        content = json.loads(text)
        return str(content.get("error") or content.get("message") or text)[:500]
    except (ValueError, AttributeError):
        return "" if "<html" in text.lower() else text[:200]


def _store_refused(code: str, runtime: Runtime) -> AssayError:
    return StoreFailed(
        f"The object store of runtime {runtime.name} ({runtime.store}) refused the nodes' archives: {code}",
        do="Correct cos_username, cos_password and cos_bucket in the runtime configuration",
    )


def _store_silent(runtime: Runtime) -> AssayError:
    return StoreUnreachable(
        f"The object store of runtime {runtime.name} ({runtime.store}) does not answer",
        do="Correct cos_endpoint in the runtime configuration, or start the store",
    )
