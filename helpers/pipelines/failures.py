"""What Elyra, the Pipelines client and the object store say, in terms of what failed and what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from helpers.errors import (
    AssayError,
    Forbidden,
    NotFound,
    PipelinesUnreachable,
    StoreFailed,
    StoreUnreachable,
    SubmissionFailed,
)
from helpers.pipelines.definition import Pipeline
from helpers.runtime.patience import causes

if TYPE_CHECKING:
    from helpers.pipelines.server import Runtime

AWAY = (502, 503, 504)  # what a proxy before the server answers
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
        raise explain(list(causes(error)), pipeline, runtime) from error


def explain(chain: list[BaseException], pipeline: Pipeline, runtime: Runtime) -> AssayError:
    """Return the error that tells what ended a submission, from the exceptions, the last raised first."""
    from kfp_server_api import ApiException
    from minio.error import S3Error
    from urllib3.exceptions import HTTPError

    for error in chain:
        if isinstance(error, S3Error):
            return _store_refused(str(error.code), runtime)
        if isinstance(error, ApiException) and error.status:
            return refusal(int(error.status), message(error.body), pipeline.resource_name, runtime)
    if any(isinstance(error, HTTPError) for error in chain) and "object storage" in _all(chain):
        return _store_silent(runtime)
    if "cloud storage" in _all(chain):
        return _store_silent(runtime)
    if any(isinstance(error, HTTPError | ConnectionError) for error in chain):
        return PipelinesUnreachable(
            f"The Pipelines server of runtime {runtime.name} ({runtime.api_endpoint}) does not answer: {chain[-1]}",
            do="Try again when it answers",
        )
    return SubmissionFailed(
        f"{pipeline.name} could not be compiled and submitted: {chain[0]}",
        do=f"Correct the pipeline or runtime {runtime.name}",
    )


def _all(chain: list[BaseException]) -> str:
    return " ".join(str(error) for error in chain)


def refusal(status: int, said: str, name: str, runtime: Runtime) -> AssayError:
    """Return the error for an HTTP status of the Pipelines server and what it said of the pipeline `name`."""
    where = f"The Pipelines server of runtime {runtime.name} ({runtime.api_endpoint})"
    if status in (401, 403):
        return Forbidden(f"{where} refused the token: {status} {said}".rstrip(), do=DO_TOKEN)
    if status in AWAY:
        return PipelinesUnreachable(f"{where} is away: {status} {said}".rstrip(), do="Try again in a minute")
    if status == 409:
        return SubmissionFailed(
            f"{where} has that name already, from somebody who submitted {name} at the same moment: {said}",
            do="Submit it again",
        )
    if status == 404 and "experiment" in said.lower():
        return NotFound(
            f"{where} does not know the experiment {name}: {said}",
            do="Create or restore the experiment on the dashboard, then submit again",
        )
    if status == 404:
        return NotFound(f"{where}: {said or 'not found'}", do="Look at the dashboard whether somebody deleted it")
    return SubmissionFailed(f"{where} refused {name}: {status} {said}", do="Act on what it says")


def may_pass(error: Exception) -> bool:
    """Return whether the Pipelines server may answer if it is asked again: it is away, or a proxy before it says so."""
    from kfp_server_api import ApiException
    from urllib3.exceptions import HTTPError, SSLError

    if isinstance(error, ApiException):
        return error.status in (0, None, 429, 500, *AWAY)
    reason = getattr(error, "reason", None)
    return isinstance(error, HTTPError | OSError) and not isinstance(reason or error, SSLError)


def message(body: str | bytes | None) -> str:
    """Return the one sentence of a reply that says what is wrong.

    The endpoints for uploads answer {error_message, error_details}, the second with a stack of Go; all others
    {code, message, details}, whose message is a chain from what was asked to the cause.
    """
    text = body.decode(errors="replace") if isinstance(body, bytes) else body or ""
    try:
        content = json.loads(text)
        said = str(content.get("error_message") or content.get("message") or text)
    except (ValueError, AttributeError):
        return "" if "<html" in text.lower() else text.strip().partition("\n")[0][:200]
    cause = re.split(r"[Ee]rror: ", said)[-1]
    return cause.partition("\n")[0][:300]


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
