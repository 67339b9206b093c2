"""What finetune_model made: its files in the store, held by the digest that it noted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlparse

from helpers import storage
from helpers.artifacts import Tuned
from helpers.errors import NotFound, SignatureInvalid
from helpers.ingestion.digests import digest_of
from helpers.ingestion.findings import Finding
from helpers.ingestion.metering import Refused
from helpers.ingestion.policy import Policy
from helpers.ingestion.sources import bucket, folder
from helpers.ingestion.sources.plan import Plan, Sums
from helpers.runtime import keys, signing

DO_SIGN = "Run finetune_model with FRESH=true, where MEASURING_KEY is set"
MEASURED = {"run", "seconds", "losses", "hardware"}  # what another training of the same identity may say otherwise
KIND = "tuned model"  # as which its description in the store is signed


def is_tuned(source: str) -> bool:
    """Return whether a source is what finetune_model wrote: the file of this run, or the signed one in the store."""
    return source.rpartition("/")[2] == Tuned.filename


def read(source: str) -> Tuned:
    """Return what a tuned.json says, as a trusted key signed it.

    A run's own file names the signed one in the store, and has to say the same. Raises NotFound, InvalidInput,
    SignatureInvalid, StoreFailed or StoreUnreachable.
    """
    if "://" in source:
        return read_signed(source, storage.get(source))
    path = Path(source).expanduser()
    if not path.is_file():
        raise NotFound(f"{path} does not exist", do="Run finetune_model first")
    if b'"signature"' in (data := path.read_bytes()):
        return read_signed(source, data)
    own = Tuned.read(path.parent)
    signed = f"{own.uri.rpartition('/')[0]}/{Tuned.filename}"
    if not storage.exists(signed):
        raise SignatureInvalid(f"Nobody signed {own.label}: there is no {signed}", do=DO_SIGN)
    told = read_signed(signed, storage.get(signed))
    if told.model_dump(exclude=MEASURED) != own.model_dump(exclude=MEASURED):
        raise SignatureInvalid(f"{path} says something else than {signed}, which was signed", do=DO_SIGN)
    return own


def read_signed(uri: str, data: bytes) -> Tuned:
    """Return what a signed description says. Raises SignatureInvalid where nobody trusted signed it."""
    try:
        found = json.loads(data)
        document = signing.Document.of(found) if isinstance(found, dict) else None
    except ValueError:
        document = None
    if not document:
        raise SignatureInvalid(f"{uri} is not signed", do=DO_SIGN)
    try:
        payload = signing.verified(document, KIND, keys.trusted(keys.MEASURING))
    except SignatureInvalid as error:
        raise SignatureInvalid(f"{uri} {error.what}", do=DO_SIGN) from error
    return Tuned.model_validate(payload["tuned"])


def plan(source: str, policy: Policy) -> Plan:
    """Return the plan for the model that a tuned.json describes. Raises as `read`, and SourceUnreachable."""
    tuned = read(source)
    if not policy.sources.tuned:
        finding = Finding(
            ".", "source", "medium", f"was tuned from {tuned.parent.label}, and the policy lets in nothing tuned",
            "Let the platform team set sources.tuned of the policy",
        )  # fmt: skip
        return Plan("", {}, {}, (finding,))
    found = _at(tuned.uri, policy)

    def receive(work: Path, model: Path) -> Sums:
        sums = found.receive(work, model)
        if (known := digest_of(sums)) != tuned.digest:
            problem = f"is {known}, and finetune_model noted {tuned.digest}"
            raise Refused(tuned.uri, Finding(".", "digest", "high", problem, "Run finetune_model with FRESH=true"))
        return sums

    return replace(found, facts={**found.facts, **tuned.facts()}, receive=receive)


def _at(uri: str, policy: Policy) -> Plan:
    """Return the plan for the files in our own store: the policy's folders and buckets are about others."""
    here = storage.local_path(uri)
    if here:
        return folder.plan(here, _letting(policy, folders=True))
    name = urlparse(uri).netloc
    return bucket.plan(uri.removeprefix("s3://"), _letting(policy, buckets=(*policy.sources.buckets, name)))


def _letting(policy: Policy, **sources: object) -> Policy:
    return policy.model_copy(update={"sources": policy.sources.model_copy(update=sources)})
