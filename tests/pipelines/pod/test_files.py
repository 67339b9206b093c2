"""Where a node's files lie in the bucket, asked of Elyra's own operation with ours before it."""

from __future__ import annotations

import tarfile

import pytest
from elyra.kfp import bootstrapper

from helpers.errors import ArtifactMissing, InvalidInput
from helpers.pipelines.pod import InRun
from helpers.pipelines.pod.reasons import Reason, RefusedBefore, reason
from tests.plugins.stores import KEYS

ENDPOINT = "artifacts/endpoint.json"
ARCHIVE = "remove_deployment-1.tar.gz"


class Operation(InRun, bootstrapper.NotebookFileOp):
    """As runtime-images/builder/bootstrapper.py makes it."""


class Script(InRun, bootstrapper.PythonFileOp):
    """The same for a script."""


@pytest.fixture
def node(s3_bucket, monkeypatch, tmp_path):
    """Make a node of run `mine`: an exit task or an ordinary one."""
    monkeypatch.chdir(tmp_path)
    given = {
        "filepath": "notebooks/remove_deployment.ipynb", "cos-endpoint": s3_bucket.endpoint,
        "cos-bucket": s3_bucket.name, "cos-directory": "version", "cos-dependencies-archive": ARCHIVE,
        "cos-user": KEYS["ACCESS_KEY_ID"], "cos-password": KEYS["SECRET_ACCESS_KEY"],
    }  # fmt: skip

    def make(run="mine", *, at_exit=False, kind=Operation, **further):
        monkeypatch.setenv("ELYRA_RUN_NAME", run)
        monkeypatch.setenv("ASSAY_EXIT_TASK", "true" if at_exit else "")
        return kind(**given | further)

    return make


def test_the_archive_is_the_versions_and_all_else_is_the_runs(node, s3_bucket, tmp_path):
    s3_bucket.put(f"version/{ARCHIVE}", b"archive")
    s3_bucket.put("version/artifacts/endpoint.json", b"another run's, of before")
    s3_bucket.put("version/mine/artifacts/endpoint.json", b"mine")
    ours = node()
    ours.get_file_from_object_storage(ARCHIVE)
    ours.get_file_from_object_storage("artifacts/endpoint.json")
    assert (tmp_path / ARCHIVE).read_bytes() == b"archive"
    assert (tmp_path / "artifacts" / "endpoint.json").read_bytes() == b"mine"
    ours.put_file_to_object_storage(ARCHIVE, "removed.json")
    assert s3_bucket.get("version/mine/removed.json") == b"archive"


def test_an_input_that_is_missing_ends_a_node_and_not_an_exit_task(node):
    with pytest.raises(ArtifactMissing, match=r"artifacts/endpoint\.json"):
        node().get_file_from_object_storage("artifacts/endpoint.json")
    node(at_exit=True).get_file_from_object_storage("artifacts/endpoint.json")
    with pytest.raises(ArtifactMissing, match=ARCHIVE):
        node(at_exit=True).get_file_from_object_storage(ARCHIVE)


def test_what_the_ordinary_node_refused_does_not_keep_the_exit_task_from_its_work(node, monkeypatch):
    monkeypatch.setenv("ASSAY_RETRIES", "2")
    node().refusals.remember(Reason("OtherRun: Not mine.", refused=True))
    with pytest.raises(RefusedBefore):
        node().refusals.repeat()
    node(at_exit=True).refusals.repeat()


@pytest.mark.parametrize("run", ["", "{{workflow.uid}}"])
def test_a_platform_that_gives_no_run_is_refused(node, run):
    with pytest.raises(InvalidInput, match="ELYRA_RUN_NAME"):
        node(run)


@pytest.mark.parametrize("ending", ["", "raise SystemExit(1)"])
def test_the_next_node_reads_the_endpoint_of_a_model_that_was_served_again(node, s3_bucket, tmp_path, ending):
    code = tmp_path / "again.py"
    code.write_text(f"from pathlib import Path\nPath({ENDPOINT!r}).write_text('the new server')\n{ending}\n")
    with tarfile.open(tmp_path / ARCHIVE, "w:gz") as archive:
        archive.add(code, code.name)
    s3_bucket.put(f"version/{ARCHIVE}", (tmp_path / ARCHIVE).read_bytes())
    s3_bucket.put(f"version/mine/{ENDPOINT}", b"the server that is gone")
    ours = node(kind=Script, filepath="notebooks/again.py", inputs=ENDPOINT)
    ours.process_dependencies()
    if ending:
        with pytest.raises(FileNotFoundError) as caught:  # the log that Elyra looks for
            ours.execute()
        assert reason(caught.value, "again").line.startswith("CalledProcessError: ")
    else:
        ours.execute()
    assert s3_bucket.get(f"version/mine/{ENDPOINT}") == b"the new server"
