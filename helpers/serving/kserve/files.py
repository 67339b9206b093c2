"""The proof for the model's files, also where they lie on a volume."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlparse

from helpers import storage
from helpers.artifacts import Selection
from helpers.errors import InvalidParameter, NotFound
from helpers.ingestion.policy import Policy
from helpers.serving.verification import address, tokenizer_of, verified

MOUNTS = Path("/mnt")


def find_files(selection: Selection, policy: Policy) -> tuple[Path, bool]:
    """Return a folder with the tokenizer, and whether what KServe will load was verified.

    A volume can be read here only where this stage's own pod mounts it, at /mnt/CLAIM. Where it does not, the model's
    copy in the store of records gives the tokenizer, and nobody has verified the volume.
    """
    place = urlparse(address(selection))
    if place.scheme != "pvc":
        return verified(selection, policy), True
    folder = MOUNTS / place.netloc / place.path.strip("/")
    if folder.is_dir():
        return verified(selection.model_copy(update={"uri": folder.as_uri()}), policy), True
    copy = f"{storage.resolve('auto')}/models/{selection.digest.removeprefix('sha256:')}"
    try:
        tokenizer = tokenizer_of(selection.model_copy(update={"uri": copy}), policy)
    except NotFound as error:
        raise InvalidParameter(
            f"{selection.label} is on the volume {place.netloc}, which this stage cannot read, and not in {copy}",
            do=f"Mount the volume at {MOUNTS / place.netloc} in this node, or ingest the model to the store",
        ) from error
    print(f"{selection.label} on the volume {place.netloc} could not be verified from here", flush=True)
    return tokenizer, False
