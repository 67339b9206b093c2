"""The gate for models: what may come in, the digest it is known by from then on, and its way into the store."""

from helpers.ingestion.digests import digest, manifest, model_card, parameter_count, size_bytes
from helpers.ingestion.inspection import Finding, admit, inspect
from helpers.ingestion.publication import Settings, ingest, publish

__all__ = [
    "Finding",
    "Settings",
    "admit",
    "digest",
    "ingest",
    "inspect",
    "manifest",
    "model_card",
    "parameter_count",
    "publish",
    "size_bytes",
]
