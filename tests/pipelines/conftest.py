"""A runtime configuration, as a workbench of OpenShift AI finds it, that leads to servers on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.plugins.pipelines_api import PipelinesApi, serving_pipelines
from tests.plugins.stores import KEYS, Bucket

TOKEN = "service-account-token"
Write = Callable[..., str]


@pytest.fixture
def pipelines_api(tmp_path):
    """A Pipelines server that accepts runs and does not execute them."""
    with serving_pipelines(PipelinesApi(TOKEN, tmp_path / "pods")) as api:
        yield api


def runtime_file(
    folder: Path, patch: pytest.MonkeyPatch, api: str, bucket: Bucket, key: str, secret: str, name: str = "odh_dsp",
    **changes: str,
) -> str:  # fmt: skip
    """Write a runtime configuration where Elyra looks, with a token beside it, and return its name."""
    metadata = {
        "tags": [], "display_name": "Pipeline", "engine": "Argo", "runtime_type": "KUBEFLOW_PIPELINES",
        "auth_type": "KUBERNETES_SERVICE_ACCOUNT_TOKEN", "cos_auth_type": "KUBERNETES_SECRET",
        "api_endpoint": api, "public_api_endpoint": "https://dashboard.example/external/elyra/evaluation",
        "cos_endpoint": bucket.endpoint, "cos_bucket": bucket.name, "cos_secret": "pipelines-store",
        "cos_username": key, "cos_password": secret,
    } | changes  # fmt: skip
    content = {"display_name": "Pipeline", "schema_name": "kfp", "metadata": metadata}
    path = folder / "elyra" / "metadata" / "runtimes" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    (folder / "token").write_text(TOKEN + "\n")
    patch.setenv("ELYRA_METADATA_PATH", str(folder / "elyra"))
    patch.setenv("JUPYTER_RUNTIME_DIR", str(folder / "not" / "there" / "yet"))
    patch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(folder / "token"))
    return name


@pytest.fixture
def write_runtime(tmp_path, monkeypatch) -> Write:
    """Write a runtime configuration for a server and a bucket, with changes; return its name."""

    def write(api: str, bucket: Bucket, **changes: str) -> str:
        keys = KEYS["ACCESS_KEY_ID"], KEYS["SECRET_ACCESS_KEY"]
        return runtime_file(tmp_path, monkeypatch, api, bucket, *keys, **changes)

    return write


@pytest.fixture
def runtime(write_runtime, pipelines_api, s3_bucket) -> str:
    """The runtime configuration `odh_dsp`."""
    return write_runtime(pipelines_api.address, s3_bucket)


@pytest.fixture(autouse=True)
def built(monkeypatch):
    """The images that the shipped pipelines name are there, as after `make images`."""
    monkeypatch.setattr("helpers.pipelines.image_names.NOWHERE", ".nowhere.invalid")


def drawn(pipeline):
    """The tasks' names, in the order of the canvas: what the nodes are labelled."""
    return [node["app_data"]["label"] for node in pipeline.primary["nodes"]]
