"""The pipelines on a cluster: checked, compiled by Elyra's own processor, submitted to Data Science Pipelines."""

from helpers.pipelines.definition import Pipeline, names

__all__ = ["Pipeline", "names"]
