"""The images, built for real and used as an unknown user, as OpenShift does it."""

from __future__ import annotations

import pytest

from tests.images.buildah import buildah, obstacle
from tests.images.test_locks import packages
from tests.plugins.containerfiles import CONTAINERFILE, IMAGES, SOURCES

UNKNOWN = "1000650000:0"
# The lines that Elyra compiles into a node's command, then an import and a kernel; what is installed comes last.
NODE = """set -e
id -u; pwd; ls -A
mkdir -p ./jupyter-work-dir
[[ -e /opt/app-root/bin/utils/bootstrapper.py ]] && cp /opt/app-root/bin/utils/bootstrapper.py .
[[ -e /opt/app-root/bin/utils/requirements-elyra.txt ]] && cp /opt/app-root/bin/utils/requirements-elyra.txt .
python3 -m pip install packaging
python3 -c "import helpers.serving, bootstrapper"
python3 -c "from helpers.runtime.workspace import home; home().mkdir(); print(home())"
jupyter kernelspec list
python3 -m pip check
echo INSTALLED
python3 -m pip freeze --all
"""


@pytest.mark.build
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", IMAGES)
def test_the_containerfile_builds_and_a_node_runs_in_it_as_any_user(tmp_path, name):
    assert not obstacle(), f"{obstacle()}: run make test-build as root on Debian"
    image = f"localhost/{name}:1"
    with buildah(tmp_path / "store") as tool:
        own = ["--build-arg", f"BASE_IMAGE={tool.base()}", "--build-arg", f"IMAGE={name}"]
        tool("bud", *own, *tool.packages(), "-f", CONTAINERFILE, "-t", image, ".")
        container = tool("from", image).strip()
        said = tool("run", "--user", UNKNOWN, container, "--", "sh", "-c", NODE).splitlines()
    user, place, *rest = said[: said.index("INSTALLED")]
    assert (user, place) == ("1000650000", "/opt/app-root/src")
    told = [line for line in rest if not line.startswith("Looking in links")]
    assert "Requirement already satisfied" in told[0], "the folder is empty, and pip asks no index"
    assert "/opt/app-root/src/.assay" in rest
    assert any(line.split() == ["python3", "/opt/app-root/share/jupyter/kernels/python3"] for line in rest)
    assert "No broken requirements found." in rest
    locked = {package: version for package, (version, _) in packages(SOURCES / name / "requirements.txt").items()}
    frozen = dict(line.lower().split("==") for line in said[said.index("INSTALLED") + 1 :])
    assert frozen.pop("assay-helpers") == "0.1.0"
    assert {package.replace("_", "-").replace(".", "-"): version for package, version in frozen.items()} == {
        package.replace(".", "-"): version for package, version in locked.items()
    }
