"""A clean environment for every test: nothing of the user's stack is seen or touched."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from helpers.runtime.workspace import ROOT

pytest_plugins = [
    "tests.plugins.registry",
    "tests.plugins.models",
    "tests.plugins.stores",
    "tests.plugins.doors",
    "tests.plugins.hub",
    "tests.plugins.cluster",
    "tests.plugins.environments",
    "tests.plugins.hosted_api",
    "tests.plugins.light_vllm",
    "tests.plugins.streaming",
    "tests.plugins.workspaces",
]

OURS = (
    "REGISTRY", "STORE", "PROJECT_ROLE", "SOURCE_AWS", "OCI_", "HF_ENDPOINT", "HF_TOKEN", "SIGNING_", "MEASURING_",
    "SIGSTORE_", "MLFLOW_", "NOTIFY_", "ENDPOINT_API_KEY", "KF_PIPELINES_SA_TOKEN_PATH", "KUBE",
)  # fmt: skip


def pytest_configure():
    # A job that a shell started in the background ignores interrupts, and so would everything that a test starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    # Files with real servers take minutes: they begin first, the longest before the others, so that none runs alone.
    def allowed(item):
        limit = item.get_closest_marker("timeout")
        return (item.get_closest_marker("stack") is not None, limit.args[0] if limit else 0)

    items.sort(key=allowed, reverse=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    if report.skipped:  # what does not run guards nothing, here or in a clone
        report.outcome, report.longrepr = "failed", f"{item.nodeid} was skipped: make what it needs part of the set-up"
    return report


def notebook_files():
    """Every notebook, found by a glob so that the next one is tested too."""
    return sorted((ROOT / "notebooks").glob("*.ipynb"))


def pipeline_files():
    """Every pipeline, found by a glob so that the next one is tested too."""
    return sorted((ROOT / "pipelines").glob("*.pipeline"))


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path_factory):
    for name in [name for name in os.environ if name.startswith(OURS)]:
        monkeypatch.delenv(name)
    asyncio.set_event_loop_policy(None)  # importing GuideLLM sets uvloop's, which the registry's client cannot patch
    if "ASSAY_HOME" not in os.environ:
        monkeypatch.setenv("ASSAY_HOME", str(tmp_path_factory.mktemp("home")))
