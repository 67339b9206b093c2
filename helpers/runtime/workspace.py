"""Where the embedded stack keeps its state on this machine."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def home() -> Path:
    """Return the folder of the local stack: ASSAY_HOME, or `.assay` in the repository."""
    return Path(os.environ.get("ASSAY_HOME") or ROOT / ".assay")
