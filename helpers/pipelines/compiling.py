"""Compile a pipeline to the file that Data Science Pipelines runs."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from helpers.errors import InvalidInput, InvalidParameter
from helpers.ingestion.sources.folder import ELSEWHERE
from helpers.pipelines import processor, server
from helpers.pipelines.data import Data
from helpers.pipelines.definition import Pipeline
from helpers.pipelines.failures import explained
from helpers.pipelines.finishing import finish
from helpers.pipelines.image_names import is_placeholder
from helpers.pipelines.processor import ENDPOINT, NAME, loopback_runtime
from helpers.pipelines.values import check_values
from helpers.records import git_commit

IMAGE = re.compile(
    r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*"  # host, port, path
    r"(:[A-Za-z0-9_][\w.-]{0,127})?(@sha256:[0-9a-f]{64})?"
)
OBJECT = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")  # name of a Kubernetes object
KEY = re.compile(r"[A-Za-z0-9._-]{1,253}")
ELYRAS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}  # the runtime's own keys of the object store, in every node


def check(pipeline: Pipeline, given: Mapping[str, str], images: str, *, starts: bool = False) -> Data:
    """Refuse what would fail on the cluster; return the data that travels. Raises InvalidParameter or InvalidInput.

    `starts`: a run starts at once, so that a default which must be replaced for a cluster is refused too.
    """
    if images and not IMAGE.fullmatch(f"{images}/stage"):
        raise InvalidParameter(f"IMAGES is {images!r}, which names no registry", do="Give host/project, without a tag")
    source = (pipeline.parameters | dict(given) if starts else given).get("SOURCE", "")
    sample = [f"SOURCE is {source}, which only a workspace can make ({ELSEWHERE})"] if _is_sample(source) else []
    data = check_values(pipeline, given, more=sample)
    if "SOURCE" in given and "://" not in source:
        data.notes.append(f"SOURCE is the folder {source}: the first pod must have it mounted")
    for node, stage in zip(pipeline.nodes, pipeline.stages, strict=True):
        if not IMAGE.fullmatch(node["runtime_image"]):
            raise InvalidInput(f"Node {stage} has the image {node['runtime_image']!r}", do="Choose a runtime image")
        if starts and not images and is_placeholder(node["runtime_image"]):
            raise InvalidInput(
                f"Node {stage} has the image {node['runtime_image']}, a placeholder that nobody has built",
                do="Name those that were built: `make images IMAGES=registry/project`, or IMAGES=… for this run",
            )
        for secret in node["kubernetes_secrets"]:
            _check_secret(stage, secret)
        both = {item["env_var"] for item in node["env_vars"]} & set(node["pipeline_parameters"])
        if both:
            raise InvalidInput(
                f"Node {stage} sets {', '.join(sorted(both))}, which silently wins over the pipeline's parameter",
                do="Remove it from the node's environment variables",
            )
    return data


def _is_sample(source: str) -> bool:
    return source.startswith("sample://")


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


def compile_for(
    runtime: str, pipeline: Pipeline, out: Path, given: Mapping[str, str], images: str = "", started_by: str = ""
) -> Path:
    """Compile for a runtime of the user's: the archives go to its bucket, and the file can be uploaded as it is.

    `started_by` is who starts the run, where somebody does so at once.
    """
    server.prepare()
    data = check(pipeline, given, images)
    found = server.find(runtime)
    path = out / f"{pipeline.name}.yaml"
    with explained(pipeline, found):
        _export(pipeline, data, given, runtime, images, path)
    finish(
        path, _origin() | ({"ASSAY_STARTED_BY": started_by} if started_by else {}), pipeline.parameters | dict(given)
    )
    return path


def compile_for_reading(pipeline: Pipeline, out: Path, given: Mapping[str, str], images: str = "") -> Path:
    """Compile without a cluster: the same file each time, to be read and compared; the archives lie beside it.

    Where a runtime's store would stand, stands a name that never resolves.
    """
    server.prepare()
    data = check(pipeline, given, images)
    path, archives = out / f"{pipeline.name}.yaml", out / "archives"
    shutil.rmtree(archives / pipeline.resource_name, ignore_errors=True)
    with loopback_runtime(archives) as address:
        _export(pipeline, data, given, NAME, images, path)
    finish(path, _origin(), pipeline.parameters | dict(given))
    text, stamped = path.read_text().replace(address, ENDPOINT), rf"({re.escape(pipeline.resource_name)})-\d{{10}}"
    for folder in {match.group() for match in re.finditer(stamped, text)}:
        (archives / folder).rename(archives / pipeline.resource_name)
    path.write_text(re.sub(stamped, r"\1", text))
    return path


def _export(pipeline: Pipeline, data: Data, given: Iterable[str], runtime: str, images: str, path: Path) -> None:
    with data.workspace(pipeline) as (root, dependencies):
        definition = pipeline.for_elyra(data.of(given), runtime, images, dependencies)
        processor.export(processor.parse(definition, root), path, root)


def _origin() -> dict[str, str]:
    """Return what a record in a pod could not know: the image has no checkout."""
    commit = git_commit()
    return {} if commit == "unknown" else {"ASSAY_GIT_COMMIT": commit}
