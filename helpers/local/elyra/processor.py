"""Run on the canvas with the runtime "This machine": the pipeline runs here on a copy, as `make pipeline` runs it.

Elyra's own "Run in-place locally" is offered only for pipelines without a runtime type, fails for those with pipeline
parameters (5.0.3), and writes outputs into the notebooks of the repository. Elyra takes further runtimes by entry
points; this one takes the shipped pipelines as they are, with their parameters in the Run dialog.
"""

from __future__ import annotations

import os
import re
import tarfile
from pathlib import Path
from typing import Any

from elyra.pipeline.local.processor_local import LocalPipelineProcessor
from elyra.pipeline.pipeline import GenericOperation, Pipeline
from elyra.pipeline.processor import PipelineProcessor, RuntimePipelineProcessorResponse
from elyra.pipeline.properties import ElyraPropertyList, EnvironmentVariable
from elyra.pipeline.runtime_type import RuntimeProcessorType
from elyra.util.archive import create_temp_archive

from helpers.errors import InvalidInput, StageFailed
from helpers.local import pipelines
from helpers.local.elyra.schema import NAME, TYPE
from helpers.local.watching import Watch
from helpers.pipelines.outputs import Node, executed
from helpers.pipelines.values import check_stages
from helpers.runtime import runs


class Response(RuntimePipelineProcessorResponse):
    """What the dialog shows at the end: a link to the last executed notebook."""

    _type, _name = RuntimeProcessorType[TYPE], NAME


class Processor(LocalPipelineProcessor):
    """Found by Elyra through the entry point `elyra.pipeline.processors`."""

    _type, _name = RuntimeProcessorType[TYPE], NAME

    def process(self, pipeline: Pipeline) -> Response:
        """Run all nodes in a copy under `runs/`, in a process that ends with this server.

        Raises InvalidParameter before anything starts, StageFailed with the failed node's own message.
        """
        name = re.sub(r"[^\w.-]+", "-", pipeline.name)
        operations = PipelineProcessor._sort_operations(pipeline.operations)
        given = _parameters(pipeline)
        stages = [self._stage(operation, given) for operation in operations if operation.filename.endswith(".ipynb")]
        data = check_stages(stages, given)
        environment = pipelines.local_environment(data.values)
        folder = runs.place(Path(self.root_dir) / "runs", name, given)
        with runs.begun(folder, name, given) as run:
            notebooks = pipelines.copy_inputs(folder)
            for operation in operations:
                self._copy(operation, notebooks)
                _set(operation, {name: environment[name] for name in operation.parameters if name in environment})
            data.copy(notebooks)
            watch = Watch([_executed(operation) for operation in operations], folder)
            where = notebooks.relative_to(self.root_dir)
            try:
                pipelines.run_elyra(run, pipeline, folder, Path(self.root_dir), os.environ, watch, _serving)
            except StageFailed as error:
                raise StageFailed(error.what, do=f"Read the notebook in {where}") from error
        return Response(_link(Path(operations[-1].filename)), None, None)

    def _stage(self, operation: GenericOperation, given: dict[str, str]) -> Node:
        """Return a node's notebook, what it will read from its environment, and its outputs."""
        taken = {name: given[name] for name in operation.parameters if name in given}
        own = {item.env_var: str(item.value) for item in operation.env_vars}
        return Node(Path(self.root_dir, operation.filename), taken | own, operation.outputs or ())

    def _copy(self, operation: GenericOperation, notebooks: Path) -> None:
        """Put what a pod would get, the file and its dependencies, into the copy, and run that."""
        file = Path(self.root_dir, operation.filename)
        archive = create_temp_archive(
            archive_name=f"{operation.id}-{os.getpid()}.tar.gz", source_dir=str(file.parent),
            filenames=[file.name, *operation.dependencies], recursive=operation.include_subdirectories,
            require_complete=True,
        )  # fmt: skip
        with tarfile.open(archive) as members:
            members.extractall(notebooks, filter="data")
        Path(archive).unlink()
        operation.component_props["filename"] = str((notebooks / file.name).relative_to(self.root_dir))

    def export(self, pipeline: Pipeline, *_: Any) -> None:
        """Refuse: there is nothing to export for this machine."""
        raise InvalidInput("The runtime This machine exports nothing", do="Choose the runtime of a cluster")


def _parameters(pipeline: Pipeline) -> dict[str, str]:
    """Return the pipeline parameters as the dialog gave them, empty ones left out."""
    given = {item.name: item.value for item in pipeline.parameters}
    return {name: str(value) for name, value in given.items() if value not in (None, "")}


def _set(operation: GenericOperation, more: dict[str, str]) -> None:
    added = ElyraPropertyList(EnvironmentVariable(name, value) for name, value in more.items())
    operation.elyra_props["env_vars"] = ElyraPropertyList.merge(added, operation.env_vars)


def _executed(operation: GenericOperation) -> str:
    own = {item.env_var: str(item.value) for item in operation.env_vars}
    return executed(Path(operation.filename).stem, own)


def _serving() -> bool:
    """Return whether JupyterLab has not been told to end: at its end it would wait for the run."""
    from jupyter_server.serverapp import ServerApp

    if not ServerApp.initialized():
        return True
    return bool(ServerApp.instance().io_loop.asyncio_loop.is_running())  # type: ignore[attr-defined]


def _link(notebook: Path) -> str:
    from jupyter_server.serverapp import ServerApp

    return f"{ServerApp.instance().base_url}lab/tree/{notebook}"
