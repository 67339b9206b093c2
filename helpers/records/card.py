"""The evaluation card of a version: what was measured, on what data, by whom, how sure that is, and what was not.

One JSON file for people and programs outside: signed by whoever measures here, and verified without a registry.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from helpers.artifacts import AnyMeasurement, Evaluation, LoadTest, Metric, Record, now
from helpers.artifacts.canonical import canonical
from helpers.artifacts.measurement import Tier
from helpers.errors import AssayError, InvalidInput, SignatureInvalid
from helpers.records import reading
from helpers.registry import AttachedRecord, History, Registry, Version
from helpers.runtime import circumstances, keys, signing

KIND, FORM = "evaluation-card", 1
ABOUT = (
    "digest", "license", "parameters", "size_bytes", "model_format", "ingested_at", "ingested_by", "scanners",
    "policy_digest", "signer", "endpoint", "endpoint_model",
)  # fmt: skip
Json = dict[str, Any]


def card(registry: Registry, version: Version) -> Json:
    """Return the card of a version, with every record of it that is not withdrawn.

    What cannot be read is named with the reason. Raises RegistryUnreachable.
    """
    attached = registry.records(version.name, version.version, also_withdrawn=True)
    found: list[tuple[Record, bool]] = []
    unread = []
    for entry in (entry for entry in attached if not entry.withdrawal):
        try:
            found.append(_read(entry))
        except AssayError as error:
            unread.append({"record": entry.record_id, "why": error.what})
    history = registry.history(version.model_version_id)
    review = registry.reviews().get(version.model_version_id)
    return {
        "kind": KIND,
        "card_version": FORM,
        "made_at": f"{now():%Y-%m-%dT%H:%M:%SZ}",
        "made_by": circumstances.account(),
        "model": {"name": version.name, "version": version.version, **_about(version)},
        "state": _state(history),
        "review": str(review or ""),
        "doubt": history.doubt,
        "decisions": _decisions(history),
        "records": [_record(record, signed) for record, signed in found],
        "withdrawn": [_withdrawn(entry) for entry in attached if entry.withdrawal],
        "not_read": unread,
        "not_measured": list(_not_measured([record for record, _ in found])),
    }


def signed(content: Json) -> str:
    """Return the card as a file, signed with the key that signs records. Raises InvalidInput where there is none."""
    document = signing.sign(content, keys.signing_key(keys.MEASURING))
    return json.dumps({"card": content, "signature": document.signature, "key": document.key}, indent=2) + "\n"


def verified(path: Path) -> Json:
    """Return the card in a file, whose measuring key is trusted here. Raises InvalidInput or SignatureInvalid."""
    try:
        found = json.loads(path.read_bytes())
        document = signing.Document(canonical(found["card"]).decode(), str(found["signature"]), str(found["key"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{path} is no evaluation card", do="Name a file that `card` has written") from error
    try:
        return signing.verified(document, KIND, keys.trusted(keys.MEASURING))
    except SignatureInvalid as error:
        raise SignatureInvalid(f"{path} {error.what}", do="Ask for a new one") from error


def _read(entry: AttachedRecord) -> tuple[Record, bool]:
    """Return the record, and whether somebody trusted has signed it."""
    record = reading.read(entry)
    try:
        reading.require_signed(record, entry.uri)
    except SignatureInvalid:
        return record, False
    return record, True


def _about(version: Version) -> Json:
    return {name: version.properties[name] for name in ABOUT if name in version.properties}


def _state(history: History) -> str:
    return history.standing.said.state if history.standing else "candidate"


def _decisions(history: History) -> list[Json]:
    names = ("state", "reasons", "by", "account", "decided_at", "record", "policy_digest", "criteria_digest")
    more = ("successor", "review_by")
    return [
        {name: value for name in names + more if (value := getattr(link.said, name))} | {"digest": link.digest}
        for link in history.decided
    ]


def _withdrawn(entry: AttachedRecord) -> Json:
    gone = entry.withdrawal
    return {"record": entry.record_id, "by": gone.by, "reason": gone.reason} if gone else {}


def _record(record: Record, trusted: bool) -> Json:
    endpoint = record.endpoint
    return {
        "record": record.record_id,
        "digest": record.digest,
        "signature_trusted": trusted,
        "purpose": record.purpose,
        "use_case": record.use_case,
        "use_case_files": record.use_case_files,
        "measured_by": record.account,
        "started_by": record.started_by,
        "from": f"{min(each.started for each in record.measurements).isoformat(timespec='seconds')}",
        "to": record.ended.isoformat(timespec="seconds"),
        "engine": f"{endpoint.engine} {endpoint.engine_version}",
        "engine_args": list(endpoint.engine_args),
        "hardware": str(endpoint.hardware),
        "files_verified": endpoint.digest_verified,
        "tools": record.versions,
        "git_commit": record.git_commit,
        "measurements": [_measurement(each) for each in record.measurements],
        "raw_files": record.raw_digests,
    }


def _measurement(measurement: AnyMeasurement) -> Json:
    told: Json = {
        "name": measurement.name,
        "tier": measurement.tier,
        "kind": measurement.kind,
        "asked": measurement.subject,
        "data_digest": measurement.dataset_digest,
        "tools": measurement.versions,
        "settings": measurement.settings,
        "imported": measurement.imported,
        "partial": measurement.partial,
        "became_of": measurement.failures.model_dump(),
        "metrics": [metric.model_dump(mode="json") | _spread(measurement, metric) for metric in measurement.metrics],
    }
    if isinstance(measurement, LoadTest):
        return told | {"slo": measurement.slo.model_dump(), "operating_point": measurement.operating_point.reason}
    more = ("metric", "num_fewshot", "chance", "clusters")
    return told | {name: getattr(measurement, name) for name in more}


def _spread(measurement: AnyMeasurement, metric: Metric) -> Json:
    """Return the standard deviation of the repeats of a load test."""
    headline = measurement.headline if isinstance(measurement, LoadTest) else None
    return {"standard_deviation": headline.spread[metric.name]} if headline and metric.name in headline.spread else {}


def _not_measured(records: Sequence[Record]) -> Iterator[str]:
    """Yield what nobody has measured, and what was measured without saying how sure it is."""
    tiers = {each.tier for record in records for each in record.measurements}
    yield from (f"{tier}: not measured" for tier in get_args(Tier) if tier not in tiers)
    for record in records:
        if not record.endpoint.digest_verified:
            yield f"record {record.record_id}: nobody has seen which files were served"
        for each in record.measurements:
            about = f"{each.name} of record {record.record_id}"
            if each.partial:
                yield f"{about}: {each.partial}"
            if isinstance(each, LoadTest) and not each.headline:
                yield f"{about}: no operating point, {each.operating_point.reason}"
            for metric in each.metrics:
                if not metric.interval and not _spread(each, metric):
                    yield f"{about}: {metric.name} without uncertainty, from n = {metric.n}"
            if isinstance(each, Evaluation) and each.imported:
                yield f"{about}: another tool measured it, nothing of it was seen here"
