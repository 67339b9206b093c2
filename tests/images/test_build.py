"""The light image, built for real and used as an unknown user, as OpenShift does it."""

from __future__ import annotations

import os

import pytest

from tests.images.buildah import buildah, obstacle
from tests.images.test_locks import packages
from tests.plugins.containerfiles import SOURCES

UNKNOWN = "1000650000:0"
# The lines that Elyra compiles into a node's command, then an import and a kernel.
NODE = """set -e
id -u; pwd; ls -A
mkdir -p ./jupyter-work-dir
[[ -e /opt/app-root/bin/utils/bootstrapper.py ]] && cp /opt/app-root/bin/utils/bootstrapper.py .
[[ -e /opt/app-root/bin/utils/requirements-elyra.txt ]] && cp /opt/app-root/bin/utils/requirements-elyra.txt .
python3 -m pip install packaging
python3 -m pip freeze --all > requirements-current.txt
python3 -c "import helpers.serving, bootstrapper; from helpers.workspace import home; home().mkdir(); print(home())"
jupyter kernelspec list
wc -l < requirements-current.txt
"""


@pytest.mark.build
@pytest.mark.timeout(1500)
@pytest.mark.skipif(bool(obstacle()), reason=obstacle())
def test_the_containerfile_builds_and_a_node_runs_in_it_as_any_user(tmp_path):
    file = SOURCES / "stage" / "Containerfile"
    index = [f"--build-arg=PIP_INDEX_URL={os.environ['PIP_INDEX_URL']}"] if os.environ.get("PIP_INDEX_URL") else []
    with buildah(tmp_path / "store") as tool:
        tool("bud", "--build-arg", f"BASE_IMAGE={tool.base()}", *index, "-f", file, "-t", "localhost/stage:1", ".")
        container = tool("from", "localhost/stage:1").strip()
        user, place, *rest = tool("run", "--user", UNKNOWN, container, "--", "sh", "-c", NODE).splitlines()
        assert (user, place) == ("1000650000", "/opt/app-root/src")
        assert "Requirement already satisfied" in rest[0], "the folder is empty, and pip asks no index"
        assert "/opt/app-root/src/.assay" in rest
        assert any(line.split() == ["python3", "/opt/app-root/share/jupyter/kernels/python3"] for line in rest)
        assert int(rest[-1]) == len(packages(SOURCES / "stage" / "requirements.txt")) + 1
