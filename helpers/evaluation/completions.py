"""lm-eval's own completions client, with three things added that a long evaluation needs.

lm-eval 0.4.13 gives up the whole run when one request has failed three times, keeps nothing of it, and cuts a prompt
that is too long without a word. Here a failed request leaves a mark and the others go on, answers are written down as
they come, a dead server ends the run within seconds, and a prompt that does not fit is a question without an answer.
Only the child process imports this module: lm_eval takes seconds to import.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aiohttp import ClientError, ClientResponseError, ClientSession, ClientTimeout, TCPConnector
from lm_eval.models import api_models
from lm_eval.models.openai_completions import LocalCompletionsAPI

from helpers import partial
from helpers.errors import EndpointUnreachable
from helpers.evaluation.asking import Progress, Unusable, all_at_once, final, reason
from helpers.evaluation.journal import Journal
from helpers.evaluation.tokenizer import load_tokenizer

ATTEMPTS = 3
NO_ANSWER = "\x00no answer"  # stands where the server gave none; a question that has it is not scored
NO_LIKELIHOOD = (math.nan, False)
# Where a chat server returns null, lm-eval puts this text in its place and scores it as a wrong answer.
api_models.LMEVAL_MODEL_NONE_ANSWER_PLACEHOLDER = NO_ANSWER

Answer = Any


class Completions(LocalCompletionsAPI):
    """`local-completions` that survives single failures and keeps what was answered."""

    def __init__(self, *, url: str, tokenizer: Path, journal: Journal, workers: int, **settings: Any) -> None:
        # More than one in flight selects lm-eval's asynchronous path, the only one overridden here.
        super().__init__(
            base_url=f"{url}/v1/completions",
            tokenizer_backend=None,
            num_concurrent=max(workers, 2),
            max_retries=ATTEMPTS,
            **settings,
        )
        self.tokenizer, self.tokenizer_backend, self.tokenized_requests = load_tokenizer(tokenizer), "huggingface", True
        self.models_url, self.journal, self.workers = f"{url}/v1/models", journal, workers
        self.reasons: list[str] = []
        self.reused = 0
        self.request_seconds = 0.0

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

    @staticmethod
    def parse_logprobs(outputs: Any, *rest: Any, **kwargs: Any) -> list[tuple[float, bool]]:
        """Return the log-probabilities; raises Unusable where some are missing."""
        with _named("the server's answer holds no log-probabilities of the prompt"):
            return LocalCompletionsAPI.parse_logprobs(outputs, *rest, **kwargs)

    @staticmethod
    def parse_generations(outputs: Any, **kwargs: Any) -> list[str]:
        """Return the texts; raises Unusable where some are missing."""
        with _named("the server's answer holds no text"):
            return LocalCompletionsAPI.parse_generations(outputs, **kwargs)

    async def get_batched_requests(
        self,
        requests: list,
        cache_keys: list,
        *,
        generate: bool = True,
        ctxlens: list[int] | None = None,
        **kwargs: Any,
    ) -> list[list[Answer]]:
        """Ask for what the journal does not hold, in batches; one list of answers, in the order of `requests`."""
        method, nothing = ("generate_until", NO_ANSWER) if generate else ("loglikelihood", NO_LIKELIHOOD)
        before = self.journal.taken.copy()
        answers = [self.journal.get(method, key) for key in cache_keys]
        todo = [index for index, answer in enumerate(answers) if answer is None and requests[index]]
        self.reused += sum(answer is not None for answer in answers)
        for origin, count in (self.journal.taken - before).items():
            print(f"{count} of {len(requests)} answers are taken over from {origin}", flush=True)
        started, progress = time.monotonic(), Progress(len(requests) - len(todo), len(requests))
        limit = asyncio.Semaphore(self.workers)
        connector = TCPConnector(limit=self.workers, ssl=self.verify_certificate)
        async with ClientSession(connector=connector, timeout=ClientTimeout(total=self.timeout)) as session:

            async def answer(batch: list[int]) -> None:
                lengths = [ctxlens[index] for index in batch] if ctxlens else None
                prompts = [requests[index] for index in batch]
                got = await self._ask(session, limit, prompts, generate=generate, ctxlens=lengths, **kwargs)
                for index, value in zip(batch, got, strict=True):
                    answers[index] = value
                    if value is not None:
                        self.journal.add(method, cache_keys[index], value)
                progress.add(len(batch))

            size = self._batch_size
            await all_at_once(answer(todo[start : start + size]) for start in range(0, len(todo), size))
        self.request_seconds += time.monotonic() - started
        return [[nothing if value is None else value for value in answers]]

    async def _ask(
        self, session: ClientSession, limit: asyncio.Semaphore, prompts: list, **kwargs: Any
    ) -> list[Answer | None]:
        """Return one answer for each prompt, None where the server gives none; a refused batch is asked one by one."""
        try:
            answers = await self._retried(session, limit, prompts, **kwargs)
            return [None if _empty(answer) else answer for answer in answers]
        except (ClientError, TimeoutError, KeyError, TypeError, ValueError, AssertionError) as error:
            await self._still_there(session, error)
            if len(prompts) == 1:
                self.reasons.append(reason(error))
                return [None]
        lengths = kwargs.pop("ctxlens") or [None] * len(prompts)
        singly = [
            self._ask(session, limit, [prompt], ctxlens=None if length is None else [length], **kwargs)
            for prompt, length in zip(prompts, lengths, strict=True)
        ]
        return [answer for answers in await asyncio.gather(*singly) for answer in answers]

    async def _retried(
        self, session: ClientSession, limit: asyncio.Semaphore, prompts: list, **kwargs: Any
    ) -> list[Answer]:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self.amodel_call(session, limit, prompts, **kwargs) or []
            except (ClientError, TimeoutError) as error:
                if attempt == ATTEMPTS or final(error):
                    raise
                await asyncio.sleep(0.5 * 2**attempt)
        raise AssertionError("unreachable")

    async def _still_there(self, session: ClientSession, error: BaseException) -> None:
        """Raise EndpointUnreachable where not this request but the server is at fault."""
        if isinstance(error, ClientResponseError) and error.status in (401, 403, 404):
            raise EndpointUnreachable(
                f"The endpoint {self.base_url} answers {error.status} ({error.message}) for model {self.model}",
                do=f"Check ENDPOINT_API_KEY and the served model name, then {partial.again()}",
            )
        try:
            async with session.get(self.models_url, headers=self.header, timeout=ClientTimeout(total=5)) as response:
                response.raise_for_status()
        except (ClientError, TimeoutError) as gone:
            raise EndpointUnreachable(
                f"The endpoint {self.base_url} stopped answering: {reason(gone)}",
                do=f"See in the server's log why, then {partial.again()}: it goes on from what was answered",
            ) from gone


@contextlib.contextmanager
def _named(what: str) -> Iterator[None]:
    """Say what an answer lacks, where reading it fails."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise Unusable(what) from error


def _empty(answer: Answer) -> bool:
    return answer == NO_ANSWER or (not isinstance(answer, str) and math.isnan(answer[0]))
