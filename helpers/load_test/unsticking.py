"""A strategy that GuideLLM can neither start nor end is started again, or ended with what was measured.

GuideLLM waits for ever where a worker does not come up or the end of a request is never reported (its issues 431 and
1152, open at 0.8.1). Both are waited for with a limit here, said, and shown with the stacks of all threads in the log.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

START_SECONDS = float(os.environ.get("ASSAY_START_SECONDS", "60"))  # workers need two, ten of them on two cores ten
END_SECONDS = float(os.environ.get("ASSAY_END_SECONDS", "15"))  # without any news, after the strategy is over
STARTS = 3
THREADS = 64  # asyncio's own pool has six on two cores, which is as many as one worker blocks while it starts


def guard(group: Any, state: Any, worker: Any) -> None:
    """Put the limits around GuideLLM's classes WorkerProcessGroup, WorkerGroupState and WorkerProcess."""
    _limit_start(group)
    _limit_end(state)
    _give_threads(worker)


def _limit_start(group: Any) -> None:
    create = group.create_processes

    async def create_processes(self: Any) -> None:
        widen_pool()
        for _ in range(STARTS):
            try:
                return await asyncio.wait_for(create(self), START_SECONDS)
            except TimeoutError:
                _tell(f"GuideLLM's workers did not start within {START_SECONDS:g} s, they are started again")
                await self.shutdown()
        raise RuntimeError(f"GuideLLM's workers did not start in {STARTS} attempts")

    group.create_processes = create_processes


def _limit_end(state: Any) -> None:
    update = state.update_state

    def update_state(self: Any, info: Any = None, **rest: Any) -> Any:
        result, moment = update(self, info, **rest), time.monotonic()
        if info is not None or not result.stop_processing:
            self.last_news = moment
        elif moment - self.last_news > END_SECONDS and not self.shutdown_event.is_set():
            lost = result.state.created_requests - result.state.processed_requests
            _tell(f"GuideLLM waited for {lost} requests whose end it never heard of, the strategy ends without them")
            self.shutdown_event.set()
        return result

    state.last_news, state.update_state = float("inf"), update_state


def _give_threads(worker: Any) -> None:
    run = worker.run_async

    async def run_async(self: Any) -> None:
        widen_pool()
        await run(self)

    worker.run_async = run_async


def widen_pool() -> None:
    """Let the running event loop have more threads than the machine's few cores suggest."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))


def _tell(text: str) -> None:
    print(f"assay: {text}", flush=True)
    faulthandler.dump_traceback(file=sys.__stderr__ or sys.stderr, all_threads=True)
