"""One JupyterLab and one Chromium for each module, and a fresh page for each test."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import OURS
from tests.plugins.browser import ARGUMENTS, watched
from tests.plugins.lab import Lab, running


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[Lab]:
    with running(tmp_path_factory.mktemp("lab"), OURS) as lab:
        yield lab


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    asyncio.set_event_loop_policy(None)  # importing GuideLLM sets uvloop's
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> list[str]:
    """Console errors and failed requests; a test that expects some takes them out."""
    return []


@pytest.fixture
def page(chromium, complaints) -> Iterator[Any]:
    with watched(chromium, complaints) as context:
        yield context.new_page()
    assert complaints == []
