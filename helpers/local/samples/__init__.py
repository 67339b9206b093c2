"""Two small Llama models that the project trains itself, on the CPU, from `datasets/` and nothing else."""

from __future__ import annotations

from helpers.local.samples.cache import ensure_samples
from helpers.local.samples.recipe import LARGE, RECIPES, SMALL, Recipe

__all__ = ["LARGE", "RECIPES", "SMALL", "Recipe", "ensure_samples"]
