"""vLLM behind KServe: an InferenceService in this project, for as long as it is measured."""

from helpers.serving.kserve.deploying import deploy
from helpers.serving.kserve.identity import difference
from helpers.serving.kserve.removing import remove, remove_expired, remove_run

__all__ = ["deploy", "difference", "remove", "remove_expired", "remove_run"]
