"""Results that are on a cluster: an LMEvalJob by its name, an EvalHub job by its address; scores, without answers."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from helpers.errors import InvalidResults, NotFound, SourceUnreachable

JOB = "lmevaljob/"
ADDRESSES = ("http://", "https://")
TOKEN = "EVALHUB_TOKEN"  # the bearer token of an EvalHub, where it wants one
SECONDS = 30.0
DONE = "Complete"


def is_remote(source: str) -> bool:
    """Return whether a source is no file."""
    return source.startswith((JOB, *ADDRESSES))


def fetch(source: str) -> tuple[Path, Any]:
    """Return a place to name it by, and the content. Raises NotFound, InvalidResults, or what the cluster raises."""
    return (Path(source), _of_job(source.removeprefix(JOB))) if source.startswith(JOB) else _of_address(source)


def _of_job(name: str) -> Any:
    """Return `status.results` of an LMEvalJob in the current namespace."""
    from helpers.cluster.client import connect

    try:
        found = connect().get("LMEvalJob", name)
    except ImportError as error:
        raise NotFound(f"{JOB}{name} cannot be read without {error.name}", do='pip install ".[cluster]"') from error
    if found is None:
        raise NotFound(f"There is no LMEvalJob {name} in this namespace", do="See them with `oc get lmevaljob`")
    status = found.get("status") or {}
    if status.get("state") != DONE or not status.get("results"):
        told = " ".join(filter(None, (status.get("state") or "not begun", status.get("reason"), status.get("message"))))
        raise InvalidResults(f"LMEvalJob {name} has no results: {told}", do="Wait until it is Complete, or repair it")
    try:
        return from_json(status["results"])
    except ValueError as error:
        raise InvalidResults(f"LMEvalJob {name}, status.results: is no JSON ({error})", do="Run it again") from error


def _of_address(address: str) -> tuple[Path, Any]:
    """Return what answers at an address, which is an EvalHub's job: …/api/v1/evaluations/jobs/ID."""
    token = os.environ.get(TOKEN, "")
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as reply:
            return Path(address.rstrip("/").rpartition("/")[2]), from_json(reply.read())
    except urllib.error.HTTPError as error:
        do = f"Put a token into {TOKEN}" if error.code in (401, 403) else "Correct the address"
        raise SourceUnreachable(f"{address} answers HTTP {error.code}", do=do) from error
    except OSError as error:
        raise SourceUnreachable(f"{address} does not answer: {error}", do="Correct the address") from error
    except ValueError as error:
        raise InvalidResults(f"{address} answers no JSON: {error}", do="Name a job: …/evaluations/jobs/ID") from error
