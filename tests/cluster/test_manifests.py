"""The manifests of runtime-images/openshift/project: valid, complete, and no wider than they say."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from helpers.cluster.client import SET_UP
from helpers.ingestion.sealing.keys import private_key
from helpers.runtime.keys import MODEL_OPS
from helpers.runtime.workspace import ROOT
from helpers.storage.data_connection import KEYS
from helpers.storage.data_connection import SECRET as STORE
from tests.plugins.cluster import NAMESPACE, RUNNER
from tests.plugins.kube.rules import Rules, runner_role
from tests.plugins.packages import shipped_policy

FOLDER = ROOT / SET_UP
README = (FOLDER / "README.md").read_text()
VERSIONS = ("1.29", "1.31", "1.34")  # of OpenShift 4.16, 4.18 and 4.21


def overlays() -> list[Path]:
    return sorted(path.parent for path in FOLDER.rglob("kustomization.yaml"))


def manifests() -> list[Path]:
    return sorted(path for path in FOLDER.rglob("*.yaml") if path.name != "kustomization.yaml")


@pytest.mark.parametrize("path", manifests(), ids=lambda path: path.stem)
@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_fits_the_schema_of_kubernetes(path, version):
    for document in yaml.safe_load_all(path.read_text()):
        kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("folder", overlays(), ids=lambda folder: folder.name)
def test_one_apply_takes_every_manifest_beside_it(folder):
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    assert sorted(listed) == sorted(path.name for path in folder.glob("*.yaml") if path.name != "kustomization.yaml")


@pytest.mark.parametrize("path", manifests(), ids=lambda path: path.stem)
def test_no_role_has_a_wildcard_and_none_may_watch_or_update(path):
    for document in yaml.safe_load_all(path.read_text()):
        for rule in document.get("rules", []):
            assert not {"*", "watch", "update", "deletecollection"} & set(rule["verbs"])
            assert "*" not in rule["resources"] + rule["apiGroups"]
            if "secrets" in rule["resources"]:
                assert rule["verbs"] == ["get"]
                assert MODEL_OPS.secret not in rule["resourceNames"]


# What a real API server said of the pipelines' account (Kubernetes 1.34, the operator's Role of August 2026).
MAY = [
    ("get", "", "secrets"), ("list", "", "secrets"), ("create", "", "pods/exec"), ("get", "", "pods/log"),
    ("create", "batch", "jobs"), ("create", "ray.io", "rayjobs"), ("create", "kubeflow.org", "pytorchjobs"),
    ("create", "serving.kserve.io", "inferenceservices"), ("patch", "serving.kserve.io", "inferenceservices"),
]  # fmt: skip
MAY_NOT = [
    ("create", "", "secrets"), ("create", "", "configmaps"), ("list", "", "nodes"), ("list", "", "resourcequotas"),
    ("create", "networking.k8s.io", "networkpolicies"), ("create", "argoproj.io", "workflows"),
    ("create", "trainer.kubeflow.org", "trainjobs"), ("create", "monitoring.coreos.com", "prometheusrules"),
    ("create", "serving.kserve.io", "servingruntimes"), ("watch", "serving.kserve.io", "inferenceservices"),
    ("get", "datasciencepipelinesapplications.opendatahub.io", "datasciencepipelinesapplications/api"),
]  # fmt: skip


def test_the_operators_role_is_as_a_real_cluster_has_it():
    rules = Rules()
    rules.grant(RUNNER, runner_role(), NAMESPACE)
    allowed = {asked: rules.allow(RUNNER, *asked, "any", NAMESPACE) for asked in [*MAY, *MAY_NOT]}
    assert [asked for asked, answer in allowed.items() if answer] == MAY


def test_bindings_name_roles_that_are_there_or_that_the_registrys_operator_makes():
    documents = [document for path in manifests() for document in yaml.safe_load_all(path.read_text())]
    roles = {item["metadata"]["name"] for item in documents if item["kind"] == "Role"}
    bound = {item["roleRef"]["name"] for item in documents if item["kind"] == "RoleBinding"}
    assert bound <= roles | {"registry-user-REGISTRY"}


def test_the_registrys_overlay_fills_each_placeholder():
    """What kustomize does with the replacements, for those of the forms that are used here."""
    folder = FOLDER / "registry"
    settings = dict(re.findall(r"^(\w+)=(.*)$", (folder / "settings.env").read_text(), re.MULTILINE))
    overlay = yaml.safe_load((folder / "kustomization.yaml").read_text())
    filled = [yaml.safe_load((folder / name).read_text()) for name in overlay["resources"]]
    names = [item["metadata"]["name"] for item in filled]
    for replacement in overlay["replacements"]:
        value = settings[replacement["source"]["fieldPath"].removeprefix("data.")]
        for target in replacement["targets"]:
            for name, item in zip(names, filled, strict=True):
                if item["kind"] == target["select"]["kind"] and target["select"].get("name", name) == name:
                    replace(item, target["fieldPaths"][0].split("."), target["options"], value)
    assert "REGISTRY" not in str(filled)
    assert "PROJECT" not in str(filled)
    rules = Rules()
    rules.bind(filled, overlay["namespace"])
    account = "system:serviceaccount:evaluation:pipeline-runner-dspa"
    assert rules.allow(account, "list", "", "services", "", "rhoai-model-registries")
    assert not rules.allow(account, "get", "", "services", "registry", "rhoai-model-registries")
    assert not rules.allow(account.replace("evaluation", "other"), "list", "", "services", "", "rhoai-model-registries")


def replace(item: dict, path: list[str], options: dict, value: str) -> None:
    for part in path[:-1]:
        item = item[int(part)] if isinstance(item, list) else item[part]
    parts = item[path[-1]].split(options["delimiter"])
    parts[options["index"]] = value
    item[path[-1]] = options["delimiter"].join(parts)


def test_the_readme_names_each_secret_with_each_of_its_keys():
    for name in (STORE, *KEYS.values(), *MODEL_OPS[1:4]):
        assert name in README


def test_the_readmes_key_pair_is_one_that_signs(tmp_path, monkeypatch):
    commands = [line.strip() for line in README.splitlines() if line.strip().startswith("openssl")]
    assert len(commands) == 2
    for command in commands:
        assert shlex.split(command)
        subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=tmp_path, check=True, capture_output=True)
    monkeypatch.setenv("SIGNING_KEY", (tmp_path / "signing.key").read_text())
    monkeypatch.setenv("SIGNING_PUBLIC_KEY", (tmp_path / "signing.pub").read_text())
    assert private_key(shipped_policy()).startswith(b"-----BEGIN PRIVATE KEY-----")
