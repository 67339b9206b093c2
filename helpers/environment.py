"""What a process that runs somebody else's code inherits and may say: nothing that opens store, registry or hub."""

from __future__ import annotations

import re
from collections.abc import Mapping

SECRETS = ("AWS_", "STORE_AWS_", "SOURCE_AWS_", "REGISTRY_", "SIGNING_", "SIGSTORE_", "HF_TOKEN")
KEY = re.compile(r"(Bearer\s+)\S+|\bsk-[\w-]{8,}")


def without_secrets(environment: Mapping[str, str], *, keep: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the variables without the stages' own secrets, those in `keep` excepted."""
    return {name: value for name, value in environment.items() if name in keep or not name.startswith(SECRETS)}


def masked(text: str) -> str:
    """Return what a process has said, without what looks like an endpoint's key."""
    return KEY.sub(r"\1***", text)
