"""The model's bill of materials: a CycloneDX ML-BOM that depends on nothing but the model and the facts about it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5

if TYPE_CHECKING:
    from cyclonedx.model import ExternalReference, HashType, Property
    from cyclonedx.model.component import Component

DESCRIBED = ("name", "version", "license", "source", "commit", "ingested_at")  # by fields of their own


def bill_of_materials(folder: Path, sums: Mapping[str, str], digest: str, facts: Mapping[str, str]) -> str:
    """Return the ML-BOM (CycloneDX 1.6, JSON) of a model: itself, each of its files, where it is from.

    `facts` needs name, version, license, source and ingested_at; what else it has becomes properties, because the
    library cannot write a `modelCard` yet. The same arguments give the same text.
    """
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.output.json import JsonV1Dot6

    model = _model(digest, facts)
    files = [_file(name, value, (folder / name).stat().st_size) for name, value in sums.items()]
    bom = Bom(
        serial_number=uuid5(NAMESPACE_URL, digest),
        metadata=BomMetaData(component=model, timestamp=datetime.fromisoformat(facts["ingested_at"])),
        components=files,
    )
    bom.register_dependency(model, files)
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def _model(digest: str, facts: Mapping[str, str]) -> Component:
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model.component import Component, ComponentType

    return Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=digest,
        name=facts["name"],
        version=facts["version"],
        hashes=[_sha256(digest.removeprefix("sha256:"))],
        licenses=[LicenseFactory().make_from_string(facts["license"])],
        external_references=[_origin(facts)],
        properties=[_property(name, facts[name]) for name in facts if name not in DESCRIBED],
    )


def _origin(facts: Mapping[str, str]) -> ExternalReference:
    from cyclonedx.model import ExternalReference, ExternalReferenceType, XsUri

    return ExternalReference(
        type=ExternalReferenceType.DISTRIBUTION, url=XsUri(facts["source"]), comment=facts.get("commit")
    )


def _file(name: str, value: str, size: int) -> Component:
    from cyclonedx.model.component import Component, ComponentType

    return Component(
        type=ComponentType.FILE,
        bom_ref=name,
        name=name,
        hashes=[_sha256(value)],
        properties=[_property("size_bytes", str(size))],
    )


def _sha256(value: str) -> HashType:
    from cyclonedx.model import HashAlgorithm, HashType

    return HashType(alg=HashAlgorithm.SHA_256, content=value)


def _property(name: str, value: str) -> Property:
    from cyclonedx.model import Property

    return Property(name=f"assay:{name}", value=value)
