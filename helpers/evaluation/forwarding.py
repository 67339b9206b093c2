"""A server on loopback that adds the endpoint's key: the process that runs a task's code asks here and has no key."""

from __future__ import annotations

import asyncio
import hmac
import secrets
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from helpers.runtime.patience import causes

FAILED = "X-Assay-Unreachable"  # why the endpoint did not answer, which is none of its answers
TOKENIZE = "/tokenize"
PATHS = ("/v1/chat/completions", "/v1/completions", "/v1/models", TOKENIZE)
MOST_BYTES = 256 << 20  # of one request: a batch of prompts as tokens
PASSED_ON = ("Content-Type", "Retry-After")


class Way(NamedTuple):
    """Where a child asks, and the password that lets it in for as long as it runs."""

    url: str
    token: str


@contextmanager
def forwarded(url: str, key: str) -> Iterator[Way]:
    """Forward to the endpoint what comes with the password; nothing of the endpoint's answers holds the key."""
    way = _Forwarding(url.rstrip("/"), key)
    thread = threading.Thread(target=way.run, name="forwarding", daemon=True)
    thread.start()
    try:
        yield Way(way.address(), way.token)
    finally:
        way.end()
        thread.join()


class _Forwarding:
    def __init__(self, url: str, key: str) -> None:
        self.url, self.key, self.token = url, key, secrets.token_urlsafe(32)
        self.paths = {f"{urlsplit(url).path}{path}" for path in PATHS}
        self.trusted = ssl.create_default_context()  # as the environment says now
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end = asyncio.Event()
        self._ready, self._port = threading.Event(), 0
        self._error: OSError | None = None

    def address(self) -> str:
        """Return where it listens. Raises OSError where it cannot."""
        self._ready.wait()
        if self._error:
            raise self._error
        return f"http://127.0.0.1:{self._port}{urlsplit(self.url).path}"

    def end(self) -> None:
        """End it; requests that are on their way are dropped."""
        if self._loop and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end.set)

    def run(self) -> None:
        """Serve until the end."""
        try:
            asyncio.run(self._serve())
        except OSError as error:
            self._error = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

        self._loop = asyncio.get_running_loop()
        app = web.Application(client_max_size=MOST_BYTES)
        app.router.add_route("*", "/{path:.*}", self._forward)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0)
        await runner.setup()
        connector, unlimited = TCPConnector(limit=0, ssl=self.trusted), ClientTimeout(total=None)  # the child has one
        async with ClientSession(connector=connector, timeout=unlimited) as self._session:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self._port = runner.addresses[0][1]
            self._ready.set()
            await self._end.wait()
            await runner.cleanup()

    async def _forward(self, request: Any) -> Any:
        from aiohttp import ClientError, web

        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self.token}".encode()):
            return web.Response(status=401)
        if request.path not in self.paths:
            return web.Response(status=404)
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        headers |= {"Content-Type": "application/json"} if request.can_read_body else {}
        address = f"{self.url}{request.path.removeprefix(urlsplit(self.url).path)}"
        try:
            body = await request.read()
            async with self._session.request(request.method, address, data=body, headers=headers) as answer:
                content = self._without_key(await answer.read())
                kept = {name: answer.headers[name] for name in PASSED_ON if name in answer.headers}
                return web.Response(body=content, status=answer.status, reason=answer.reason, headers=kept)
        except (ClientError, TimeoutError, OSError) as error:
            if request.path.endswith(TOKENIZE):  # its client knows a broken connection only
                request.transport.abort()
            return web.Response(status=502, headers={FAILED: self._told(error)})

    def _without_key(self, content: bytes) -> bytes:
        return content.replace(self.key.encode(), b"***") if self.key else content

    def _told(self, error: BaseException) -> str:
        told = dict.fromkeys(f"{type(one).__name__}: {one}".rstrip(": ") for one in causes(error))
        text = self._without_key("; ".join(told).encode("ascii", "replace"))
        return " ".join(text.decode().split())[:500]
