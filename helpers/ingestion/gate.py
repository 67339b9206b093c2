"""A model's way in: fetched into quarantine, inspected, sealed, published, registered as a candidate."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from helpers import storage
from helpers.artifacts import Selection, Tuned, now, run
from helpers.artifacts.names import OWN
from helpers.errors import InvalidInput, NotApproved
from helpers.ingestion.digests import digest_of
from helpers.ingestion.findings import Inspection, ordered, refuse
from helpers.ingestion.inspection import inspect
from helpers.ingestion.inspection.licenses import CARD, card_fields, license_name
from helpers.ingestion.policy import Policy, load_policy
from helpers.ingestion.publication import kept, publish
from helpers.ingestion.sealing import Package, seal
from helpers.ingestion.sealing.signing import signer_name
from helpers.ingestion.sizes import parameter_count, size_bytes
from helpers.ingestion.sources import Fetched, check_form, fetch
from helpers.ingestion.sources.tuned import is_tuned, read
from helpers.registry import Registry
from helpers.runtime import circumstances, parameters
from helpers.runtime.workspace import home

FIRST = "1.0.0"  # version
SNAPSHOT = re.compile(r"/models--[^/]+--([^/]+)/snapshots/[^/]+$")  # as the hub's cache names its folders
ARCHIVE = re.compile(r"(\.tar(\.\w+)?|\.tgz|\.zip)$")


class Settings(parameters.Settings):
    """Which model comes in, under which policy, name and version, and where it is published."""

    source: Annotated[str, parameters.held_by(check_form)] = Field(
        min_length=1, description="folder, sample://, hf://, s3:// or oci://"
    )
    model_name: str = Field(default="", pattern=rf"^$|{OWN}", description="the source's last word where empty")
    model_version: str = Field(
        default="", pattern=rf"^$|{OWN}", description="1.0.0 where empty, or what finetune_model chose"
    )
    model_store: Annotated[str, parameters.held_by(lambda uri: storage.check_form(uri, storage.IMAGES))] = Field(
        default="local", description="local, file:///folder, s3://bucket/prefix or oci://host/repository"
    )
    policy: Path = Field(description="the policy file")

    @model_validator(mode="after")
    def _named(self) -> Settings:
        if not is_tuned(self.source) and not self.name:
            raise ValueError(f"SOURCE={self.source} has no name in it: set MODEL_NAME")
        return self

    @property
    def tuned(self) -> Tuned | None:
        """What finetune_model left, where that is the source."""
        return read(self.source) if is_tuned(self.source) else None

    @property
    def version(self) -> str:
        """The version in the registry."""
        return self.model_version or (self.tuned.version if self.tuned else FIRST)

    @property
    def name(self) -> str:
        """The name in the registry."""
        if self.model_name or self.tuned:
            return self.model_name or (self.tuned.name if self.tuned else "")
        path = SNAPSHOT.sub(r"/\1", self.source.rstrip("/")).rpartition("/")[2]
        last = ARCHIVE.sub("", path.partition("@")[0].partition(":")[0])
        return re.sub(r"[^A-Za-z0-9._-]+", "-", last).strip("-._")[:63]


@dataclass(frozen=True)
class Arrival:
    """A model in quarantine and what its inspection found; `admit` lets it in or throws it away."""

    settings: Settings
    policy: Policy
    fetched: Fetched
    inspection: Inspection
    quarantine: ExitStack


def receive(settings: Settings) -> Arrival:
    """Fetch the source into quarantine and inspect it; what is wrong is a finding in the arrival, not an error.

    Raises InvalidPolicy, InvalidInput (a key that is not trusted), NotFound, SourceUnreachable or StoreFailed.
    """
    policy = load_policy(settings.policy)
    signer_name(policy)  # an untrusted key is refused before anything is fetched
    storage.resolve(settings.model_store)
    with ExitStack() as stack:
        fetched = stack.enter_context(fetch(settings.source, policy, home() / "quarantine"))
        return Arrival(settings, policy, fetched, _inspect(fetched, policy, settings.source), stack.pop_all())


def _inspect(fetched: Fetched, policy: Policy, source: str) -> Inspection:
    if not fetched.complete:  # refused on the way, so what is missing says nothing about the model
        return Inspection(
            source=source, files=0, size_bytes=0, findings=ordered(fetched.findings), policy_digest=policy.digest
        )
    seen = inspect(fetched.folder, policy, source=source, at_source=not fetched.sums)  # or it was copied from there
    return seen.model_copy(update={"findings": ordered((*fetched.findings, *seen.findings))})


def admit(arrival: Arrival, registry: Registry) -> Selection:
    """Sign, publish and register what arrived as a candidate; the same content again changes nothing.

    Raises RefusedModel with every finding, or InvalidInput where the version exists with other content. Either way
    the quarantine is emptied.
    """
    with arrival.quarantine:
        refuse(arrival.inspection)
        settings, fetched = arrival.settings, arrival.fetched
        _check_version(settings, digest_of(fetched.sums), registry)
        facts = _facts(arrival)
        _check_parent(settings, facts["license"], registry)
        known = {"size_bytes": size_bytes(fetched.folder), "parameters": parameter_count(fetched.folder)}
        store = storage.resolve(settings.model_store)
        stored = kept(fetched.folder, fetched.sums, store)
        package = seal(fetched.folder, fetched.sums, facts, arrival.policy, stored)
        uri = publish(package, store)
        return registry.register_candidate(
            settings.name, settings.version, uri=uri, digest=package.digest, license=facts["license"],
            source=fetched.origin, provenance=_provenance(package, facts), **known,
        )  # fmt: skip


def ingest(settings: Settings, registry: Registry) -> Selection:
    """Receive and admit in one step."""
    return admit(receive(settings), registry)


def _check_version(settings: Settings, digest: str, registry: Registry) -> None:
    for version in registry.versions():
        if (version.name, version.version) != (settings.name, settings.version):
            continue
        if (known := version.properties.get("digest")) != digest:
            raise InvalidInput(
                f"{settings.name} {settings.version} is registered with digest {known}, not {digest}",
                do="Give MODEL_VERSION a new value",
            )


def _check_parent(settings: Settings, license: str, registry: Registry) -> None:
    """Refuse what was tuned from a version that is not approved here, or has another licence. Raises NotApproved."""
    tuned = settings.tuned
    if not tuned:
        return
    parent = tuned.parent
    known = {(v.name, v.version, v.properties.get("digest")): v.properties for v in registry.judged()}
    found = known.get((parent.name, parent.version, parent.digest), {})
    if (state := found.get("approval", "not registered here")) != "approved":
        raise NotApproved(
            f"{tuned.label} was tuned from {parent.label}, which is {state}",
            do="Measure and approve the parent with model-ops first",
        )
    if license != found.get("license"):
        raise NotApproved(
            f"{tuned.label} has the licence {license}, and its parent {parent.label} {found.get('license')}",
            do="Run finetune_model with FRESH=true: it writes the parent's licence",
        )


def _facts(arrival: Arrival) -> dict[str, str]:
    return {
        "name": arrival.settings.name,
        "version": arrival.settings.version,
        "license": license_name(card_fields(arrival.fetched.folder / CARD)),
        "policy_digest": arrival.inspection.policy_digest,
        "scanners": json.dumps(arrival.inspection.scanners, sort_keys=True),
        "ingested_at": f"{now():%Y-%m-%dT%H:%M:%SZ}",
        "ingested_by": circumstances.account(),
        **_run(),
        **arrival.fetched.facts,
    }


def _run() -> dict[str, str]:
    """Return the run that brings the model in and who started it, as far as both are known."""
    known = {"ingested_in": os.environ.get(run.VARIABLE, ""), "started_by": circumstances.started_by()}
    return {name: value for name, value in known.items() if value}


def _provenance(package: Package, facts: Mapping[str, str]) -> dict[str, Any]:
    kept = {name: value for name, value in facts.items() if name not in ("name", "version", "license")}
    return {**kept, "signer": package.signer, "signature": "provenance/model.sig", "bom": "provenance/bom.cdx.json"}
