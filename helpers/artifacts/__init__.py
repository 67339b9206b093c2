"""What one stage hands to the next: small versioned JSON files under `artifacts/`.

selection.json -> endpoint.json -> sweep.json + evaluation.json -> record.json
"""

from helpers.artifacts.accuracy import Evaluation, Interval
from helpers.artifacts.base import FOLDER, Artifact, Contract, Parameter, Probability, now, write_atomic
from helpers.artifacts.deployment import Endpoint, Hardware, Selection, Server
from helpers.artifacts.record import Approval, Record
from helpers.artifacts.speed import SLO, LoadPoint, OperatingPoint, Percentiles, PrefixCache, Sweep

__all__ = [
    "FOLDER", "SLO", "Approval", "Artifact", "Contract", "Endpoint", "Evaluation", "Hardware", "Interval", "LoadPoint",
    "OperatingPoint", "Parameter", "Percentiles", "PrefixCache", "Probability", "Record", "Selection", "Server",
    "Sweep", "now", "write_atomic",
]  # fmt: skip
