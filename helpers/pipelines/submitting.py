"""Submit a pipeline to Data Science Pipelines: compiled by Elyra, completed, uploaded as a version, started."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.errors import SubmissionFailed
from helpers.pipelines import compiling, finishing, processor, project, server
from helpers.pipelines.compiling import check
from helpers.pipelines.definition import Pipeline
from helpers.pipelines.failures import explained
from helpers.runtime import circumstances

if TYPE_CHECKING:
    from kfp import Client

FOLDER = re.compile(r"--cos-directory '([^']+)'")


@dataclass(frozen=True)
class Submitted:
    """A run that was started: its id, where to look at it, its folder in the runtime's bucket, its stages by task."""

    run_id: str
    url: str
    files: str
    stages: Mapping[str, str]


def submit(
    runtime: str, pipeline: Pipeline, given: Mapping[str, str], images: str = "", say: processor.Say = print
) -> Submitted:
    """Check, compile, upload and start; one line for each step, the first with the values that are compiled in.

    Raises InvalidInput, NotFound, Forbidden, PipelinesUnreachable, StoreFailed, StoreUnreachable or SubmissionFailed.
    """
    server.prepare()
    data = check(pipeline, given, images, starts=True)
    whole, pipeline = pipeline, pipeline.wanted(given)
    found = server.find(runtime)
    say(_values(pipeline, given))
    if left := [stage for stage in whole.stages if stage not in pipeline.stages]:
        say(f"  left out, because the use case names nothing for them: {', '.join(left)}")
    for note in data.notes:
        say(f"  {note}")
    wanted = project.secrets_of(pipeline, found)
    say(f"{pipeline.name}: {len(pipeline.stages)} stages, Secrets {', '.join(sorted(wanted))}")
    project.check_secrets(wanted, found)
    with explained(pipeline, found), tempfile.TemporaryDirectory(prefix="assay-submit-") as folder:
        server.knock(found, pipeline.resource_name)
        say(f"  {found.api_endpoint} takes the token")
        client = server.connect(found)
        with server.quiet():
            experiment = _experiment(client, pipeline, found)
        with processor.silenced():
            path = compiling.compile_for(runtime, pipeline, Path(folder), given, images, circumstances.account())
        say("  pipeline compiled")
        with server.quiet():
            name = _folder_of(path)
            version = _upload(client, pipeline, path, name)
            experiment = (
                experiment
                or client.create_experiment(
                    pipeline.resource_name, namespace=found.metadata.get("user_namespace")
                ).experiment_id
            )
            run = client.run_pipeline(experiment, name, version_id=version[1], pipeline_id=version[0],
                                      params=pipeline.typed(data.of(given)))  # fmt: skip
        say("  pipeline uploaded, run started")
        public = str(found.metadata.get("public_api_endpoint") or found.api_endpoint).rstrip("/")
        return Submitted(run.run_id, f"{public}/runs/{run.run_id}", f"{name}/{run.run_id}", finishing.stages(path))


def _values(pipeline: Pipeline, given: Mapping[str, str]) -> str:
    """Return the line that says which values the run has: those that were given, then the pipeline's own."""
    own = {name: value for name, value in pipeline.parameters.items() if name not in given}
    parts = (" ".join(f"{name}={value}" for name, value in values.items()) for values in (given, own))
    told, rest = parts
    return " ".join(filter(None, (told, rest and f"(and as shipped: {rest})"))) or "no parameters"


def _folder_of(path: Path) -> str:
    """Return the version's folder in the bucket, whose name Elyra makes of pipeline and time when it compiles."""
    match = FOLDER.search(re.sub(r"\s+", " ", path.read_text().replace("''", "'")))
    assert match, "Elyra names a folder in every node's command"
    return match[1]


def _experiment(client: Client, pipeline: Pipeline, runtime: server.Runtime) -> str:
    """Return the id of the pipeline's experiment, "" where there is none yet. Raises SubmissionFailed."""
    try:
        found = client.get_experiment(
            experiment_name=pipeline.resource_name, namespace=runtime.metadata.get("user_namespace")
        )
    except ValueError:  # there is none of that name
        return ""
    if found.storage_state == "ARCHIVED":
        raise SubmissionFailed(
            f"The experiment {pipeline.resource_name} is archived: the dashboard would not show a run in it",
            do="Restore the experiment on the dashboard, then submit again",
        )
    return str(found.experiment_id)


def _upload(client: Client, pipeline: Pipeline, path: Path, name: str) -> tuple[str, str]:
    """Upload a compiled file as a new version; return the ids of pipeline and version."""
    known = client.get_pipeline_id(pipeline.resource_name)
    if known is None:
        known = client.upload_pipeline(
            str(path), pipeline.resource_name, description=pipeline.primary["app_data"]["properties"]["description"]
        ).pipeline_id
        versions = client.list_pipeline_versions(known, page_size=1, sort_by="created_at desc").pipeline_versions
        return known, versions[0].pipeline_version_id
    return known, client.upload_pipeline_version(str(path), name, pipeline_id=known).pipeline_version_id
