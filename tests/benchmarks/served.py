"""A sample model, served as deploy_model serves it, for the figures that need a server."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from helpers import serving
from helpers.artifacts import Endpoint
from helpers.ingestion.samples import SAMPLES, ensure_samples
from helpers.runtime.workspace import ROOT
from tests.plugins.models import select, serve_settings

FOLDER = ROOT / ".assay" / "samples"


def sample(name: str) -> Path:
    """Return the folder of a sample model."""
    return ensure_samples(FOLDER, [SAMPLES[name]])[name]


@contextmanager
def served(name: str, engine_args: str = "") -> Iterator[Endpoint]:
    """Serve a sample model until the block ends."""
    with tempfile.TemporaryDirectory(prefix="assay-benchmark-") as home:
        os.environ["ASSAY_HOME"] = home
        endpoint = serving.deploy(select(sample(name), name=name), serve_settings(engine_args=engine_args), Path(home))
        try:
            yield endpoint
        finally:
            serving.remove(endpoint)
            del os.environ["ASSAY_HOME"]
