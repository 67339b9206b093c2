"""Run a `.pipeline` with Elyra's own local processor, on a copy: Elyra writes outputs into the notebooks it runs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from helpers.errors import StageFailed
from helpers.ingestion.sealing.keys import make_own_key
from helpers.pipelines import Pipeline
from helpers.polling import wait_for
from helpers.serving.local import remove_owned
from helpers.workspace import ROOT

PLACES = ("REGISTRY", "STORE", "MODEL_STORE", "TARGET")


def run(name: str, folder: Path, given: Mapping[str, str], *, title: str = "") -> Path:
    """Run the pipeline in a copy of the workspace at `folder`; print one line per stage; return the notebooks' folder.

    Raises StageFailed with the failed stage's own message. Executed notebooks and their HTML stay in either case.
    """
    pipeline = Pipeline(name)
    environment = os.environ | local_environment(pipeline.environment(given))
    notebooks = _copy_workspace(pipeline, folder)
    print(f"{title or name}: {folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder}")
    try:
        _run_elyra(pipeline, folder, environment)
    finally:
        clean_up(folder)
    return notebooks


def local_environment(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters with this machine in the place of `auto`, which in a workbench would be the cluster.

    A key to sign with is made where none is given.
    """
    if "SIGNING_KEY" not in os.environ:
        make_own_key()
    here = {name: "local" for name in PLACES if parameters.get(name) == "auto"}
    return {**parameters, **here}


def copy_inputs(folder: Path) -> Path:
    """Put what all stages read into a new run's folder; return the folder in which its notebooks are to run."""
    notebooks = folder / "notebooks"
    shutil.copytree(ROOT / "datasets", notebooks / "datasets", dirs_exist_ok=True)
    for file in (ROOT / "pipelines").glob("*.yaml"):
        shutil.copy(file, notebooks)
    (folder / "logs").mkdir(exist_ok=True)
    return notebooks


def clean_up(folder: Path) -> None:
    """End the servers that a failed or interrupted run left, and keep log and HTML of each executed notebook."""
    notebooks = folder / "notebooks"
    for removed in remove_owned(notebooks):
        print(f"  {removed}")
    for notebook in sorted(notebooks.glob("*.ipynb")):
        _keep_log_and_html(notebook, folder / "logs")


def _copy_workspace(pipeline: Pipeline, folder: Path) -> Path:
    notebooks = copy_inputs(folder)
    for stage in dict.fromkeys(pipeline.stages):
        shutil.copy(ROOT / "notebooks" / f"{stage}.ipynb", notebooks)
    (folder / "pipelines").mkdir(exist_ok=True)
    shutil.copy(pipeline.file, folder / "pipelines")
    return notebooks


def _run_elyra(pipeline: Pipeline, folder: Path, environment: Mapping[str, str]) -> None:
    elyra = Path(sys.executable).with_name("elyra-pipeline")
    command = [str(elyra), "run", f"pipelines/{pipeline.name}.pipeline"]
    log = folder / "logs" / "elyra.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    watch = _Watch(pipeline, folder / "notebooks")
    try:
        wait_for(
            lambda: watch.look() or process.poll() is not None,
            what=f"the end of {pipeline.name}", do=f"Read {log}", timeout=86_400, interval=0.3,
        )  # fmt: skip
    except BaseException:
        _interrupt(process)
        raise
    watch.look()
    if process.returncode:
        raise StageFailed(f"Pipeline {pipeline.name} failed in {watch.failed(log)}", do=f"Read {folder / 'logs'}")


def _interrupt(process: subprocess.Popen) -> None:
    """End Elyra as Ctrl-C would, so that it shuts its kernel down; only then by force."""
    for sent, patience in ((signal.SIGINT, 20), (signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        if process.poll() is None:
            os.killpg(process.pid, sent)
        timer = threading.Event()
        for _ in range(patience * 10):
            if process.poll() is not None or timer.wait(0.1):
                return


class _Watch:
    """Prints a line when a stage starts and when it ends, from what papermill writes into the notebooks."""

    def __init__(self, pipeline: Pipeline, notebooks: Path) -> None:
        self.notebooks, self.pending, self.current = notebooks, list(pipeline.stages), ""

    def look(self) -> bool:
        while self.pending:
            state = _papermill(self.notebooks / f"{self.pending[0]}.ipynb")
            if not state.get("start_time"):
                return False
            if self.current != self.pending[0]:
                self.current = self.pending[0]
                print(f"  {self.current:<18} {_subtitle(self.notebooks / f'{self.current}.ipynb')}", end="", flush=True)
            if not state.get("end_time"):
                return False
            print(f"  {state['duration']:.1f} s{' FAILED' if state.get('exception') else ''}", flush=True)
            self.pending.pop(0)
        return False

    def failed(self, log: Path) -> str:
        """Return the stage and the last line that Elyra printed of its error."""
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
        return f"{self.current or 'its validation'}: {lines[-1] if lines else 'no output'}"


def _papermill(notebook: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = json.loads(notebook.read_text())["metadata"].get("papermill", {})
    except ValueError:  # caught in the middle of papermill's write
        return {}
    return state


def _subtitle(notebook: Path) -> str:
    first = "".join(json.loads(notebook.read_text())["cells"][0]["source"])
    return next((line[2:] for line in first.splitlines() if line.startswith("> ")), "")


def _keep_log_and_html(notebook: Path, logs: Path) -> None:
    import nbformat
    from nbconvert import HTMLExporter

    content = nbformat.read(notebook, as_version=4)  # type: ignore[no-untyped-call]
    if not content.metadata.get("papermill", {}).get("start_time"):
        return
    streams = [
        output.text for cell in content.cells for output in cell.get("outputs", ()) if output.output_type == "stream"
    ]
    (logs / f"{notebook.stem}.log").write_text("".join(streams))
    exporter = HTMLExporter(exclude_input_prompt=True)  # type: ignore[no-untyped-call]
    body, _ = exporter.from_notebook_node(content)
    notebook.with_suffix(".html").write_text(body)
