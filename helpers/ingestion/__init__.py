"""The gate for models: what may come in, the digest it is known by from then on, and its way into the store."""

from helpers.ingestion.digests import digest, manifest
from helpers.ingestion.findings import Finding, Inspection
from helpers.ingestion.gate import Arrival, Settings, admit, ingest, receive
from helpers.ingestion.inspection import inspect
from helpers.ingestion.policy import Policy, load_policy
from helpers.ingestion.report import findings_table
from helpers.ingestion.sizes import parameter_count, size_bytes

__all__ = [
    "Arrival",
    "Finding",
    "Inspection",
    "Policy",
    "Settings",
    "admit",
    "digest",
    "findings_table",
    "ingest",
    "inspect",
    "load_policy",
    "manifest",
    "parameter_count",
    "receive",
    "size_bytes",
]
