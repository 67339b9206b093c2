"""Elyra's dropdown: the images as this checkout has them, or by the name under which a cluster built them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.errors import InvalidInput
from helpers.pipelines.definition import _placed
from helpers.pipelines.images import rename
from helpers.runtime.workspace import ROOT
from tests.conftest import pipeline_files
from tests.plugins import images
from tests.plugins.containerfiles import IMAGES, shown

PLACE = "image-registry.openshift-image-registry.svc:5000/my-project"


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A copy of what `make images` changes, and a user's own folder of Jupyter."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    for folder in ("pipelines", "runtime-images", "helpers"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", ".ipynb*"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def offered():
    """What Elyra's own command lists, by display name."""
    command = [Path(sys.executable).with_name("elyra-metadata"), "list", "runtime-images", "--json"]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, timeout=120, check=True)
    found = json.loads(done.stdout[done.stdout.index("[") :])
    return {item["display_name"]: item["metadata"]["image_name"] for item in found}


def used(folder):
    texts = [path.read_text() for path in sorted((folder / "pipelines").glob("*.pipeline"))]
    return {name for text in texts for name in re.findall(r'"runtime_image": "([^"]+)"', text)}


def in_use():
    """The images that the pipelines name."""
    return sorted(re.search(r"/([^/:]+):0", name)[1] for name in used(ROOT))


def test_the_lab_offers_every_image_as_shipped(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    ours = {shown(name)["display_name"]: shown(name)["metadata"]["image_name"] for name in IMAGES}
    assert ours.items() <= offered().items()
    assert used(ROOT) <= set(ours.values())


def test_images_of_a_project_are_offered_and_used_after_one_command(checkout):
    command = [sys.executable, "-m", "helpers.pipelines.images", PLACE]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, timeout=60, check=True)
    assert str(checkout / "jupyter") in done.stdout
    new = {f"{PLACE}/{name}:0.1.0" for name in IMAGES}
    assert {name for title, name in offered().items() if title.startswith("Assay")} == new
    assert used(checkout) == {f"{PLACE}/{name}:0.1.0" for name in in_use()}


def test_images_that_a_registry_has_are_named_by_digest(checkout, oci_registry, capsys):
    layer = images.layer({"etc/passwd": b"x"})
    first, *others = in_use()
    built = {name: images.push(oci_registry.host, f"team/{name}", "0.1.0", layer) for name in others}
    rename(f"{oci_registry.host}/team", checkout)
    wanted = {f"{oci_registry.host}/team/{name}@{digest}" for name, digest in built.items()}
    missing = f"{oci_registry.host}/team/{first}:0.1.0"
    assert used(checkout) == {*wanted, missing}
    assert f"{missing} stays named by its tag" in capsys.readouterr().err
    assert {_placed(image, "quay.io/other") for image in used(checkout)} == {
        f"quay.io/other/{name}:0.1.0" for name in in_use()
    }
    rename("registry.invalid/assay", checkout)
    assert used(checkout) == used(ROOT)


def test_the_way_back_leaves_no_trace(checkout):
    rename(PLACE, checkout)
    rename("registry.invalid/assay", checkout)
    for path in [*pipeline_files(), *(ROOT / "runtime-images").glob("*/runtime-image.json")]:
        assert (checkout / path.relative_to(ROOT)).read_bytes() == path.read_bytes()
    assert not [path for path in checkout.rglob(".*") if path.is_file() and path.name.count(".json")]


@pytest.mark.parametrize("place", ["", "quay.io", "quay.io/assay/", "https://quay.io/assay", 'quay.io/"x', "Quay.io/a"])
def test_what_is_no_place_for_images_is_refused_before_anything_changes(checkout, place):
    with pytest.raises(InvalidInput, match="is no place for images"):
        rename(place, checkout)
    assert used(checkout) == used(ROOT)
    assert not (checkout / "jupyter").exists()


def test_without_jupyter_nothing_is_changed_and_the_next_step_is_said(checkout):
    without = "sys.modules['jupyter_core'] = None"
    script = f"import runpy, sys; {without}; runpy.run_module('helpers.pipelines.images', run_name='__main__')"
    command = [sys.executable, "-c", script, PLACE]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("NotFound: ")
    assert "make setup" in done.stderr
    assert used(checkout) == used(ROOT)
    assert not (checkout / "jupyter").exists()
