"""Run a `.pipeline` with Elyra's own local processor, on a copy: Elyra writes outputs into the notebooks it runs."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil

from helpers.errors import StageFailed
from helpers.local.watching import Watch
from helpers.pipelines import Pipeline
from helpers.pipelines.data import Data
from helpers.pipelines.values import check_values, stage_variables
from helpers.reporting import executed
from helpers.runtime import interrupts, keys, processes, runs
from helpers.runtime.polling import wait_for
from helpers.runtime.workspace import ROOT
from helpers.serving.local import remove_owned

PLACES = ("REGISTRY", "STORE", "MODEL_STORE", "TARGET")
SECONDS = 3.0  # for a stage to end by itself when it is interrupted


def run(name: str, folder: Path, given: Mapping[str, str], *, title: str = "", data: Data | None = None) -> Path:
    """Run the pipeline in a copy of the workspace at `folder`; print one line per stage; return the notebooks' folder.

    `data` is what `given` names, found anew where it is left out.
    A run of `folder` that was interrupted or failed is gone on with, and one that ended well stands. Raises StageFailed
    with the failed stage's own message, and KeyboardInterrupt with what is kept. Executed notebooks stay in any case.
    What `given` names beside the pipeline's parameters are variables of its stages.
    """
    pipeline = Pipeline(name)
    data = data or check_values(pipeline, given, stage_variables(pipeline))
    values = data.of(given) | {name: value for name, value in given.items() if name not in data.renamed}
    own = {name: value for name, value in values.items() if name in pipeline.parameters}
    further = {name: value for name, value in values.items() if name not in own}
    parameters = local_environment(pipeline.environment(own))
    here = {name: parameters[name] for name in PLACES if name in parameters}  # for nodes that do not list them too
    environment = {name: value for name, value in os.environ.items() if name not in parameters} | here | further
    pipeline = pipeline.wanted(given)
    title = f"{title or name}: {short(folder)}"
    before = runs.read(folder)
    if before and (before.standing, before.given) == ("done", dict(given)):
        print(f"{title} was done before")
        return folder / "notebooks"
    if before and (kept := runs.kept(folder / "notebooks")):
        title += f", which goes on with {' and '.join(kept)}"
    print(title, flush=True)
    with runs.begun(folder, name, given, latest=runs.read(folder.parent) is None) as begun:
        notebooks = _copy_workspace(pipeline, folder, parameters)
        data.copy(notebooks)
        watch = Watch(pipeline.executed, folder)
        file = folder / "pipelines" / pipeline.file.name
        run_elyra(begun, file, folder, file.parent, environment, watch)
    return notebooks


def short(folder: Path) -> Path:
    """Return a path as somebody would type it here."""
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def local_environment(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters with this machine in the place of `auto`, which in a workbench would be the cluster.

    Keys to sign with are made where none are given.
    """
    keys.make_own_keys()
    here = {name: "local" for name in PLACES if parameters.get(name) == "auto"}
    return {**parameters, **here}


def copy_inputs(folder: Path) -> Path:
    """Put what all stages read into a new run's folder; return the folder in which its notebooks are to run."""
    notebooks = folder / "notebooks"
    shutil.rmtree(notebooks / "datasets", ignore_errors=True)  # of the attempt before
    shutil.copytree(ROOT / "datasets", notebooks / "datasets")
    for file in (ROOT / "pipelines").glob("*.yaml"):
        shutil.copy(file, notebooks)
    (folder / "logs").mkdir(exist_ok=True)
    return notebooks


def clean_up(folder: Path) -> None:
    """End the servers that a failed or interrupted run left."""
    for removed in remove_owned(folder / "notebooks"):
        print(f"  {removed}")


def _copy_workspace(pipeline: Pipeline, folder: Path, parameters: Mapping[str, str]) -> Path:
    """Copy the notebooks, and the pipeline with the parameters as variables of the nodes that list them.

    Elyra's local processor knows no parameters; in a pod too a node gets only what it lists.
    """
    notebooks = copy_inputs(folder)
    for stage in dict.fromkeys(pipeline.stages):
        shutil.copy(ROOT / "notebooks" / f"{stage}.ipynb", notebooks)
    (folder / "pipelines").mkdir(exist_ok=True)
    content = copy.deepcopy(pipeline.content)
    for node in content["pipelines"][0]["nodes"]:
        own = node["app_data"]["component_parameters"]
        listed = [name for name in own["pipeline_parameters"] if name in parameters]
        own["env_vars"] += [{"env_var": name, "value": parameters[name]} for name in listed]
    (folder / "pipelines" / pipeline.file.name).write_text(json.dumps(content, indent=2), "utf-8")
    return notebooks


def run_elyra(
    run: runs.Run, pipeline: Any, folder: Path, root: Path, environment: Mapping[str, str], watch: Watch,
    wanted: Callable[[], bool] = lambda: True,
) -> None:  # fmt: skip
    """Let Elyra's local processor work in `root` until it ends, and leave no server and no process of it.

    `pipeline` is a file, or what Elyra made of one; logs go to `folder`. Raises StageFailed, or KeyboardInterrupt, also
    where it is not `wanted` any more.
    """
    log = folder / "logs" / "elyra.log"
    command = [sys.executable, "-m", "helpers.local.elyra.running", run.id, str(folder / "logs")]
    with log.open("ab") as file:
        process = subprocess.Popen(
            command, cwd=root, env=environment, stdin=subprocess.PIPE, stdout=file, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip

    def ended() -> bool:
        if not wanted():
            raise KeyboardInterrupt
        return watch.look() or process.poll() is not None

    assert process.stdin is not None
    try:
        process.stdin.write(pickle.dumps(pipeline))
        process.stdin.flush()  # and stays open: the process ends when the pipe does
        wait_for(ended, what=f"the end of {run.kind}", do=f"Read {log}", timeout=86_400, interval=0.3)
    except KeyboardInterrupt as error:
        with interrupts.held_back():
            _interrupt(process)
            run.stage = watch.current
            clean_up(folder)
        raise KeyboardInterrupt(_kept(run, folder)) from error
    finally:
        process.stdin.close()
    watch.look()
    run.stage = watch.current
    clean_up(folder)
    executed.keep(folder)
    if process.returncode:
        raise StageFailed(f"Pipeline {run.kind} failed in {watch.failed(log)}", do=f"Read {folder / 'logs'}")


def _kept(run: runs.Run, folder: Path) -> str:
    kept = " and ".join(runs.kept(folder / "notebooks")) or "what the stages before it wrote"
    where = f" in {run.stage}" if run.stage else ""
    return f"interrupted{where}; kept in {short(folder)}: {kept}. The same command goes on from there"


def _interrupt(process: subprocess.Popen) -> None:
    """End Elyra as Ctrl-C would, so that its kernel ends what it started; after seconds end all of them by force."""
    started = _descendants(process.pid)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(SECONDS)
    except subprocess.TimeoutExpired:
        started += _descendants(process.pid)
    for left in started:
        with contextlib.suppress(psutil.NoSuchProcess):
            left.kill()
    process.wait()


def _descendants(pid: int) -> list[psutil.Process]:
    """Return a process with all that it started, but for the servers, which are ended by their own names."""
    servers = {running.pid for running in processes.all_running()}
    try:
        found = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
    return [process for process in found if _group(process) not in servers]


def _group(process: psutil.Process) -> int:
    try:
        return os.getpgid(process.pid)
    except ProcessLookupError:
        return 0
