"""The gate for models: what may come in, the digest it is known by from then on, and its way into the store."""

from helpers.ingestion.digests import digest, manifest, model_card, parameter_count, size_bytes
from helpers.ingestion.findings import Finding, Inspection, findings_table
from helpers.ingestion.inspection import inspect
from helpers.ingestion.policy import Policy, load_policy
from helpers.ingestion.publication import publish

__all__ = [
    "Finding",
    "Inspection",
    "Policy",
    "digest",
    "findings_table",
    "inspect",
    "load_policy",
    "manifest",
    "model_card",
    "parameter_count",
    "publish",
    "size_bytes",
]
