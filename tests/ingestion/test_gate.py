"""The whole way in: what is refused leaves no trace; what comes in is signed, stored once and registered."""

import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import ingestion
from helpers.errors import InvalidInput, InvalidParameter, RefusedModel, StageFailed
from helpers.ingestion.policy import load_policy
from helpers.local import pipelines
from helpers.registry import connect
from helpers.runtime.circumstances import account
from helpers.runtime.workspace import ROOT, home
from helpers.serving.files import verified_folder
from tests.ingestion.clean import CLEAN
from tests.plugins.cluster import RUNNER
from tests.plugins.images import layer, push
from tests.plugins.models import POLICY
from tests.plugins.sources import write_policy


@pytest.fixture
def folder(tmp_path):
    """A clean model folder."""
    return CLEAN["single"](tmp_path / "granite-small")


@pytest.fixture
def registry(registry_server):
    return connect("local")


def settings(folder, **changes):
    return ingestion.Settings(**{"source": str(folder), "policy": POLICY, **changes})


def test_a_clean_model_becomes_a_candidate_that_verifies(folder, registry):
    selection = ingestion.ingest(settings(folder), registry)
    assert (selection.name, selection.version, selection.license) == ("granite-small", "1.0.0", "apache-2.0")
    assert selection.parameters > 0
    stored = verified_folder(selection, load_policy(POLICY))
    assert sorted(path.name for path in stored.iterdir() if path.is_file()) == sorted(
        path.name for path in folder.iterdir()
    )
    [version] = registry.versions()
    known = version.properties
    assert known["approval"] == "candidate"
    assert known["digest"] == selection.digest
    assert known["source"] == str(folder)
    assert known["policy_digest"] == load_policy(POLICY).digest
    assert json.loads(known["scanners"])["modelscan"] == "0.8.8"
    assert known["ingested_by"] == account()
    assert known["signer"].startswith("sha256:")
    provenance = json.loads((stored / "provenance" / "provenance.json").read_text())
    assert {name: provenance[name] for name in ("source", "license", "policy_digest")} == {
        "source": str(folder), "license": "apache-2.0", "policy_digest": known["policy_digest"],
    }  # fmt: skip


def test_in_a_pod_the_account_the_run_and_who_started_it_are_known_and_the_token_is_not(folder, registry, monkeypatch):
    mounted = home() / "serviceaccount"
    mounted.mkdir(parents=True)
    subject = base64.urlsafe_b64encode(json.dumps({"sub": RUNNER}).encode()).decode().rstrip("=")
    (mounted / "token").write_text(f"header.{subject}.canary-of-a-signature")
    monkeypatch.setattr("helpers.runtime.account.FOLDER", mounted)
    monkeypatch.setenv("ELYRA_RUN_NAME", "8e8018f7-410c-40f8-a87c-0c9db50d2ca4")
    monkeypatch.setenv("ASSAY_STARTED_BY", "ada")
    selection = ingestion.ingest(settings(folder), registry)
    [version] = registry.versions()
    expected = {
        "ingested_by": RUNNER, "ingested_in": "8e8018f7-410c-40f8-a87c-0c9db50d2ca4", "started_by": "ada",
    }  # fmt: skip
    assert expected.items() <= version.properties.items()
    stored = [path for path in Path(selection.uri.removeprefix("file://")).rglob("*") if path.is_file()]
    assert (
        expected.items()
        <= json.loads(next(path for path in stored if path.name == "provenance.json").read_text()).items()
    )
    assert not [path for path in stored if b"canary" in path.read_bytes()]
    assert "canary" not in str(version.properties)


def test_the_same_content_again_is_stored_once_also_under_another_name(folder, registry):
    first = ingestion.ingest(settings(folder), registry)
    assert ingestion.ingest(settings(folder), registry) == first
    other = ingestion.ingest(settings(folder, model_name="other", model_version="2"), registry)
    assert (other.uri, other.digest) == (first.uri, first.digest)
    assert len(registry.versions()) == 2
    assert len(list((home() / "store" / "models").iterdir())) == 1
    assert not [path for path in (home() / "quarantine").iterdir() if path.is_dir()]


def test_other_content_under_the_same_version_is_refused_before_it_is_stored(folder, registry):
    ingestion.ingest(settings(folder), registry)
    with (folder / "README.md").open("a") as card:
        card.write("\nChanged.\n")
    with pytest.raises(InvalidInput, match=r"granite-small 1\.0\.0 is registered with digest .*Give MODEL_VERSION"):
        ingestion.ingest(settings(folder), registry)
    assert len(list((home() / "store" / "models").iterdir())) == 1


def test_a_refused_model_reaches_neither_store_nor_registry_nor_stays_in_quarantine(folder, registry):
    (folder / "evil.sh").write_text("")
    arrival = ingestion.receive(settings(folder))
    assert arrival.inspection.refused
    with pytest.raises(RefusedModel, match=r"evil\.sh"):
        ingestion.admit(arrival, registry)
    assert registry.versions() == []
    assert not (home() / "store").exists()
    assert not [path for path in (home() / "quarantine").glob("*") if path.is_dir()]


