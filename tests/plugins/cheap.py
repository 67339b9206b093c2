"""A shipped pipeline as Elyra compiles and uploads it, with cheap notebooks instead of its own."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import nbformat

from helpers.pipelines import Pipeline, compiling
from tests.plugins import harness
from tests.plugins.stores import Bucket

KERNEL = {"name": "python3", "language": "python", "display_name": "Python 3"}


def compiled(
    name: str, bucket: Bucket, folder: Path, runtime: str, given: Mapping[str, str] = MappingProxyType({}), **cells: str
) -> harness.Compiled:
    """Compile the pipeline and give each node that is named one cell; its archive keeps its other files."""
    found = harness.Compiled(compiling.compile_for(runtime, Pipeline(name), folder, given).read_text())
    fill(found, bucket, **cells)
    return found


def fill(version: harness.Compiled, bucket: Bucket, **cells: str) -> None:
    """Give each node that is named one cell, in place of those that it had."""
    folder = _folder(version, version.tasks()[0])
    for stage, source in cells.items():
        for key in [key for key in bucket.keys() if re.match(rf"{folder}/{stage}-.*\.tar\.gz$", key)]:  # noqa: SIM118
            bucket.put(key, _archive(f"{stage}.ipynb", source, bucket.get(key)))


def _folder(version: harness.Compiled, task: harness.Task) -> str:
    """Return where the bucket has what was submitted."""
    (folder,) = re.findall(r"--cos-directory '?([^ ']+)", version.arguments(task, {})[0])
    return folder


def alone(
    version: harness.Compiled, stage: str, bucket: Bucket | None, run: str, *, retried: bool = False
) -> harness.Task:
    """Return one node that starts at once, tried again only where `retried` says so.

    With a bucket, what the nodes before it would have written is in the run's folder there.
    """
    (task,) = [task for task in version.tasks() if task.name == stage]
    task.needs, task.retries = (), task.retries if retried else 0
    folder = _folder(version, task)
    for inputs in re.findall(r"--inputs '([^']*)'", version.arguments(task, {})[0]) if bucket else ():
        for name in inputs.split(";"):
            bucket.put(f"{folder}/{run}/{name}", b"{}")
    return task


def _archive(name: str, source: str, before: bytes) -> bytes:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)], metadata={"kernelspec": KERNEL})
    data, packed = nbformat.writes(notebook).encode(), io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        about = tarfile.TarInfo(name)
        about.size = len(data)
        archive.addfile(about, io.BytesIO(data))
        with tarfile.open(fileobj=io.BytesIO(before)) as shipped:
            for member in shipped:
                if member.name.removeprefix("./") != name and member.isfile():
                    archive.addfile(member, shipped.extractfile(member))
    return packed.getvalue()
