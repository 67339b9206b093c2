"""oci://registry/repository:tag or @sha256:…: a modelcar, of which the files under /models are the model."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from helpers.ingestion.findings import Finding
from helpers.ingestion.oci import Image, Reference, Registry, receive
from helpers.ingestion.policy import Limits, Policy
from helpers.ingestion.sources.plan import Plan, Sums


def plan(address: str, policy: Policy) -> Plan:
    """Return the plan for an image. Raises InvalidParameter, NotFound, SourceUnreachable or Refused."""
    reference = Reference.parse(address)
    origin = {"kind": "registry", "class": reference.host, "group": reference.repository}
    allowed = policy.sources.registries
    if "*" not in allowed and reference.host not in allowed:
        problem = f"comes from the registry {reference.host}, which the policy does not allow"
        do = "Take it from an allowed registry, or let the platform team add this one to the policy"
        return Plan("", origin, {}, (Finding(".", "source", "medium", problem, do),))
    with Registry(reference) as registry:
        image = Image(registry)
    pinned = reference.at(image.digest)
    origin |= {"id": image.digest, "name": reference.repository.rpartition("/")[2]}
    findings = []
    if image.size > policy.limits.total_bytes:
        problem = f"has layers of {image.size:,} bytes in all, more than the {policy.limits.total_gib:g} GiB allowed"
        findings.append(Finding(".", "size", "medium", problem, "Choose a smaller model, or raise the policy's limit"))
    facts = {"commit": image.digest, "image": str(pinned)}
    return Plan(image.digest, origin, facts, tuple(findings), partial(_receive, pinned, policy.limits))


def _receive(reference: Reference, limits: Limits, work: Path, model: Path) -> Sums:
    from helpers.ingestion.digests import hash_folder

    if not model.is_dir():
        with Registry(reference) as registry:
            receive(Image(registry), model, limits, work / "layers")
    return hash_folder(model)
