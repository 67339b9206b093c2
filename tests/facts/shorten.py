"""Record the field rules of the platform's published schemas: names, types and what is required, no prose.

python -m tests.facts.shorten PUBLISHED writes tests/facts/schemas/ from a folder that holds the custom resource
definitions of KServe (kserve-rhoai-VERSION-PLURAL.crd.yaml), catalog.openapi.yaml and the catalog's demo data.
"""

from __future__ import annotations

import json
import sys
import tarfile
from pathlib import Path
from typing import Any

import yaml

SCHEMAS = Path(__file__).parent / "schemas"
RULES = {
    "type", "properties", "required", "items", "enum", "additionalProperties", "allOf", "anyOf", "oneOf", "$ref",
    "pattern", "minimum", "maximum", "minLength", "maxLength", "discriminator", "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-int-or-string",
}  # fmt: skip
# What Assay never writes and what Kubernetes' own schemas hold: the name is kept, the field counts as unknown.
LEFT_OUT = {
    "affinity", "canary", "ephemeralContainers", "explainer", "initContainers", "huggingface", "lightgbm", "onnx",
    "paddle", "pmml", "pytorch", "sklearn", "status", "tensorflow", "transformer", "triton", "workerSpec", "xgboost",
}  # fmt: skip
CATALOG = ("CatalogModel", "CatalogMetricsArtifact", "MetadataIntValue", "MetadataDoubleValue", "MetadataStringValue")


def rules(schema: Any, *, names: bool = False) -> Any:
    """Return a schema without its prose; `names` says that the keys are field names."""
    if isinstance(schema, list):
        return [rules(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if names:
        return {name: rules(item) for name, item in schema.items() if name not in LEFT_OUT}
    return {key: rules(item, names=key == "properties") for key, item in schema.items() if key in RULES}


def references(schema: Any) -> set[str]:
    """Return the names of the components that a schema refers to."""
    if isinstance(schema, list):
        return {name for item in schema for name in references(item)}
    if not isinstance(schema, dict):
        return set()
    own = {schema["$ref"].rsplit("/", 1)[-1]} if isinstance(schema.get("$ref"), str) else set()
    return own | references(list(schema.values()))


def custom_resource(file: Path) -> dict[str, Any]:
    """Return the served version's name and its rules."""
    [version] = yaml.load(file.read_text("utf-8"), yaml.CSafeLoader)["spec"]["versions"]
    return {"name": version["name"], "schema": rules(version["schema"]["openAPIV3Schema"])}


def catalog(file: Path) -> dict[str, Any]:
    """Return the components that a catalog entry is made of."""
    known = yaml.load(file.read_text("utf-8"), yaml.CSafeLoader)["components"]["schemas"]
    found: dict[str, Any] = {}
    open_names = set(CATALOG)
    while open_names - set(found):
        name = sorted(open_names - set(found))[0]
        found[name] = rules(known[name])
        open_names |= references(found[name])
    return {"components": {"schemas": dict(sorted(found.items()))}}


def demo(file: Path) -> dict[str, dict[str, list[str]]]:
    """Return the types of each field in the platform's own records, by the name of their file."""
    fields: dict[str, dict[str, set[str]]] = {}
    with tarfile.open(file) as tar:
        for member in tar.getmembers():
            stream = tar.extractfile(member) if member.name.endswith(".ndjson") else None
            for line in stream or ():
                into = fields.setdefault(member.name.rsplit("/", 1)[-1], {})
                for key, value in json.loads(line).items():
                    into.setdefault(key, set()).add(type(value).__name__)
    return {name: {key: sorted(kinds) for key, kinds in sorted(into.items())} for name, into in sorted(fields.items())}


def write(name: str, content: Any) -> None:
    """Write one file of facts."""
    (SCHEMAS / name).write_text(json.dumps(content, separators=(",", ":"), sort_keys=True) + "\n")


if __name__ == "__main__":
    published = Path(sys.argv[1])
    for definition in sorted(published.glob("kserve-*.crd.yaml")):
        write(definition.name.replace(".crd.yaml", ".json"), custom_resource(definition))
    write("catalog.json", catalog(published / "catalog.openapi.yaml"))
    [archive] = published.glob("catalog-demo-*.tar.gz")
    write("catalog-fields.json", demo(archive))
