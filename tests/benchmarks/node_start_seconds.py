"""From a node's container command to its notebook's first cell, in each image's environment, with no network.

The command is the compiled pipeline's own. A stand-in for the node's notebook writes down when its first cell runs; the
archive comes from an S3 server on this machine, which is the only thing that the pod can reach.
"""

from __future__ import annotations

import io
import re
import statistics
import sys
import tarfile
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import nbformat

from helpers.pipelines import Pipeline
from helpers.pipelines.compiling import compile_for_reading
from helpers.pipelines.definition import OURS
from tests.plugins import harness
from tests.plugins.environments import ImageEnvironment, build
from tests.plugins.stores import Bucket, new_bucket, running

PIPELINE, REPEATS = "ai-engineer", 3
FIRST_CELL = "import time\nfrom pathlib import Path\nPath('started').write_text(str(time.time()))"
SECRETS = {
    "object-store": {"AWS_ACCESS_KEY_ID": "benchmark", "AWS_SECRET_ACCESS_KEY": "benchmark"},
    "assay-store": dict.fromkeys(
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_S3_ENDPOINT", "AWS_DEFAULT_REGION", "AWS_S3_BUCKET"), "none"
    ),
    "assay-signing": {"SIGNING_PUBLIC_KEY": "none"},
    "assay-measuring": dict.fromkeys(("MEASURING_KEY", "MEASURING_PUBLIC_KEY"), "none"),
}


def measure() -> list[dict[str, object]]:
    """Return one figure for each image: the median of REPEATS, after one start that warms the disk's cache."""
    with tempfile.TemporaryDirectory(prefix="assay-start-") as name:
        folder = Path(name)
        compiled = harness.Compiled(compile_for_reading(Pipeline(PIPELINE), folder / "build", {}).read_text())
        images = {image: build(image, folder / image) for image in OURS}
        server = [sys.executable, "-m", "moto.server", "-p", "0"]
        with running(server, folder / "log", r"Running on http://127\.0\.0\.1:(\d+)", PYTHONUNBUFFERED="1") as port:
            bucket = new_bucket(f"http://127.0.0.1:{port}")
            return [_figure(image, compiled, images, bucket, folder / "pods") for image in OURS]


def _figure(
    image: str, compiled: harness.Compiled, images: dict[str, ImageEnvironment], bucket: Bucket, folder: Path
) -> dict[str, object]:
    containers = compiled.containers()
    task = next(t for t in compiled.tasks() if harness.image_name(containers[t.executor]["image"]) == image)
    container = containers[task.executor]
    command = container["args"][0]
    archive, notebook = (
        re.search(rf"--{option} '([^']+)'", command) for option in ("cos-dependencies-archive", "file")
    )
    bucket.put(f"{compiled.name}/{archive[1]}", _archive(Path(notebook[1]).name))
    # What the nodes before it would have written, and its own outputs, are not part of its start.
    command = re.sub(r"--(inputs|outputs) '[^']*' ", "", command).replace("'bucket'", f"'{bucket.name}'")
    container["args"][0] = command.replace("http://object-store.invalid", bucket.endpoint)
    seconds = []
    for number in range(1 + REPEATS):
        pods, alone, started = harness.Pods(images.__getitem__, SECRETS), replace(task, needs=()), time.time()
        (done,) = harness.execute(compiled, pods, folder / image / str(number), tasks=[alone])
        assert done.state == "SUCCEEDED", done.log.read_text()[-3000:]
        seconds.append(float((done.folder / "started").read_text()) - started)
    value = round(statistics.median(seconds[1:]), 2)
    return {"figure": "node_start_seconds", "image": image, "value": value, "first": round(seconds[0], 2)}


def _option(command: str, name: str) -> str:
    found = re.search(rf"--{name} '([^']+)'", command)
    assert found, name
    return found[1]


def _archive(name: str) -> bytes:
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(FIRST_CELL)])
    book.metadata.kernelspec = {"name": "python3", "language": "python", "display_name": "Python 3"}
    data, packed = nbformat.writes(book).encode(), io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()
