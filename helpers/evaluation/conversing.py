"""Ask many chat requests at once: what was answered before is not asked, and what fails leaves the others alone."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import ClientError, ClientResponseError, ClientSession, ClientTimeout, TCPConnector

from helpers.artifacts import Endpoint
from helpers.errors import EndpointUnreachable
from helpers.evaluation.asked import Asked
from helpers.evaluation.asking import Passing, Progress, Unusable, all_at_once, finish, reason, still_there
from helpers.evaluation.confirming import Confirming
from helpers.evaluation.files import Files
from helpers.evaluation.journal import Journal, kept_of, name_of
from helpers.evaluation.reply import Reply, replies
from helpers.runtime import partial
from helpers.runtime.environment import masked
from helpers.runtime.patience import patiently_async
from helpers.serving import client

METHOD = "chat"
SAID = 300  # characters of the server's own words that are kept of a refusal
Body = Mapping[str, Any]  # of a request, without the model


@dataclass(frozen=True)
class Conversation:
    """One request with what became of it."""

    body: Body
    reply: Reply | None  # None where the request failed
    why: str = ""  # it failed
    reused: bool = False  # it was answered before, under another load

    @property
    def kept(self) -> dict[str, Any]:
        """The reply by the digest of its request, as a sample keeps it."""
        if self.reply is None:
            return {}
        return {name_of(METHOD, [self.body]): kept_of(str(self.reply), self.reply.facts)}


@dataclass
class Conversations:
    """All of them, in the order of the requests."""

    found: list[Conversation]
    seconds: float  # from the first request to the last answer
    reused: int  # not asked, because they were answered before

    @property
    def reasons(self) -> list[str]:
        """Why requests failed, each reason once."""
        return sorted({each.why for each in self.found if each.why})


def converse(
    bodies: Sequence[Body],
    settings: Asked,
    endpoint: Endpoint,
    folder: Path,
    names: Files,
    *,
    known: Path | None = None,
    show: Callable[[str], object] = print,
    guard: partial.Guard | None = None,
) -> Conversations:
    """Ask the endpoint each body through /v1/chat/completions, `settings.num_concurrent` at a time.

    Answers go into the journal in `folder`, so that a run that broke off goes on from there; what the file `known`
    answers (helpers.records.reuse.answers) is not asked. Raises EndpointUnreachable and ServerChanged.
    """
    same = partial.fingerprint(endpoint, folder)
    (folder / partial.FOLDER).mkdir(parents=True, exist_ok=True)
    with (
        client.access(endpoint.auth),
        tempfile.TemporaryDirectory(prefix="assay-answers-") as scratch,
        Journal(folder / names.journal, same, known, Path(scratch, "fresh.jsonl")) as journal,
    ):
        confirming = Confirming(guard or partial.Unguarded(), Path(scratch, "fresh.jsonl"), folder, names)
        confirming.look()
        asking = _Asking(bodies, settings, endpoint, journal, confirming, show)
        try:
            finish(asking.all())
        except BaseException:
            with contextlib.suppress(EndpointUnreachable):  # which the error says already
                confirming.look()
            raise
        confirming.look()
        return Conversations(asking.found, asking.seconds, asking.reused)


class _Asking:
    def __init__(
        self,
        bodies: Sequence[Body],
        settings: Asked,
        endpoint: Endpoint,
        journal: Journal,
        confirming: Confirming,
        show: Callable[[str], object],
    ) -> None:
        self.settings, self.endpoint, self.journal, self.confirming = settings, endpoint, journal, confirming
        self.url = f"{endpoint.url.rstrip('/')}/v1"
        kept = [journal.get(METHOD, [body]) for body in bodies]
        self.found = [Conversation(body, reply, reused=True) for body, reply in zip(bodies, kept, strict=True)]
        self.todo = [place for place, reply in enumerate(kept) if reply is None]
        self.reused, self.seconds, self.show = len(bodies) - len(self.todo), 0.0, show

    async def all(self) -> None:
        began, progress = time.monotonic(), Progress(self.reused, len(self.found), self.show)
        limit = asyncio.Semaphore(self.settings.num_concurrent)
        connector = TCPConnector(limit=self.settings.num_concurrent)
        timeout = ClientTimeout(total=self.settings.request_timeout)
        async with ClientSession(
            connector=connector, timeout=timeout, headers=client.headers(), trust_env=True
        ) as http:

            async def one(place: int) -> None:
                async with limit:
                    self.found[place] = await self._asked(http, self.found[place].body)
                progress.add(1)
                self.confirming.now_and_then()

            await all_at_once(one(place) for place in self.todo)
        self.seconds = time.monotonic() - began

    async def _asked(self, http: ClientSession, body: Body) -> Conversation:
        async def once() -> Reply:
            began = time.monotonic()
            output = await self._post(http, body)
            return _reply(output, time.monotonic() - began)

        try:
            reply = await patiently_async(
                once, what=f"the server at {self.url}", do="See in its log why it does not answer", again=Passing()
            )
        except (ClientError, TimeoutError, ValueError) as error:
            asked, models = f"{self.url}/chat/completions", f"{self.url}/models"
            await still_there(http, error, asked, models, self.endpoint.model)
            return Conversation(body, None, reason(error))
        if reply.status != "empty":
            self.journal.add(METHOD, [body], reply)
        return Conversation(body, reply)

    async def _post(self, http: ClientSession, body: Body) -> Any:
        payload = {"model": self.endpoint.model, "seed": self.settings.seed, **body}
        async with http.post(f"{self.url}/chat/completions", json=payload) as response:
            if response.ok:
                return await response.json()
            said = "" if response.status in client.UNAUTHORIZED else masked(await response.text())
            message = f"{response.reason} {said[:SAID]}".strip()
            raise ClientResponseError(response.request_info, response.history, status=response.status, message=message)


def _reply(output: Any, seconds: float) -> Reply:
    try:
        return replies(output, seconds)[0]
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise Unusable("the server's answer holds no message") from error
