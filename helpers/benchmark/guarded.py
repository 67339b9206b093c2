"""Importing this puts the limits of `unsticking` around GuideLLM, in the driver and in each worker that is forked."""

from guidellm.scheduler.worker import WorkerProcess
from guidellm.scheduler.worker_group import WorkerGroupState, WorkerProcessGroup

from helpers.benchmark.unsticking import guard

guard(WorkerProcessGroup, WorkerGroupState, WorkerProcess)
