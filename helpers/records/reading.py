"""Read a record as the registry names it: its id says all that is in it, and a trusted signature who measured it.

The signatures lie beside the record, one file for each signer, so that several groups can vouch for one.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

from pydantic import ValidationError

from helpers import storage
from helpers.artifacts import Evaluation, Record, now
from helpers.errors import DigestMismatch, InvalidInput, NotFound, SignatureInvalid
from helpers.evaluation.samples import read_answers
from helpers.registry import AttachedRecord
from helpers.runtime import circumstances, keys, signing

KIND = "record"
DO_MEASURE = "Measure again"


def read(attached: AttachedRecord) -> Record:
    """Return the record. Raises InvalidInput, DigestMismatch, or what the store raises."""
    name = f"record {attached.record_id} at {attached.uri}"
    try:
        record = Record.model_validate_json(storage.get(attached.uri))
    except ValidationError as error:
        raise InvalidInput(f"{name} cannot be read ({error.errors()[0]['msg']})", do=DO_MEASURE) from error
    if record.record_id != attached.record_id:
        raise DigestMismatch(f"{attached.uri} is record {record.record_id}, not {attached.record_id}", do=DO_MEASURE)
    known = attached.summary.get("digest", "")
    if known != record.digest:
        raise DigestMismatch(f"{name} is {record.digest or 'of before'}, not {known or 'signed'}", do=DO_MEASURE)
    return record


def read_signed(attached: AttachedRecord) -> Record:
    """Return the record where somebody trusted has signed it. Raises as `read`, and SignatureInvalid."""
    record = read(attached)
    require_signed(record, attached.uri)
    return record


def read_trusted(attached: AttachedRecord) -> Record:
    """Return the record, signed where the administrator says whose signatures count. Raises as `read_signed`."""
    return read_signed(attached) if keys.environments(keys.MEASURING) else read(attached)


def raw_file(record: Record, name: str) -> bytes:
    """Return a raw file of a record as it was measured. Raises NotFound, DigestMismatch, or what the store raises."""
    if name not in record.raw:
        what = f"Record {record.record_id} of {record.selection.label} names no place for {name}"
        raise NotFound(what, do=DO_MEASURE)
    content, known = storage.get(record.raw[name]), record.raw_digests.get(name)  # records of before have none
    if known and hashlib.sha256(content).hexdigest() != known:
        raise DigestMismatch(f"{record.raw[name]} is not the file that was measured", do=DO_MEASURE)
    return content


def sign(record: Record, uri: str) -> str:
    """Write the signature of whoever measures here beside the record; return its address. Raises InvalidInput."""
    private = keys.signing_key(keys.MEASURING)
    document = signing.sign(_payload(record), private)
    return storage.put(json.dumps(document.fields(), indent=2).encode(), _signature(uri, document.key))


def require_signed(record: Record, uri: str) -> None:
    """Raise SignatureInvalid unless one of the trusted measuring keys has signed the record at `uri`."""
    trusted = keys.trusted(keys.MEASURING)
    why = f"has no signature of a trusted key, {keys.told(trusted)} is trusted"
    for public in trusted:
        try:
            found = json.loads(storage.get(_signature(uri, keys.fingerprint(public))))
            document = signing.Document.of(found) if isinstance(found, dict) else None
            payload = signing.verified(document, KIND, trusted) if document else {}
        except (NotFound, ValueError):
            continue
        except SignatureInvalid as error:
            why = error.what
            continue
        if record.digest and payload.get("digest") == record.digest:
            return
        why = f"has the signature of another one, {payload.get('digest')}"
    raise SignatureInvalid(f"Record {record.record_id} of {record.selection.label} {why}", do=DO_MEASURE)


def require_scored(evaluation: Evaluation, folder: Path) -> None:
    """Raise DigestMismatch unless the score is what the samples log in `folder` says, InvalidInput where it is none."""
    log = folder / evaluation.samples
    scores = [sample.score for sample in read_answers(log, evaluation.metric).values()]
    score = math.fsum(scores) / len(scores) if scores else 0.0
    if len(scores) != evaluation.n or not math.isclose(score, evaluation.score, abs_tol=1e-9):
        said = f"{score:.4f} of {len(scores)} questions, the measurement {evaluation.score:.4f} of {evaluation.n}"
        raise DigestMismatch(f"{evaluation.name}: {log} says {said}", do=DO_MEASURE)


def _payload(record: Record) -> dict[str, str]:
    return {
        "kind": KIND,
        "record": record.record_id,
        "digest": record.digest,
        "model": record.selection.name,
        "version": record.selection.version,
        "account": circumstances.account(),
        "signed_at": f"{now():%Y-%m-%dT%H:%M:%SZ}",
    }


def _signature(uri: str, key: str) -> str:
    return f"{uri.rpartition('/')[0]}/signatures/{key.removeprefix('sha256:')[:16]}.json"
