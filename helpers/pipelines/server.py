"""Elyra's runtime configurations, and the Pipelines server that one names: the way in, and the client."""

from __future__ import annotations

import contextlib
import io
import os
import ssl
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from helpers.errors import Forbidden, InvalidInput, NotFound, PipelinesUnreachable
from helpers.pipelines.failures import DO_TOKEN, message, refusal

if TYPE_CHECKING:
    from kfp import Client

CERTIFICATES = "KF_PIPELINES_SSL_SA_CERTS"
DO_MAKE = (
    "On OpenShift AI restart the workbench after the pipeline server was configured; elsewhere create one with "
    "`elyra-metadata create runtimes --schema_name kfp`"
)


@dataclass(frozen=True)
class Runtime:
    """A runtime configuration; its keys stay in `metadata`, which is never printed."""

    name: str
    metadata: Mapping[str, Any]

    @property
    def api_endpoint(self) -> str:
        """The Pipelines server, without a slash at the end."""
        return str(self.metadata["api_endpoint"]).rstrip("/")

    @property
    def store(self) -> str:
        """The object store's address with the bucket."""
        return f"{self.metadata['cos_endpoint']}/{self.metadata['cos_bucket']}"


def prepare() -> None:
    """Make Elyra's surroundings complete: it watches a folder that may not be there, and its CA has had two names."""
    from jupyter_core.paths import jupyter_runtime_dir

    Path(jupyter_runtime_dir()).mkdir(parents=True, exist_ok=True)
    if bundle := os.environ.get("PIPELINES_SSL_SA_CERTS"):  # what the workbenches of OpenShift AI 2.25 set
        os.environ.setdefault("KF_PIPELINES_SSL_SA_CERTS", bundle)


def find(name: str) -> Runtime:
    """Return the runtime of this name. Raises NotFound with the names that exist, or InvalidInput."""
    from elyra.metadata.manager import MetadataManager
    from elyra.metadata.schemaspaces import Runtimes

    known = MetadataManager(schemaspace=Runtimes.RUNTIMES_SCHEMASPACE_ID).get_all()
    found = {item.name: item for item in known if item.schema_name == "kfp"}
    if name not in found:
        exist = f"there are {', '.join(sorted(found))}" if found else "there is none"
        raise NotFound(f"No Pipelines runtime is called {name!r}; {exist}", do=DO_MAKE)
    runtime = Runtime(name, found[name].metadata)
    if runtime.metadata.get("cos_auth_type") == "USER_CREDENTIALS" or not runtime.metadata.get("cos_secret"):
        raise InvalidInput(
            f"Runtime {name} names no Secret for its object store: Elyra would write its keys into the pipeline",
            do="Set its cos_auth_type to KUBERNETES_SECRET and its cos_secret to a Secret of the project",
        )
    return runtime


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


def knock(runtime: Runtime, name: str, *, timeout: float = 20) -> None:
    """Ask the server something that needs the token: its client would try a refused one for half a minute.

    `name` is what an error says of the pipeline. Raises Forbidden, NotFound, PipelinesUnreachable or SubmissionFailed.
    """
    try:
        known = credentials(runtime) if runtime.metadata.get("auth_type") != "NO_AUTHENTICATION" else {}
        context = ssl.create_default_context(cafile=os.environ.get(CERTIFICATES))
        answer = httpx.get(
            f"{runtime.api_endpoint}/apis/v2beta1/experiments",
            params={"page_size": 1}, headers=_headers(known), verify=context, timeout=timeout,
        )  # fmt: skip
    except (httpx.HTTPError, OSError) as error:
        trust = f", and let {CERTIFICATES} name its certificates" if "CERTIFICATE" in str(error) else ""
        raise PipelinesUnreachable(
            f"The Pipelines server of runtime {runtime.name} ({runtime.api_endpoint}) does not answer: {error}",
            do=f"Correct api_endpoint in the runtime configuration{trust}",
        ) from error
    if answer.is_redirect:  # a log-in page
        raise refusal(401, "it wants a log-in", name, runtime)
    if answer.is_error:
        raise refusal(answer.status_code, message(answer.text), name, runtime)


def _headers(known: Mapping[str, Any]) -> dict[str, str]:
    from kfp_server_api import Configuration

    token = known.get("existing_token")
    if held := known.get("credentials"):
        config = Configuration()
        held.refresh_api_key_hook(config)
        token = config.api_key["authorization"]
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return headers | ({"Cookie": known["cookies"]} if known.get("cookies") else {})
