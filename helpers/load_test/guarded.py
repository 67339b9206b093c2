"""Importing this mends GuideLLM, in the driver and each forked worker: see `unsticking`, `streams` and `plain`."""

import os

from guidellm.backends.openai.request_handlers import ChatCompletionsRequestHandler, TextCompletionsRequestHandler
from guidellm.scheduler.worker import WorkerProcess
from guidellm.scheduler.worker_group import WorkerGroupState, WorkerProcessGroup

from helpers.load_test.plain import only_openais_own
from helpers.load_test.streams import demand_an_end
from helpers.load_test.unsticking import guard

guard(WorkerProcessGroup, WorkerGroupState, WorkerProcess)
demand_an_end(TextCompletionsRequestHandler)
if os.environ.get("ASSAY_PLAIN_REQUESTS"):
    only_openais_own(TextCompletionsRequestHandler, ChatCompletionsRequestHandler)
