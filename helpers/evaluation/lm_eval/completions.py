"""lm-eval's own completions client, with what a long evaluation needs.

lm-eval 0.4.13 gives up the whole run when one request has failed three times, keeps nothing of it, and cuts a prompt
that is too long without a word. Here a failed request leaves a mark and the others go on, answers are written down as
they come, a server that is away is waited for, and a prompt that does not fit is a question without an answer.
Only the child process imports this module: lm_eval takes seconds to import.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from aiohttp import (
    ClientConnectionError,
    ClientError,
    ClientResponse,
    ClientResponseError,
    ClientSession,
    ClientTimeout,
    TCPConnector,
)
from lm_eval.models.openai_completions import LocalCompletionsAPI

from helpers.evaluation.asking import Passing, Progress, Unusable, all_at_once, reason, still_there
from helpers.evaluation.forwarding import FAILED
from helpers.evaluation.journal import Journal, greedy, name_of
from helpers.evaluation.lm_eval.tokenizer import load_tokenizer
from helpers.evaluation.reply import replies
from helpers.runtime.environment import endpoint_key, masked
from helpers.runtime.patience import patiently_async
from helpers.serving.tokenizing import ServedTokenizer

NO_ANSWER = "\x00no answer"  # stands where the request failed; a question that has it is not scored
NO_LIKELIHOOD = (math.nan, False)
PATH = "/v1/completions"
SAID = 300  # characters of the server's own words that are kept of a refusal

Answer = Any


class Completions(LocalCompletionsAPI):
    """`local-completions` that survives single failures and keeps what was answered.

    Without a tokenizer it generates only. Texts come back as `Reply`. It asks the server at `url` by way of `through`.
    """

    path = PATH

    def __init__(
        self, *, url: str, through: str, tokenizer: Path | ServedTokenizer | None, journal: Journal, workers: int,
        **settings: Any,
    ) -> None:  # fmt: skip
        # More than one in flight selects lm-eval's asynchronous path, the only one overridden here.
        super().__init__(
            base_url=through + self.path, tokenizer_backend=None, num_concurrent=max(workers, 2), max_retries=1,
            **settings,
        )  # fmt: skip
        if tokenizer:
            self.tokenizer = load_tokenizer(tokenizer) if isinstance(tokenizer, Path) else tokenizer
            self.tokenizer_backend = "huggingface"
        self.models_url, self.journal, self.workers = f"{through}/v1/models", journal, workers
        self.asked = url + self.path
        self.reasons: list[str] = []
        self.reused = 0
        self.request_seconds = 0.0

    @property
    def api_key(self) -> str:
        """The endpoint's own; lm-eval reads it from the environment."""
        return endpoint_key()

    def loglikelihood(self, requests: Any, **more: Any) -> Any:
        """Return the log-likelihoods; the prompts travel as tokens, so that the continuation's own are known."""
        self.tokenized_requests = True
        try:
            return super().loglikelihood(requests, **more)
        finally:
            self.tokenized_requests = False  # else lm-eval cuts what is generated from to the context's length

    def batch_loglikelihood_requests(self, chunks: Any) -> tuple[list[list[int]], list[int], list[Any]]:
        """Return the prompts; one that does not fit comes back empty, so that it is not sent cut short."""
        inputs, context_lengths, keys = [], [], []
        for chunk in chunks:
            for key, context, continuation in chunk:
                whole = context + continuation
                inputs.append(whole if len(whole) <= self.max_length else [])
                context_lengths.append(len(context))
                keys.append(key)
                if len(whole) > self.max_length:
                    self.reasons.append(
                        f"a prompt of {len(whole)} tokens does not fit the model's context of {self.max_length + 1}"
                    )
        return inputs, context_lengths, keys

    async def get_batched_requests(
        self,
        requests: list,
        cache_keys: list,
        *,
        generate: bool = True,
        ctxlens: list[int] | None = None,
        gen_kwargs: dict[str, Any] | None = None,
        **_: Any,
    ) -> list[list[Answer]]:
        """Ask for what the journal does not hold, in batches; one list of answers, in the order of `requests`."""
        method, nothing = ("generate_until", NO_ANSWER) if generate else ("loglikelihood", NO_LIKELIHOOD)
        before = self.journal.taken.copy()
        rounds = _rounds(method, cache_keys)
        answers = [self.journal.get(method, key, turn) for key, turn in zip(cache_keys, rounds, strict=True)]
        todo = [index for index, answer in enumerate(answers) if answer is None and requests[index]]
        self.reused += sum(answer is not None for answer in answers)
        for origin, count in (self.journal.taken - before).items():
            print(f"{count} of {len(requests)} answers are taken over from {origin}", flush=True)
        started, progress = time.monotonic(), Progress(len(requests) - len(todo), len(requests))
        limit = asyncio.Semaphore(self.workers)
        connector = TCPConnector(limit=self.workers, ssl=self.verify_certificate)
        # Log-probabilities of many prompts are one quick answer; of texts each is slow enough by itself.
        size = 1 if generate else self._batch_size
        timeout = ClientTimeout(total=self.timeout)
        async with ClientSession(connector=connector, timeout=timeout, headers=self.header) as session:

            async def answer(batch: list[int]) -> None:
                lengths = [ctxlens[index] for index in batch] if ctxlens else None
                prompts, options = [requests[index] for index in batch], copy.deepcopy(gen_kwargs or {})
                if generate and not greedy(cache_keys[batch[0]]):  # one seed for all would repeat one sample
                    options.setdefault("seed", self._seed + rounds[batch[0]])
                got = await self._ask(session, limit, prompts, lengths, generate=generate, gen_kwargs=options)
                for index, value in zip(batch, got, strict=True):
                    answers[index] = value
                    if value is not None and getattr(value, "status", "") != "empty":
                        self.journal.add(method, cache_keys[index], value, rounds[index])
                progress.add(len(batch))

            await all_at_once(answer(todo[start : start + size]) for start in range(0, len(todo), size))
        self.request_seconds += time.monotonic() - started
        return [[nothing if value is None else value for value in answers]]

    async def _ask(
        self, session: ClientSession, limit: asyncio.Semaphore, prompts: list, lengths: list[int] | None, **how: Any
    ) -> list[Answer | None]:
        """Return one answer for each prompt, None where the server gives none; a refused batch is asked one by one."""
        options = copy.deepcopy(how["gen_kwargs"])  # which lm-eval empties
        payload = self._create_payload(
            self.create_message(prompts), generate=how["generate"], gen_kwargs=options, seed=self._seed
        )
        try:
            async with limit:
                output, seconds = await self._answered(session, payload)
            return _texts(output, seconds) if how["generate"] else self._likelihoods(output, prompts, lengths)
        except (ClientError, TimeoutError, ValueError, AssertionError) as error:
            await still_there(session, error, self.asked, self.models_url, self.model, _reached)
            if len(prompts) == 1:
                self.reasons.append(reason(error))
                return [None]
        singly = [
            self._ask(session, limit, [prompt], lengths and [lengths[place]], **how)
            for place, prompt in enumerate(prompts)
        ]
        return [answer for answers in await asyncio.gather(*singly) for answer in answers]

    def _likelihoods(self, output: Any, prompts: list, lengths: list[int] | None) -> list[Answer | None]:
        with _named("the server's answer holds no log-probabilities of the prompt"):
            found = self.parse_logprobs(outputs=output, tokens=prompts, ctxlens=lengths)
        return [None if math.isnan(likelihood) else (likelihood, best) for likelihood, best in found]

    async def _answered(self, session: ClientSession, payload: dict[str, Any]) -> tuple[Any, float]:
        """Return the server's answer and the seconds that it took, waiting for a server that is away for a moment."""

        async def once() -> tuple[Any, float]:
            began = time.monotonic()
            return await self._post(session, payload), time.monotonic() - began

        return await patiently_async(
            once, what=f"the server at {self.asked}", do="See in its log why it does not answer", again=Passing()
        )

    async def _post(self, session: ClientSession, payload: Mapping[str, Any]) -> Any:
        async with session.post(self.base_url, json=payload, headers=self.header) as response:
            _reached(response)
            if response.ok:
                return await response.json()
            said = "" if response.status in (401, 403) else masked(await response.text())
            raise ClientResponseError(
                response.request_info,
                response.history,
                status=response.status,
                message=f"{response.reason} {said[:SAID]}".strip(),
                headers=response.headers,
            )


def _reached(response: ClientResponse) -> None:
    """Raise ClientConnectionError where who forwards the requests did not reach the server."""
    if told := response.headers.get(FAILED):
        raise ClientConnectionError(told)


def _texts(output: Any, seconds: float) -> list[Answer | None]:
    with _named("the server's answer holds no text"):
        return list(replies(output, seconds))


def _rounds(method: str, keys: list) -> list[int]:
    """Number the requests that are the same: 0 for the first, 1 for its first repeat."""
    seen: Counter[str] = Counter()
    found = []
    for key in keys:
        name = name_of(method, key)
        found.append(seen[name])
        seen[name] += 1
    return found


@contextlib.contextmanager
def _named(what: str) -> Iterator[None]:
    """Say what an answer lacks, where reading it fails."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise Unusable(what) from error
