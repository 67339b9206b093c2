"""Submit a pipeline to Data Science Pipelines and follow its run."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from helpers.errors import Forbidden, PipelinesUnreachable
from helpers.pipelines import processor, runtimes
from helpers.pipelines.checks import check
from helpers.pipelines.definition import Pipeline
from helpers.pipelines.failures import DO_TOKEN, explained, message, refusal
from helpers.pipelines.runtimes import Runtime

CERTIFICATES = "KF_PIPELINES_SSL_SA_CERTS"


@dataclass(frozen=True)
class Submitted:
    """A run that was started: its id, where to look at it, and where its files will be."""

    run_id: str
    url: str
    files: str


def submit(
    runtime: str, pipeline: Pipeline, given: Mapping[str, str], images: str = "", say: processor.Say = print
) -> Submitted:
    """Check, compile, upload and start; one line for each step.

    Raises InvalidInput, NotFound, Forbidden, PipelinesUnreachable, StoreFailed, StoreUnreachable or SubmissionFailed.
    """
    runtimes.prepare()
    check(pipeline, given, images)
    found = runtimes.find(runtime)
    secrets = sorted({secret["name"] for node in pipeline.nodes for secret in node["kubernetes_secrets"]})
    say(f"{pipeline.name}: {len(pipeline.stages)} stages, Secrets {', '.join(secrets) or 'none'}")
    with explained(pipeline, found):
        parsed = processor.parse(pipeline.for_elyra(given, runtime, images))
        knock(found, pipeline)
        say(f"  {found.api_endpoint} takes the token")
        with processor.told(say):
            response = processor.process(parsed)
    return Submitted(response.run_id, response.run_url, f"{response.object_storage_url}{response.object_storage_path}")


def credentials(runtime: Runtime) -> dict[str, Any]:
    """Return what the Pipelines client authenticates with, as Elyra finds it. Raises Forbidden where it finds none."""
    from elyra.pipeline.kfp.kfp_authentication import AuthenticationError, KFPAuthenticator

    metadata = runtime.metadata
    try:
        found: dict[str, Any] = KFPAuthenticator().authenticate(
            runtime.api_endpoint,
            auth_type_str=metadata.get("auth_type"),
            runtime_config_name=runtime.name,
            auth_parm_1=metadata.get("api_username"),
            auth_parm_2=metadata.get("api_password"),
        )
    except AuthenticationError as error:
        raise Forbidden(
            f"Runtime {runtime.name} has no token for {runtime.api_endpoint}: {error}", do=DO_TOKEN
        ) from error
    return {name: found.get(name) for name in ("cookies", "credentials", "existing_token", "ssl_ca_cert")}


def knock(runtime: Runtime, pipeline: Pipeline) -> None:
    """Ask the server something that needs the token: its client would try a refused one for half a minute.

    Raises Forbidden or PipelinesUnreachable.
    """
    try:
        known = credentials(runtime) if runtime.metadata.get("auth_type") != "NO_AUTHENTICATION" else {}
        context = ssl.create_default_context(cafile=os.environ.get(CERTIFICATES))
        answer = httpx.get(
            f"{runtime.api_endpoint}/apis/v2beta1/experiments",
            params={"page_size": 1}, headers=_headers(known), verify=context, timeout=20,
        )  # fmt: skip
    except (httpx.HTTPError, OSError) as error:
        trust = f", and let {CERTIFICATES} name its certificates" if "CERTIFICATE" in str(error) else ""
        raise PipelinesUnreachable(
            f"The Pipelines server of runtime {runtime.name} ({runtime.api_endpoint}) does not answer: {error}",
            do=f"Correct api_endpoint in the runtime configuration{trust}",
        ) from error
    if answer.is_redirect:  # a log-in page
        raise refusal(401, "it wants a log-in", pipeline, runtime)
    if answer.is_error:
        raise refusal(answer.status_code, message(answer.text), pipeline, runtime)


def _headers(known: Mapping[str, Any]) -> dict[str, str]:
    from kfp_server_api import Configuration

    token = known.get("existing_token")
    if held := known.get("credentials"):
        config = Configuration()
        held.refresh_api_key_hook(config)
        token = config.api_key["authorization"]
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return headers | ({"Cookie": known["cookies"]} if known.get("cookies") else {})