def test_a_model_that_the_policy_lets_from_nowhere_is_refused(folder, registry, tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY.read_text().replace("folders: true ", "folders: false"))
    with pytest.raises(RefusedModel, match="comes from a folder, and the policy allows none") as caught:
        ingestion.ingest(settings(folder, policy=policy), registry)
    assert "missing" not in str(caught.value)


def test_one_bad_file_has_the_same_reason_on_the_command_line_and_in_the_pipeline(folder, registry_server, tmp_path):
    shutil.copy(folder / "config.json", folder / "weights.pkl")
    (folder / "tokenizer_config.json").write_text(json.dumps({"auto_map": {"AutoTokenizer": "x.Y"}}))
    command = [sys.executable, "-m", "helpers.ingestion", folder, "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    findings = [ingestion.Finding(*found) for found in json.loads(done.stdout)["findings"]]
    assert {found.file for found in findings} == {"weights.pkl", "tokenizer_config.json"}
    with pytest.raises(StageFailed, match="failed in ingest_model") as caught:
        pipelines.run("model-ops", tmp_path / "run", {"SOURCE": str(folder)})
    for found in findings:
        assert f"{found.file}: {found.problem} ({found.rule})" in str(caught.value)


@pytest.fixture
def places(hub_server, s3_bucket, oci_registry, monkeypatch, tmp_path):
    """A source and a store of every kind but the folder."""
    monkeypatch.setenv("OCI_BASE_IMAGE", "scratch")
    files = {path.name: path.read_bytes() for path in CLEAN["sharded"](tmp_path / "granite").iterdir()}
    hub_server.add("ibm-granite/granite", files)
    for name, data in files.items():
        s3_bucket.put(f"from/granite/{name}", data)
    image = f"{oci_registry.uri}/{s3_bucket.name}/granite:1.0"
    push(
        oci_registry.host, f"{s3_bucket.name}/granite", "1.0", layer({f"models/{name}": files[name] for name in files})
    )
    return {
        "hub": "hf://ibm-granite/granite", "bucket": f"{s3_bucket.uri}/from/granite", "image": image,
        "bucket store": f"{s3_bucket.uri}/to", "registry store": f"{oci_registry.uri}/{s3_bucket.name}/models",
    }  # fmt: skip


def test_every_source_and_every_store_hold_the_same_model(places, registry, tmp_path):
    policy = write_policy(tmp_path)
    found = []
    for version, (source, store) in enumerate(
        [("hub", "bucket store"), ("bucket", "registry store"), ("image", "bucket store"), ("hub", "registry store")]
    ):
        given = {"model_store": places[store], "model_version": str(version), "policy": policy}
        selection = ingestion.ingest(settings(places[source], **given), registry)
        registry.confirm(selection, require_approval=False)
        assert (verified_folder(selection, load_policy(policy)) / "config.json").is_file()
        found.append(selection)
    assert len({selection.digest for selection in found}) == 1
    assert found[0].uri == found[2].uri
    assert found[1].uri == found[3].uri
    origins = [version.properties["source"] for version in registry.versions()]
    assert origins == [places["hub"], places["bucket"], places["image"], places["hub"]]
    commits = [version.properties.get("commit") for version in registry.versions()]
    assert commits[0] == commits[3]
    assert len(commits[0]) == 40


def test_bad_parameters_are_named():
    with pytest.raises(InvalidParameter, match="SOURCE"):
        settings("")
    with pytest.raises(InvalidParameter, match="MODEL_VERSION"):
        settings("x", model_version="1/2")
    with pytest.raises(InvalidParameter, match="ftp://"):
        ingestion.receive(settings("x", model_store="ftp://host/x"))


@pytest.mark.parametrize("source", ["/", ".", ".."])
def test_a_source_without_a_name_asks_for_one(source):
    with pytest.raises(InvalidParameter, match="MODEL_NAME"):
        settings(source)
    assert settings(source, model_name="granite").name == "granite"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("/models/granite", "granite"),
        ("hf://org/granite-4.0@main", "granite-4.0"),
        ("s3://bucket/prefix/granite/", "granite"),
        ("oci://host:5000/team/granite:1.0", "granite"),
        (f"oci://host/team/granite@sha256:{'0' * 64}", "granite"),
        ("/cache/hub/models--org--granite-4.0/snapshots/0123456789abcdef0123456789abcdef01234567", "granite-4.0"),
        ("/downloads/granite.tar.gz", "granite"),
        ("/downloads/granite-4.0.zip", "granite-4.0"),
        ("/my models/granite 4.0 (tuned)", "granite-4.0-tuned"),
        (f"/models/{'x' * 100}", "x" * 63),
    ],
)
def test_a_model_is_named_after_its_source(source, name):
    assert settings(source).name == name
