"""vLLM behind KServe: an InferenceService in this project, for as long as it is measured."""

from helpers.serving.kserve.deploying import deploy
from helpers.serving.kserve.removing import remove, remove_expired

__all__ = ["deploy", "remove", "remove_expired"]
