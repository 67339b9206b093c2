"""The manifests that build the images on OpenShift and show them in a workbench: the platform's contract, and ours."""

from __future__ import annotations

import json
import subprocess

import kubernetes_validate
import pytest
import yaml

from helpers.runtime.workspace import ROOT
from tests.plugins.containerfiles import CONTAINERFILE, IMAGES, SOURCES, instructions, shown

OPENSHIFT = SOURCES / "openshift"
BUILDS, DROPDOWN, BUILD = (
    OPENSHIFT / "images-project",
    OPENSHIFT / "images" / "dropdown",
    OPENSHIFT / "images" / "builds",
)
FOLDERS = [BUILDS, OPENSHIFT / "images", BUILD, DROPDOWN]
KINDS = {"ImageStream": "image.openshift.io/v1", "BuildConfig": "build.openshift.io/v1"}
# Of the fields that OpenShift's API has for a BuildConfig, those in use; an unknown one would be dropped silently.
FIELDS = {"source", "strategy", "output", "nodeSelector", "resources", "completionDeadlineSeconds", "triggers"}
REGISTRY = "image-registry.openshift-image-registry.svc:5000"
every_image = pytest.mark.parametrize("name", IMAGES)


def label(path):
    return f"{path.parent.name}-{path.stem}"


def load(path):
    return list(yaml.safe_load_all(path.read_text()))


def kustomization(folder):
    return load(folder / "kustomization.yaml")[0]


def settings():
    lines = (BUILDS / "settings.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def rendered(folder):
    """What `oc apply -k` would apply, by the same kustomize that oc has built in."""
    tool = ROOT / ".tools" / "kubectl"
    assert tool.exists(), "kubectl is missing: run make .tools/kubectl"
    done = subprocess.run([tool, "kustomize", folder], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_kustomization_lists_every_file_and_every_file_exists(folder):
    listed = {(folder / name).resolve() for name in kustomization(folder)["resources"]}
    assert all(path.exists() for path in listed)
    files = {path.resolve() for path in folder.glob("*.yaml") if path.name != "kustomization.yaml"}
    assert files == {path for path in listed if path.is_file()}


@pytest.mark.parametrize("path", sorted([*BUILDS.glob("*.yaml"), *OPENSHIFT.glob("images/**/*.yaml")]), ids=label)
def test_core_kinds_follow_the_kubernetes_schemas(path):
    for manifest in load(path):
        kind, version = manifest["kind"], manifest["apiVersion"]
        if kind not in {"Kustomization", *KINDS}:
            for kubernetes in ("1.29", "1.31", "1.34"):  # of OpenShift 4.16, 4.18 and 4.21
                kubernetes_validate.validate(manifest, kubernetes, strict=True)
        assert KINDS.get(kind, version) == version


@every_image
def test_the_dropdown_follows_the_platforms_contract(name):
    [stream] = load(DROPDOWN / f"{name}.yaml")
    assert stream["metadata"]["labels"]["opendatahub.io/runtime-image"] == "true"
    assert kustomization(DROPDOWN)["namespace"] == "redhat-ods-applications"
    [tag] = stream["spec"]["tags"]
    first, *others = json.loads(tag["annotations"]["opendatahub.io/runtime-image-metadata"])
    assert not others
    ours = shown(name)
    image = ours["metadata"].pop("image_name")  # the platform writes from.name there
    ours["metadata"]["display_name"] = ours["display_name"]
    assert first == ours
    assert tag["from"]["kind"] == "DockerImage"
    assert tag["name"] == image.rpartition(":")[2]
    assert tag["from"]["name"] == f"{REGISTRY}/{kustomization(BUILD)['namespace']}/{image.rpartition('/')[2]}"


@every_image
def test_a_build_makes_the_image_that_the_pipelines_name(name):
    stream, build = load(BUILDS / f"{name}.yaml")
    assert (stream["kind"], build["kind"]) == ("ImageStream", "BuildConfig")
    spec = build["spec"]
    assert set(spec) == FIELDS
    assert set(spec["strategy"]["dockerStrategy"]) == {"dockerfilePath", "buildArgs"}
    target = spec["output"]["to"]
    assert target == {"kind": "ImageStreamTag", "name": shown(name)["metadata"]["image_name"].rpartition("/")[2]}
    assert target["name"].partition(":")[0] == stream["metadata"]["name"]
    assert SOURCES.parent / spec["strategy"]["dockerStrategy"]["dockerfilePath"] == CONTAINERFILE
    arguments = {item["name"]: item["value"] for item in spec["strategy"]["dockerStrategy"]["buildArgs"]}
    assert arguments["IMAGE"] == name
    assert set(arguments) == {value.partition("=")[0] for kind, value in instructions(name) if kind == "ARG"}
    assert spec["triggers"] == [{"type": "ConfigChange"}]


def test_the_settings_base_is_the_containerfiles():
    for name in IMAGES:
        assert dict(instructions(name)[:1])["ARG"] == f"BASE_IMAGE={settings()['BASE_IMAGE']}"


def test_one_apply_in_a_project_builds_everything_from_the_settings():
    objects = rendered(BUILDS)
    builds = [item for item in objects if item["kind"] == "BuildConfig"]
    assert {item["metadata"]["name"] for item in builds} == set(IMAGES)
    for build in builds:
        git = build["spec"]["source"]["git"]
        assert (git["uri"], git["ref"]) == (settings()["GIT_URI"], settings()["GIT_REF"])
        for item in build["spec"]["strategy"]["dockerStrategy"]["buildArgs"]:
            assert item["value"] == {**settings(), "IMAGE": build["metadata"]["name"]}[item["name"]]
    assert not [item["kind"] for item in objects if "namespace" in item["metadata"]], "it goes where -n says"


def test_one_apply_with_admin_rights_builds_shows_and_lets_pull():
    objects = rendered(OPENSHIFT / "images")
    places = {(item["kind"], item["metadata"].get("namespace")) for item in objects if item["kind"] != "ConfigMap"}
    assert places == {
        ("Namespace", None), ("RoleBinding", "assay-images"), ("BuildConfig", "assay-images"),
        ("ImageStream", "assay-images"), ("ImageStream", "redhat-ods-applications"),
    }  # fmt: skip
    [pullers] = [item for item in objects if item["kind"] == "RoleBinding"]
    assert pullers["roleRef"]["name"] == "system:image-puller"


def test_the_settings_are_read_and_not_applied():
    generated = [item for item in rendered(BUILDS) if item["kind"] == "ConfigMap"]
    assert not generated
