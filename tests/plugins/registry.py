"""The embedded registry as a fixture: the real application over real HTTP, a fresh database for each test."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn

from helpers.local.registry.app import PREFIXES, create_app
from helpers.local.registry.listening import listen

MEMORY = Path(":memory:")  # SQLite's name for a database that needs no disk; what survives is tested with a file


@dataclass(frozen=True)
class RegistryServer:
    """A running registry."""

    address: str
    token: str


class _Server(uvicorn.Server):
    """Looks for its end every few milliseconds, where the original sleeps for a tenth of a second."""

    async def main_loop(self) -> None:
        counter = 0
        while not await self.on_tick(counter):
            counter += 1
            await asyncio.sleep(0.005)


@contextmanager
def serving(
    database: Path,
    token: str = "",
    *,
    port: int = 0,
    prefixes: tuple[str, ...] = PREFIXES,
    certificate: Path | None = None,
) -> Iterator[RegistryServer]:
    """Serve the database on this machine until the block ends; port 0 is a free one, a certificate makes it https."""
    listener = listen("127.0.0.1", port)
    app = create_app(database, token, prefixes)
    config = uvicorn.Config(app, loop="asyncio", log_level="warning", access_log=False, ssl_certfile=certificate)
    server = _Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        scheme = "https" if certificate else "http"
        yield RegistryServer(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}", token)
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()
    assert not thread.is_alive(), "the registry did not stop"


@pytest.fixture
def registry_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[RegistryServer]:
    """Give a test its own registry; `connect("local")` finds it too."""
    for name in ("REGISTRY_TOKEN", "REGISTRY_TOKEN_FILE", "KF_PIPELINES_SA_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    with serving(MEMORY) as server:
        monkeypatch.setenv("REGISTRY_ADDRESS_LOCAL", server.address)
        yield server
