"""Elyra's own validation and processor, called as JupyterLab's Run button calls them.

It cannot compile without an object store: where no cluster is named, a server on this machine's loopback takes the
nodes' archives and writes them into a folder. It knows exactly the requests that Elyra makes; its keys are worth
nothing, because no other machine can reach it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from helpers.errors import InvalidInput
from helpers.runtime.workspace import ROOT

Say = Callable[[str], None]
NAME = "nowhere"  # the runtime configuration's name
BUCKET = "bucket"
# Stands where a runtime's endpoint would stand; `.invalid` is reserved for names that never resolve.
ENDPOINT = "http://object-store.invalid"


def parse(definition: dict[str, Any], root: Path = ROOT) -> Any:
    """Return Elyra's pipeline object, its files looked up below `root`.

    Raises InvalidInput with everything that Elyra's validation finds.
    """
    from elyra.pipeline.parser import PipelineParser
    from elyra.pipeline.validation import PipelineValidationManager

    with silenced():  # it complains that there are no components beside notebooks
        response = asyncio.run(_fresh(PipelineValidationManager, root).validate(definition))
    if response.has_fatal:
        issues = [_issue(item) for item in response.to_json()["issues"]]
        raise InvalidInput(f"Elyra refuses the pipeline: {'; '.join(issues)}", do="Correct it on the canvas")
    return PipelineParser(root_dir=str(root)).parse(definition)


def _issue(item: dict[str, Any]) -> str:
    data = item.get("data") or {}
    where = " ".join(str(data[key]) for key in ("nodeName", "propertyName") if data.get(key))
    return f"{where}: {item['message']}" if where else str(item["message"])


def export(pipeline: Any, path: Path, root: Path = ROOT) -> None:
    """Upload the nodes' archives, made of files below `root`, to the runtime's store; write the compiled pipeline."""
    from elyra.pipeline.processor import PipelineProcessorManager
    from elyra.pipeline.processor import PipelineProcessorRegistry as Registry

    path.parent.mkdir(parents=True, exist_ok=True)
    _fresh(Registry, root)
    manager = _fresh(PipelineProcessorManager, root)
    asyncio.run(manager.export(pipeline, "yaml", str(path.resolve()), True))


def _fresh(kind: Any, root: Path) -> Any:
    """Return Elyra's only object of a kind, made anew: it keeps the folder that it was first made for."""
    kind.clear_instance()
    return kind.instance(root_dir=str(root))


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Pass on nothing that Elyra logs: it tells its progress in its own words, and complains of what is not needed."""
    from traitlets.log import get_logger

    logger = cast(logging.Logger, get_logger())
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


@contextmanager
def loopback_runtime(folder: Path) -> Iterator[str]:
    """Serve until the block ends and let Elyra know the runtime NAME; yield the store's address.

    What is uploaded lies in `folder` afterwards, by the names of the objects.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Objects,), {"folder": folder}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    try:
        with tempfile.TemporaryDirectory(prefix="assay-compile-") as data, _searched(Path(data)):
            _write_runtime(Path(data), address)
            yield address
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Objects(BaseHTTPRequestHandler):
    """HEAD says that every bucket is there, GET says where, PUT writes an object below `folder`."""

    folder: Path
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(b"")

    def do_GET(self) -> None:
        self._answer(
            b'<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/">us-east-1</LocationConstraint>'
        )

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        name = unquote(urlsplit(self.path).path).removeprefix(f"/{BUCKET}/")
        target = (self.folder / name).resolve()
        if not target.is_relative_to(self.folder.resolve()):
            self.send_error(400)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        self._answer(b"")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"0"')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the compile has lines of its own."""


def _write_runtime(data: Path, address: str) -> None:
    metadata = {
        "runtime_type": "KUBEFLOW_PIPELINES", "engine": "Argo", "auth_type": "NO_AUTHENTICATION",
        "api_endpoint": ENDPOINT, "cos_auth_type": "KUBERNETES_SECRET", "cos_endpoint": address,
        "cos_bucket": BUCKET, "cos_secret": "object-store", "cos_username": "nobody", "cos_password": "worthless",
    }  # fmt: skip
    path = data / "metadata" / "runtimes" / f"{NAME}.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"display_name": NAME, "schema_name": "kfp", "metadata": metadata}))


@contextmanager
def _searched(folder: Path) -> Iterator[None]:
    before = os.environ.get("ELYRA_METADATA_PATH")
    os.environ["ELYRA_METADATA_PATH"] = os.pathsep.join([str(folder), before] if before else [str(folder)])
    try:
        yield
    finally:
        if before is None:
            del os.environ["ELYRA_METADATA_PATH"]
        else:
            os.environ["ELYRA_METADATA_PATH"] = before
