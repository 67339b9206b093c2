"""KServe's part on this machine: for every InferenceService a real vLLM on the CPU, until it is deleted."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

from helpers import storage
from helpers.runtime.polling import wait_for
from helpers.runtime.workspace import ROOT
from helpers.serving.kserve.rendering import MODEL
from helpers.serving.local import _free_port
from tests.plugins.cluster import KubernetesApi
from tests.plugins.kube.replies import Refusal
from tests.serving.histories import at_work, deployment, ready, tracked

PYTHON = ROOT / ".venv-vllm" / "bin" / "python"


@dataclass
class Controller:
    """What KServe and the kubelet do: fetch the model by its connection, serve it, say when it is ready."""

    api: KubernetesApi
    folder: Path
    bucket: str  # of the connection
    environment: Mapping[str, str] = field(default_factory=dict)
    served: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def __call__(self, service: dict) -> None:
        """Serve one InferenceService until it is deleted or everything ends."""
        name, model = service["metadata"]["name"], service["spec"]["predictor"]["model"]
        # The registry's controller writes its label first: a plain Deployment would roll, this one starts anew.
        assert service["spec"]["predictor"]["deploymentStrategy"] == {"type": "Recreate"}
        for change in (tracked, deployment(), at_work()):
            change(self.api, service)
        files = storage.fetch(f"s3://{self.bucket}/{model['storage']['path']}", self.folder / name / "models")
        port = _free_port()
        here = {"python": str(PYTHON), MODEL: str(files)}
        command = [
            *(here.get(word, word) for word in model["command"]),
            *("--model", str(files), "--host", "127.0.0.1", "--port", str(port), "--enforce-eager", *model["args"]),
        ]
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        # A compiler that is killed leaves half a file, which every later vLLM of this machine would take for whole.
        environment |= {"TORCHINDUCTOR_CACHE_DIR": str(self.folder / "compiled")}
        environment |= {"VLLM_TARGET_DEVICE": "cpu"} | {item["name"]: item["value"] for item in model["env"]}
        log = self.folder / name / "log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                command, env=environment | self.environment, cwd=log.parent, stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        try:
            if self._until(lambda: process.poll() is not None or _healthy(port), name):
                assert process.poll() is None, log.read_text()[-3000:]
                self.served.append(name)
                ready(f"http://127.0.0.1:{port}")(self.api, service)
            self._until(lambda: False, name)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)

    def _until(self, reached, name: str) -> bool:
        """Wait; return whether it was reached before the deletion or the end."""
        state: list[bool] = []

        def look() -> bool:
            if self.ended.is_set() or not self._there(name):
                state.append(False)
            elif reached():
                state.append(True)
            return bool(state)

        wait_for(look, what="vLLM", do="read its log", timeout=3600, interval=0.2)
        return state[0]

    def _there(self, name: str) -> bool:
        try:
            return "deletionTimestamp" not in self.api.get("InferenceService", name)["metadata"]
        except Refusal:
            return False


def _healthy(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


@contextmanager
def kserve(api: KubernetesApi, folder: Path, bucket: str, **environment: str) -> Iterator[Controller]:
    """Let the cluster serve models with vLLM until the block ends."""
    controller = Controller(api, folder, bucket, environment)
    api.on_create("InferenceService", controller)
    try:
        yield controller
    finally:
        controller.ended.set()
