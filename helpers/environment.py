"""What a process that runs somebody else's code inherits: nothing that opens store, registry, hub or signature."""

from __future__ import annotations

from collections.abc import Mapping

SECRETS = ("AWS_", "STORE_AWS_", "SOURCE_AWS_", "REGISTRY_", "SIGNING_", "SIGSTORE_", "HF_TOKEN")


def without_secrets(environment: Mapping[str, str], *, keep: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the variables without the stages' own secrets, those in `keep` excepted."""
    return {name: value for name, value in environment.items() if name in keep or not name.startswith(SECRETS)}
