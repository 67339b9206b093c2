"""The pipeline server and Elyra's way to it."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from helpers.cluster import account, in_pod
from helpers.errors import InvalidInput, NotFound
from helpers.preflight.lines import Line, fix, note, ok
from helpers.preflight.project import Project
from helpers.preflight.secrets import complete

SERVER = "dspa"
DO_RESTART = "Configure the pipeline server with an external bucket, then restart the workbench"
DO_LOGIN = "Restart the workbench for a fresh token, and see that its account may use the pipeline server"
BUCKET_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")  # under these names and no others Elyra hands them on
DO_TRUST = "Name the CA's PEM file in KF_PIPELINES_SSL_SA_CERTS (in 2.25: the value of PIPELINES_SSL_SA_CERTS)"


def pipeline_server(project: Project) -> Iterator[Line]:
    """The server as its operator describes it; its name decides the account and Elyra's runtime."""
    found = project.cluster.get("DataSciencePipelinesApplication", SERVER)
    if found is None:
        do = f"Configure a pipeline server in the project; OpenShift AI calls it {SERVER}"
        yield fix(f"There is no pipeline server {SERVER}", do)
        return
    conditions = (found.get("status") or {}).get("conditions") or []
    ready = next((item for item in conditions if item["type"] == "Ready"), {"status": "Unknown"})
    if ready["status"] != "True":
        why = ready.get("message") or ready.get("reason") or "it has not said why"
        yield fix(f"The pipeline server {SERVER} is not ready: {why}", "Repair what it names, or wait")
    elif not (found["spec"].get("objectStorage") or {}).get("externalStorage"):
        text = f"The pipeline server {SERVER} has no external storage, so workbenches get no runtime from it"
        yield fix(text, DO_RESTART)
    else:
        yield ok(f"{SERVER} is ready")


def elyra_runtime(project: Project) -> Iterator[Line]:
    """The runtime that `make submit` and the canvas use, and whether its server answers and knows the token."""
    try:
        from helpers.pipelines.runtimes import find
    except ImportError:
        yield note("Elyra is not installed here", "Run this in a workbench")
        return
    try:
        runtime = find(project.runtime)
    except NotFound as error:
        yield (fix if in_pod() else note)(error.what, error.do)
        return
    yield _answering(project, runtime.api_endpoint, dict(runtime.metadata))


def runtime_secret(project: Project) -> Iterator[Line]:
    """The Secret with which every node reads and writes the bucket that Elyra's runtime names."""
    try:
        from helpers.pipelines.runtimes import find

        name = str(find(project.runtime).metadata["cos_secret"])
    except (ImportError, NotFound, InvalidInput):
        yield note(f"Which Secret opens the bucket of {project.runtime} is not known here", "See Elyra's runtime above")
        return
    how = f"it is the connection of the pipeline server {SERVER}, which names it in objectStorage.externalStorage"
    yield complete(project, name, BUCKET_KEYS, how)


def _answering(project: Project, address: str, metadata: dict[str, Any]) -> Line:
    import httpx

    url = f"{address}/apis/v2beta1/pipelines"
    try:
        reply = httpx.get(
            url, params={"page_size": 1, "namespace": project.namespace}, headers=_headers(metadata),
            verify=ssl.create_default_context(cafile=_ca_file()), timeout=project.seconds,
        )  # fmt: skip
    except httpx.HTTPError as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return fix(f"The certificate of {address} is not trusted", DO_TRUST)
        text = f"The pipeline server at {address} does not answer ({type(error).__name__})"
        return fix(text, "Check that it runs and can be reached from here")
    if reply.status_code in (401, 403) or reply.is_redirect:
        text = f"The pipeline server at {address} refuses this token (HTTP {reply.status_code})"
        return fix(text, DO_LOGIN)
    if reply.status_code != 200:
        text = f"What answers at {address} is no pipeline server (HTTP {reply.status_code})"
        return fix(text, "Check the runtime's api_endpoint")
    return ok(f"{project.runtime} leads to {address}, which answers")


def _headers(metadata: dict[str, Any]) -> dict[str, str]:
    """Only what a workbench's runtime uses: the token in the file that the platform names, else the pod's own."""
    if metadata.get("auth_type") != "KUBERNETES_SERVICE_ACCOUNT_TOKEN":
        return {}
    named = os.environ.get("KF_PIPELINES_SA_TOKEN_PATH")
    path = Path(named) if named else account.token_file()
    return {"Authorization": f"Bearer {path.read_text().strip()}"} if path and path.is_file() else {}


def _ca_file() -> str | None:
    names = ("KF_PIPELINES_SSL_SA_CERTS", "PIPELINES_SSL_SA_CERTS", "SSL_CERT_FILE")
    return next((path for name in names if (path := os.environ.get(name)) and os.path.isfile(path)), None)
