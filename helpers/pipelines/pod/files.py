"""Where a node's files lie in the bucket, and which of them are kept when it fails."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.artifacts import FOLDER, Endpoint, run
from helpers.errors import ArtifactMissing, InvalidInput, StoreFailed
from helpers.pipelines.outputs import executed
from helpers.pipelines.pod.reasons import Refusals, reason
from helpers.pipelines.pod.store import Partial, Store

if TYPE_CHECKING:
    from elyra.kfp.bootstrapper import FileOpBase
else:
    FileOpBase = object  # in a pod Elyra's bootstrapper is a file of its own, see runtime-images/builder

ENDPOINT = str(FOLDER / Endpoint.filename)
EXIT_TASK = "ASSAY_EXIT_TASK"  # set in the exit task, see helpers/pipelines/finishing.py


class InRun(FileOpBase):
    """Put before one of Elyra's operations: only the node's archive is shared with other runs of its version."""

    def __init__(self, **parameters: Any) -> None:
        super().__init__(**parameters)
        self.archive = str(parameters["cos-dependencies-archive"])
        self.exit_task = os.environ.get(EXIT_TASK) == "true"
        self.run = _run()
        self.store = Store(self.cos_client, self.cos_endpoint.netloc, self.cos_bucket)
        # An archive has its node's file and id in its name: two nodes may share a notebook.
        node = self.archive.removesuffix(".tar.gz")
        self.partial = Partial(self.store, self.get_object_storage_filename(self._own(f"partial/{node}")))
        self.refusals = Refusals(self.store, self.get_object_storage_filename(self._own(f"refused/{node}.json")))
        self._kept: set[str] = set()
        self._endpoint: bytes | None = None

    def get_object_storage_filename(self, filename: str) -> str:
        """Return a file's place in the bucket."""
        place = filename if filename == self.archive else f"{self.run}/{filename}"
        return str(super().get_object_storage_filename(place))

    def _own(self, name: str) -> str:
        return f"exit/{name}" if self.exit_task else name

    def get_file_from_object_storage(self, file_to_get: str) -> None:
        """Fetch the archive or an input; an exit task does without what was never written."""
        try:
            self.store.ask(lambda: super(InRun, self).get_file_from_object_storage(file_to_get), file_to_get)
        except (ArtifactMissing, StoreFailed) as error:  # some stores refuse to say that a file is missing
            if not self.exit_task or file_to_get == self.archive:
                raise
            print(error)

    def put_file_to_object_storage(self, file_to_upload: str, object_name: str | None = None) -> None:
        """Store a file of the run."""
        place = self._own(self._executed(object_name or file_to_upload))
        self.store.ask(lambda: super(InRun, self).put_file_to_object_storage(file_to_upload, place), place)
        self._kept.add(file_to_upload)

    def _executed(self, place: str) -> str:
        """Return the place of the executed notebook and its page by the node's own name."""
        path = Path(place)
        if path.stem == self._name and path.suffix in (".ipynb", ".html"):
            return f"{executed(self._name, os.environ)}{path.suffix}"
        return place

    @staticmethod
    def convert_notebook_to_html(notebook_file: str, html_file: str) -> str:
        """Write the page of an executed notebook, in which nothing runs that a model, a task or a registry brought."""
        import nbformat

        from helpers.reporting import executed

        notebook = nbformat.read(notebook_file, as_version=4)  # type: ignore[no-untyped-call]
        Path(html_file).write_text(executed.page(notebook), "utf-8")
        return html_file

    def process_dependencies(self) -> None:
        """Fetch what the node needs, and what an earlier attempt of it has measured."""
        self.refusals.repeat()
        super().process_dependencies()
        self._endpoint = _endpoint()
        self.partial.bring_back()

    def execute(self) -> None:
        """Run the notebook or script; where it fails, store what there is and remember what it refused."""
        try:
            with self.partial.copied():
                super().execute()
            self._hand_on_the_endpoint()
        except Exception as error:
            self._keep()
            self._try(self._hand_on_the_endpoint, ENDPOINT)
            why = reason(error, self._name)
            if why.refused:
                self._try(partial(self.refusals.remember, why), "The refusal")
            raise

    def _hand_on_the_endpoint(self) -> None:
        """Store an input that changed: a measuring stage whose server was gone has served the model again."""
        if (found := _endpoint()) and self._endpoint and found != self._endpoint:
            self.put_file_to_object_storage(ENDPOINT)

    @property
    def _name(self) -> str:
        return Path(self.filepath).stem

    def _keep(self) -> None:
        """Store what a failed node has written and Elyra has not stored: its notebook, its page, its outputs."""
        for name, place in ((f"{self._name}-output.ipynb", f"{self._name}.ipynb"), (f"{self._name}.html", None)):
            if Path(name).is_file() and name not in self._kept:
                self._try(partial(self.put_file_to_object_storage, name, place), name)
        for output in filter(None, (self.input_params.get("outputs") or "").split(";")):
            if Path(output.strip()).exists() or self.has_wildcard(output):
                self._try(partial(self.process_output_file, output.strip()), output)

    def _try(self, store: Callable[[], None], what: str) -> None:
        try:
            store()
        except Exception as error:  # noqa: BLE001, the error that made the node fail is the one that counts
            print(f"{what} was not stored: {type(error).__name__}: {error}")


def _endpoint() -> bytes | None:
    path = Path(ENDPOINT)
    return path.read_bytes() if path.is_file() else None


def _run() -> str:
    """Return the run's id. Raises InvalidInput where the platform gave none, for all runs would share one folder."""
    found = run.current(FOLDER)
    if not found or "{{" in found:
        raise InvalidInput(
            f"This pod does not know its run: {run.VARIABLE} is {found!r}",
            do="Run the pipeline on Data Science Pipelines 2, where Argo puts the run's id in",
        )
    return found
