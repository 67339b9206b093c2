"""`python -m helpers.local.elyra.running RUN LOGS`: Elyra's local processor, where an interrupt reaches it.

`elyra-pipeline run` and JupyterLab let it work in a second thread, which goes on with the next stages when the first
thread is interrupted. Here it works in the main thread, and ends when the process that started it is gone.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import sys
import threading
import warnings
from pathlib import Path
from typing import IO, Any

import papermill
from elyra.pipeline.local.processor_local import LocalPipelineProcessor, NotebookOperationProcessor
from elyra.pipeline.parser import PipelineParser
from elyra.pipeline.pipeline import GenericOperation, Pipeline

from helpers.pipelines.outputs import executed
from helpers.runtime import interrupts


class Notebooks(NotebookOperationProcessor):
    """Runs a notebook as Elyra does, under the id of its run, and writes what it prints into `logs` as it comes."""

    def __init__(self, root: str, run: str, logs: Path) -> None:
        super().__init__(root)
        self._run, self._logs = run, logs

    def process(self, operation: GenericOperation, elyra_run_name: str) -> None:
        """Execute the notebook, in place or under the node's own name. Raises RuntimeError with the cell's error."""
        path = Path(self.get_valid_filepath(operation.filename))
        name = executed(path.stem, {item.env_var: str(item.value) for item in operation.env_vars})
        with (self._logs / f"{name}.log").open("a", encoding="utf-8") as log:
            try:
                papermill.execute_notebook(
                    path, path.with_name(f"{name}.ipynb"), engine_name="ElyraEngine", progress_bar=False,
                    stdout_file=log, stderr_file=log, cwd=path.parent, kernel_cwd=str(path.parent),
                    kernel_env=self._collect_envs(operation, self._run),
                )  # fmt: skip
            except papermill.PapermillExecutionError as error:
                where = f"({name}.ipynb) in cell {error.exec_count}"
                raise RuntimeError(f"{where}: {error.ename} {error.evalue}") from error


class Processor(LocalPipelineProcessor):
    """Elyra's own, with these notebooks."""

    def __init__(self, root: Path, run: str, logs: Path) -> None:
        super().__init__(root_dir=str(root))
        notebooks = Notebooks(self.root_dir, run, logs)
        self._operation_processor_catalog[notebooks.operation_name] = notebooks


def parsed(file: Path) -> Pipeline:
    """Return a `.pipeline` file as Elyra's processor takes it."""
    content: dict[str, Any] = json.loads(file.read_text())
    content["pipelines"][0]["app_data"] |= {"name": file.stem, "source": file.name, "runtime": "local"}
    return PipelineParser(root_dir=str(file.parent)).parse(content)


def main() -> int:
    """Run the pipeline that comes pickled on stdin, or the file whose Path comes, and return the exit code."""
    run, logs = sys.argv[1:]
    sent = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with, args=(sys.stdin.buffer,), daemon=True).start()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            Processor(Path.cwd(), run, Path(logs)).process(parsed(sent) if isinstance(sent, Path) else sent)
        except RuntimeError as error:
            print(error, flush=True)
            return 1
    return 0


def _end_with(parent: IO[bytes]) -> None:
    """Interrupt this process when the parent's end of the pipe closes."""
    while parent.read(1):
        pass
    os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    code = interrupts.run(main, "its stage is ended")
    sys.stdout.flush()
    os._exit(code)  # the threads of a kernel's client wait for each other
