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


@pytest.fixture
def write_runtime(tmp_path, monkeypatch) -> Write:
    """Write a runtime configuration `name` with changes; return the name."""
    folder = tmp_path / "elyra" / "metadata" / "runtimes"
    folder.mkdir(parents=True)
    monkeypatch.setenv("ELYRA_METADATA_PATH", str(tmp_path / "elyra"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "not" / "there" / "yet"))
    (tmp_path / "token").write_text(TOKEN + "\n")
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "token"))

    def write(api: str, bucket: Bucket, name: str = "odh_dsp", **changes: str) -> str:
        metadata = {
            "tags": [], "display_name": "Pipeline", "engine": "Argo", "runtime_type": "KUBEFLOW_PIPELINES",
            "auth_type": "KUBERNETES_SERVICE_ACCOUNT_TOKEN", "cos_auth_type": "KUBERNETES_SECRET",
            "api_endpoint": api, "public_api_endpoint": "https://dashboard.example/external/elyra/evaluation",
            "cos_endpoint": bucket.endpoint, "cos_bucket": bucket.name, "cos_secret": "pipelines-store",
            "cos_username": KEYS["ACCESS_KEY_ID"], "cos_password": KEYS["SECRET_ACCESS_KEY"],
        } | changes  # fmt: skip
        content = {"display_name": "Pipeline", "schema_name": "kfp", "metadata": metadata}
        Path(folder / f"{name}.json").write_text(json.dumps(content))
        return name

    return write


@pytest.fixture
def runtime(write_runtime, pipelines_api, s3_bucket) -> str:
    """The runtime configuration `odh_dsp`."""
    return write_runtime(pipelines_api.address, s3_bucket)
