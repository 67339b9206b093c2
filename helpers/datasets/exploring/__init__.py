"""What a use case's data hold, before anything is measured with them: counts, lengths, and what is wrong."""

from helpers.datasets.exploring.answers import Logs
from helpers.datasets.exploring.stage import Settings, enforce, explore, gather, told

__all__ = ["Logs", "Settings", "enforce", "explore", "gather", "told"]
