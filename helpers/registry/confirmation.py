"""Hold a selection that an earlier stage made against what the registry says now."""

from __future__ import annotations

from helpers.artifacts import Selection
from helpers.errors import DigestMismatch, NotApproved
from helpers.registry.listing import Version


def confirm(version: Version, selection: Selection, *, require_approval: bool) -> None:
    """Raise DigestMismatch where the registry names another digest, NotApproved where the version may not be used."""
    registered = version.properties.get("digest")
    if registered != selection.digest:
        raise DigestMismatch(
            f"The registry names digest {registered} for {selection.label}, and the selection {selection.digest}",
            do="Run registry_lookup or ingest_model again, and find out what changed if it happens twice",
        )
    approval = str(version.properties.get("approval", "unknown"))
    if version.archived:
        raise NotApproved(f"{selection.label} is archived", do="Choose another version with registry_lookup")
    if require_approval and approval != "approved":
        reasons = version.properties.get("approval_reasons") or "nobody has decided on it"
        raise NotApproved(
            f"{selection.label} is {approval}, not approved: {reasons}",
            do="Choose another version with registry_lookup, or have ModelOps run the model-ops pipeline on it",
        )
