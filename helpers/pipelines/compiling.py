"""Compile a pipeline to the file that Data Science Pipelines runs."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from helpers.pipelines import processor, runtimes
from helpers.pipelines.checks import check
from helpers.pipelines.definition import Pipeline
from helpers.pipelines.failures import explained
from helpers.pipelines.finishing import finish
from helpers.pipelines.loopback_store import ENDPOINT, NAME, loopback_runtime
from helpers.records import git_commit


def compile_for(
    runtime: str, pipeline: Pipeline, out: Path, given: Mapping[str, str], images: str = "", started_by: str = ""
) -> Path:
    """Compile for a runtime of the user's: the archives go to its bucket, and the file can be uploaded as it is.

    `started_by` is who starts the run, where somebody does so at once.
    """
    runtimes.prepare()
    check(pipeline, given, images)
    found = runtimes.find(runtime)
    path = out / f"{pipeline.name}.yaml"
    with explained(pipeline, found):
        processor.export(processor.parse(pipeline.for_elyra(given, runtime, images)), path)
    finish(path, _origin() | ({"ASSAY_STARTED_BY": started_by} if started_by else {}))
    return path


def compile_for_reading(pipeline: Pipeline, out: Path, given: Mapping[str, str], images: str = "") -> Path:
    """Compile without a cluster: the same file each time, to be read and compared; the archives lie beside it.

    Where a runtime's store would stand, stands a name that never resolves.
    """
    runtimes.prepare()
    check(pipeline, given, images)
    path, archives = out / f"{pipeline.name}.yaml", out / "archives"
    shutil.rmtree(archives / pipeline.resource_name, ignore_errors=True)
    with loopback_runtime(archives) as address:
        processor.export(processor.parse(pipeline.for_elyra(given, NAME, images)), path)
    finish(path, _origin())
    text, stamped = path.read_text().replace(address, ENDPOINT), rf"({re.escape(pipeline.resource_name)})-\d{{10}}"
    for folder in {match.group() for match in re.finditer(stamped, text)}:
        (archives / folder).rename(archives / pipeline.resource_name)
    path.write_text(re.sub(stamped, r"\1", text))
    return path


def _origin() -> dict[str, str]:
    """Return what a record in a pod could not know: the image has no checkout."""
    commit = git_commit()
    return {} if commit == "unknown" else {"ASSAY_GIT_COMMIT": commit}
