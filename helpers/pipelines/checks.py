"""What can be known to be wrong before anything leaves this machine."""

from __future__ import annotations

import re
from collections.abc import Mapping

from helpers.errors import InvalidInput, InvalidParameter
from helpers.pipelines.definition import Pipeline
from helpers.pipelines.values import check_values

IMAGE = re.compile(
    r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*"  # host, port, path
    r"(:[A-Za-z0-9_][\w.-]{0,127})?(@sha256:[0-9a-f]{64})?"
)
OBJECT = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")  # name of a Kubernetes object
KEY = re.compile(r"[A-Za-z0-9._-]{1,253}")
ELYRAS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}  # the runtime's own keys of the object store, in every node


def check(pipeline: Pipeline, given: Mapping[str, str], images: str) -> None:
    """Refuse what would fail on the cluster, all of it at once. Raises InvalidParameter or InvalidInput."""
    if images and not IMAGE.fullmatch(f"{images}/stage"):
        raise InvalidParameter(f"IMAGES is {images!r}, which names no registry", do="Give host/project, without a tag")
    check_values(pipeline, given)
    for node, stage in zip(pipeline.nodes, pipeline.stages, strict=True):
        if not IMAGE.fullmatch(node["runtime_image"]):
            raise InvalidInput(f"Node {stage} has the image {node['runtime_image']!r}", do="Choose a runtime image")
        for secret in node["kubernetes_secrets"]:
            _check_secret(stage, secret)
        both = {item["env_var"] for item in node["env_vars"]} & set(pipeline.parameters)
        if both:
            raise InvalidInput(
                f"Node {stage} sets {', '.join(sorted(both))}, which silently wins over the pipeline's parameter",
                do="Remove it from the node's environment variables",
            )


def _check_secret(stage: str, secret: Mapping[str, str]) -> None:
    name, key, variable = secret["name"], secret["key"], secret["env_var"]
    if not OBJECT.fullmatch(name) or not KEY.fullmatch(key):
        raise InvalidInput(
            f"Node {stage} takes {variable} from {name!r}, key {key!r}, which no Secret can have",
            do="Correct it in the node's properties",
        )
    if variable in ELYRAS:
        raise InvalidInput(
            f"Node {stage} takes {variable} from a Secret of its own, which would hide the runtime's",
            do="Give the variable another name",
        )
