"""What a process that runs somebody else's code inherits and may say: nothing that opens store, registry or hub."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

ENDPOINT_KEY = "ENDPOINT_API_KEY"
GRADER_KEY = "GRADER_API_KEY"  # of another model, which grades what the endpoint's model answers
MLFLOW_TOKEN = "MLFLOW_TRACKING_TOKEN"
NOTIFY_URLS = "NOTIFY_URLS"  # of chat channels: who has one may write there
SECRETS = (
    "AWS_", "STORE_AWS_", "SOURCE_AWS_", "REGISTRY_", "SIGNING_", "SIGSTORE_", "HF_TOKEN", "HUGGING_FACE_",
    "OPENAI_API_KEY", "MEASURING_KEY", MLFLOW_TOKEN, NOTIFY_URLS, ENDPOINT_KEY, GRADER_KEY,
)  # fmt: skip
KEY = re.compile(r"(Bearer\s+)\S+|\bsk-[\w-]{8,}")
_held: list[str] = []


def without_secrets(environment: Mapping[str, str], *, keep: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the variables without the stages' own secrets, those in `keep` excepted."""
    return {name: value for name, value in environment.items() if name in keep or not name.startswith(SECRETS)}


def hold(key: str) -> None:
    """Give this process the endpoint's key outside of its environment, which a task's code may print."""
    _held[:] = [key]


def endpoint_key() -> str:
    """Return the endpoint's key, "" where there is none."""
    return (_held[0] if _held else os.environ.get(ENDPOINT_KEY, "")).strip()


def masked(text: str) -> str:
    """Return what a process or a server has said, without the endpoint's key and what looks like one."""
    key = endpoint_key()
    return KEY.sub(r"\1***", text.replace(key, "***") if key else text)
