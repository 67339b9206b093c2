"""What a test sees of a page, and what the page complains of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from helpers.runtime.workspace import ROOT

SCREENSHOTS = ROOT / "build" / "screenshots"
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
]  # fmt: skip
# What Elyra itself brings about, whatever it shows: it restores its open editors only after it asked for the runtimes,
# which JupyterLab refuses; its style sheet names a font of a server elsewhere and does without it; it asks for the
# parameters of a Generic pipeline, which has none.
THEIRS = (
    "restore() must be called before `first` has resolved",
    "fonts.gstatic.com",
    "/elyra/pipeline/local/parameters",
)
SIZE = {"width": 1800, "height": 1000}


@contextmanager
def watched(browser: Any, complaints: list[str]) -> Iterator[Any]:
    """Yield a browser context without any network but this machine; what goes wrong in its pages is in `complaints`."""
    context = browser.new_context(viewport=SIZE)
    context.set_default_timeout(60_000)  # a machine with two busy cores
    context.route(lambda url: urlsplit(url).scheme in ("http", "https") and not _here(url), lambda route: route.abort())

    def say(line: str) -> None:
        if not any(known in line for known in THEIRS):
            complaints.append(line)

    context.on("console", lambda item: item.type == "error" and say(f"{item.text} {item.location.get('url', '')}"))
    context.on("weberror", lambda item: say(str(item.error)))
    context.on("requestfailed", lambda item: say(f"{item.url}: {item.failure}"))
    context.on("response", lambda item: item.status >= 400 and say(f"{item.url}: {item.status}"))
    try:
        yield context
    finally:
        seen = list(complaints)  # what is still under way when a page is closed fails, and means nothing
        context.close()
        complaints[:] = seen


def _here(url: str) -> bool:
    return urlsplit(url).hostname == "127.0.0.1"


def keep(page: Any, name: str) -> Path:
    """Keep a screenshot for people to look at."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    path = SCREENSHOTS / f"{name}.png"
    page.screenshot(path=path)
    return path
