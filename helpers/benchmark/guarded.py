"""Importing this mends GuideLLM, in the driver and in each worker that is forked: see `unsticking` and `streams`."""

from guidellm.backends.openai.request_handlers import TextCompletionsRequestHandler
from guidellm.scheduler.worker import WorkerProcess
from guidellm.scheduler.worker_group import WorkerGroupState, WorkerProcessGroup

from helpers.benchmark.streams import demand_an_end
from helpers.benchmark.unsticking import guard

guard(WorkerProcessGroup, WorkerGroupState, WorkerProcess)
demand_an_end(TextCompletionsRequestHandler)
