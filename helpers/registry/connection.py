"""The real client behind one door: its own event loop, bounded retries, and errors that say what to do."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from helpers.errors import InvalidInput, NotFound, RegistryUnreachable
from helpers.registry.access import refused_hint, silent_hint

if TYPE_CHECKING:
    from model_registry import ModelRegistry
    from mr_openapi import ModelRegistryServiceApi

T = TypeVar("T")
OPERATION_SECONDS = 60
BUSY = (429, 502, 503, 504)


@lru_cache(maxsize=1)
def _loop(process: int) -> asyncio.AbstractEventLoop:
    # In a thread, because Jupyter's own loop is running already; the client's way out is to patch asyncio globally.
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name=f"registry-{process}", daemon=True).start()
    return loop


def run_async(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run the coroutine to its end from any thread, also inside Jupyter; Ctrl-C cancels it."""
    future = asyncio.run_coroutine_threadsafe(coroutine, _loop(os.getpid()))
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def attempt(call: Callable[[], T], address: str, timeout: float) -> T:
    """Call something that talks to the registry; retry for `timeout` seconds while nothing answers, explain errors."""
    retrying = Retrying(
        stop=stop_after_delay(timeout),
        wait=wait_random_exponential(multiplier=0.2, max=3),
        retry=retry_if_exception(_temporary),
        reraise=True,
    )
    try:
        return retrying(call)
    except Exception as error:
        if (clearer := explain(error, address)) is error:
            raise
        raise clearer from error


def _temporary(error: BaseException) -> bool:
    import aiohttp
    from mr_openapi.exceptions import ApiException

    if isinstance(error, ApiException):
        return error.status in BUSY
    return isinstance(error, aiohttp.ClientError | TimeoutError | OSError) and not isinstance(
        error, aiohttp.ClientSSLError
    )


class Connection:
    """A registry at one address; everything sent through it may be sent twice without harm."""

    def __init__(self, address: str, client: ModelRegistry, timeout: float) -> None:
        self.address, self.client, self.timeout = address, client, timeout

    def run(self, operation: Callable[[ModelRegistryServiceApi], Awaitable[T]]) -> T:
        """Run an operation on the client's REST interface; retries while nothing answers, then RegistryUnreachable."""
        return self.attempt(lambda: run_async(self._once(operation)))

    def attempt(self, call: Callable[[], T]) -> T:
        """Call something that uses the client, with the same retries and errors as `run`."""

        return attempt(call, self.address, self.timeout)

    async def _once(self, operation: Callable[[ModelRegistryServiceApi], Awaitable[T]]) -> T:
        async with self.client._api.get_client() as api, asyncio.timeout(OPERATION_SECONDS):
            return await operation(api)


def explain(error: Exception, address: str) -> Exception:
    """Return the error from our tree for one of the client's, or the same error where it is none of them."""
    import aiohttp
    from mr_openapi.exceptions import ApiException

    if isinstance(error, aiohttp.ClientSSLError):
        return RegistryUnreachable(
            f"The certificate of the registry at {address} is not trusted: {error}",
            do="Name the CA's file in REGISTRY_CA_FILE or SSL_CERT_FILE",
        )
    if isinstance(error, aiohttp.ClientError | TimeoutError | OSError):
        return _unanswered(address, f"{type(error).__name__}: {error}")
    return _explain_status(error, address) if isinstance(error, ApiException) else error


def _explain_status(error: Any, address: str) -> Exception:
    if error.status in (401, 403):
        return _refused(address, error.status)
    if error.status == 404:
        return NotFound(f"The registry at {address} does not have it: {error.body}", do="Check the id")
    if error.status in BUSY:
        return _unanswered(address, f"HTTP {error.status}")
    if error.status and error.status >= 500:
        return RegistryUnreachable(f"The registry at {address} failed: {error.body}", do="Read the registry's log")
    return InvalidInput(f"The registry at {address} refused the request: {error.body}", do="Correct what was sent")


def _unanswered(address: str, reason: str) -> RegistryUnreachable:
    return RegistryUnreachable(f"The registry at {address} does not answer ({reason})", do=silent_hint(address))


def _refused(address: str, status: int) -> RegistryUnreachable:
    why = "does not know this token (HTTP 401)" if status == 401 else "does not allow this token to read it (HTTP 403)"
    return RegistryUnreachable(f"The registry at {address} {why}", do=refused_hint(address, status))
