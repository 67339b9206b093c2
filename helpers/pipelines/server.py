"""The Pipelines server of a runtime configuration: the way in, and the client."""

from __future__ import annotations

import contextlib
import io
import os
import ssl
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import httpx

from helpers.errors import Forbidden, PipelinesUnreachable
from helpers.pipelines.definition import Pipeline
from helpers.pipelines.failures import DO_TOKEN, message, refusal
from helpers.pipelines.runtimes import Runtime

if TYPE_CHECKING:
    from kfp import Client

CERTIFICATES = "KF_PIPELINES_SSL_SA_CERTS"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what kfp warns of and prints to itself: its own future, and addresses that no dashboard has."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def connect(runtime: Runtime) -> Client:
    """Return the Pipelines client. Raises Forbidden."""
    with quiet():
        from kfp import Client

        namespace = runtime.metadata.get("user_namespace")
        return Client(host=runtime.api_endpoint, namespace=namespace, **credentials(runtime))


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
