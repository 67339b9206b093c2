"""A shipped pipeline as Elyra compiles and uploads it, with cheap notebooks instead of its own."""

from __future__ import annotations

import io
import re
import tarfile
from pathlib import Path

import nbformat

from helpers.pipelines import Pipeline, compiling
from tests.plugins import harness
from tests.plugins.stores import Bucket

KERNEL = {"name": "python3", "language": "python", "display_name": "Python 3"}


def compiled(name: str, bucket: Bucket, folder: Path, runtime: str, **cells: str) -> harness.Compiled:
    """Compile the pipeline and give each node that is named one cell; its archive in the bucket holds nothing else."""
    found = harness.Compiled(compiling.compile_for(runtime, Pipeline(name), folder, {}).read_text())
    archives = [key for key in bucket.keys() if key.endswith(".tar.gz")]  # noqa: SIM118, not a dict
    for stage, source in cells.items():
        (key,) = [key for key in archives if key.partition("/")[2].startswith(f"{stage}-")]
        bucket.put(key, _archive(f"{stage}.ipynb", source))
    return found


def alone(
    version: harness.Compiled, stage: str, bucket: Bucket | None, run: str, *, retried: bool = False
) -> harness.Task:
    """Return one node that starts at once, tried again only where `retried` says so.

    With a bucket, what the nodes before it would have written is in the run's folder there.
    """
    (task,) = [task for task in version.tasks() if task.name == stage]
    task.needs, task.retries = (), task.retries if retried else 0
    said = version.arguments(task, {})[0]
    (folder,) = re.findall(r"--cos-directory '?([^ ']+)", said)
    for inputs in re.findall(r"--inputs '([^']*)'", said) if bucket else ():
        for name in inputs.split(";"):
            bucket.put(f"{folder}/{run}/{name}", b"{}")
    return task


def _archive(name: str, source: str) -> bytes:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)], metadata={"kernelspec": KERNEL})
    data, packed = nbformat.writes(notebook).encode(), io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        about = tarfile.TarInfo(name)
        about.size = len(data)
        archive.addfile(about, io.BytesIO(data))
    return packed.getvalue()
