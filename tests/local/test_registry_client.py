"""The embedded registry through the platform's own, unmodified client: each public method but the experiments'."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import huggingface_hub
import pytest
from model_registry import ModelRegistry, utils
from model_registry.exceptions import StoreError
from model_registry.types import DocArtifact, ListOptions, ModelArtifact, ModelVersion, RegisteredModel
from mr_openapi import ArtifactState, ArtifactTypeQueryParam, ModelVersionState, RegisteredModelState
from mr_openapi.exceptions import ApiException, BadRequestException, ServiceException, UnauthorizedException

from helpers.local.registry.app import PREFIXES
from helpers.registry import connect
from tests.plugins.registry import MEMORY, RegistryServer, serving

SOURCE = {f"model_source_{part}": part for part in ("kind", "class", "group", "id", "name")}
STORED = {"storage_key": "key", "storage_path": "path", "service_account_name": "account"}


def real_client(address: str, token: str = "unused") -> ModelRegistry:
    return ModelRegistry(address, author="tester", is_secure=False, user_token=token)


@pytest.fixture
def client(registry_server: RegistryServer) -> ModelRegistry:
    return real_client(registry_server.address)


def register(client: ModelRegistry, name: str = "alpha", version: str = "1", **more: object) -> RegisteredModel:
    known = {"model_format_name": "safetensors", "model_format_version": "1", "version": version}
    return client.register_model(name, "file:///x", **(known | more))


def test_all_that_is_registered_is_found_again(client):
    metadata = {"text": "t", "label": "", "whole": 7, "real": 0.5, "flag": True, "no": False, "ü 模": "🤖"}

    register(client, author="ann", owner="bob", version_description="about", metadata=metadata, **STORED, **SOURCE)

    model, version = client.get_registered_model("alpha"), client.get_model_version("alpha", "1")
    artifact = client.get_model_artifact("alpha", "1")
    assert (model.owner, model.state, model.custom_properties) == ("bob", RegisteredModelState.LIVE, None)
    assert (version.author, version.description, version.registered_model_id) == ("ann", "about", model.id)
    assert version.custom_properties == metadata
    assert (artifact.uri, artifact.model_format_name, artifact.model_format_version) == (
        "file:///x",
        "safetensors",
        "1",
    )
    assert {name: getattr(artifact, name) for name in STORED | SOURCE} == STORED | SOURCE
    assert artifact.state == ArtifactState.UNKNOWN


def test_owner_and_author_are_the_clients_unless_told_and_a_second_version_keeps_the_model(client):
    first = register(client, owner="bob")
    second = register(client, version="2", owner="eve")
    assert (first.id, second.owner) == (second.id, "bob")
    assert [version.author for version in client.get_model_versions("alpha")] == ["tester", "tester"]
    assert register(client, "beta").owner == "tester"


def test_a_whole_float_comes_back_as_an_int(client):
    register(client, metadata={"accuracy": 1.0})
    found = client.get_model_version("alpha", "1").custom_properties["accuracy"]
    assert (found, type(found)) == (1, int)


def test_a_version_that_exists_is_refused(client):
    register(client, "Alpha", "rc")
    for name, version in (("Alpha", "rc"), ("alpha", "RC")):
        with pytest.raises(StoreError, match="already exists"):
            register(client, name, version)
    parameters = utils.S3Params("bucket", "prefix")
    with pytest.raises(StoreError, match="already exists"):
        client.upload_artifact_and_register_model(
            "alpha", "/x", upload_params=parameters, version="rc", model_format_name="f", model_format_version="1"
        )


def test_an_unknown_name_is_none_and_what_is_below_it_an_error(client):
    assert client.get_registered_model("nobody") is None
    for missing in (client.get_model_versions, lambda name: client.get_model_version(name, "1")):
        with pytest.raises(StoreError, match="nobody does not exist"):
            missing("nobody")
    register(client)
    assert client.get_model_version("alpha", "2") is None
    with pytest.raises(StoreError, match="2 does not exist"):
        client.get_model_artifact("alpha", "2")


def test_a_long_version_name_is_kept_and_a_longer_one_refused(client):
    register(client, version="v" * 250)
    assert client.get_model_artifact("alpha", "v" * 250).uri == "file:///x"
    with pytest.raises(ServiceException):
        register(client, version="v" * 254)
    assert len(list(client.get_model_versions("alpha"))) == 1


@pytest.mark.parametrize(
    "get",
    [
        lambda client: client.get_registered_model("alpha"),
        lambda client: client.get_model_version("alpha", "1"),
        lambda client: client.get_model_artifact("alpha", "1"),
    ],
    ids=["model", "version", "artifact"],
)
def test_an_update_keeps_what_it_does_not_name(client, get: Callable[[ModelRegistry], RegisteredModel]):
    register(client, version_description="old", metadata={"old": 1}, **STORED)
    before = get(client)
    before.description, before.external_id, before.custom_properties = "new", "other", {"label": "", "n": 2}

    assert client.update(before).description == "new"

    after = get(client)
    assert int(after.last_update_time_since_epoch) > int(before.last_update_time_since_epoch)
    same = {"last_update_time_since_epoch": after.last_update_time_since_epoch}
    assert after == before.model_copy(update=same)


def test_an_artifact_that_names_little_is_updated_in_that_alone(client):
    register(client, **STORED)
    known = client.get_model_artifact("alpha", "1")
    updated = client.update(ModelArtifact(id=known.id, uri="https://other", description="moved"))
    assert (updated.uri, updated.description, updated.storage_key) == ("https://other", "moved", "key")
    assert updated.model_format_name == "safetensors"


def test_states_are_kept(client):
    register(client)
    model, version = client.get_registered_model("alpha"), client.get_model_version("alpha", "1")
    model.state, version.state = RegisteredModelState.ARCHIVED, ModelVersionState.ARCHIVED
    client.update(model), client.update(version)
    assert client.get_registered_model("alpha").state == RegisteredModelState.ARCHIVED
    assert client.get_model_version("alpha", "1").state == ModelVersionState.ARCHIVED
    for state in ArtifactState:
        artifact = client.get_model_artifact("alpha", "1")
        artifact.state = state
        assert client.update(artifact).state == state


def test_what_was_never_registered_cannot_be_updated(client):
    with pytest.raises(StoreError, match="ID"):
        client.update(RegisteredModel(name="alpha"))


@pytest.mark.parametrize("count", [0, 1, 5])
@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_the_pager_of_models_shows_each_once(client, count, size):
    names = [f"m{i}" for i in range(count)]
    for name in names:
        register(client, name)

    pager = client.get_registered_models().page_size(size)

    assert [model.name for model in pager] == names
    assert [model.name for model in pager.restart()] == names
    assert [model.name for model in pager.descending()] == names[::-1]


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_the_pager_of_versions_takes_each_order(client, size):
    names = ["c", "a", "b"]
    for name in names:
        register(client, version=name)
    register(client, "beta")
    client.update(client.get_model_version("alpha", "a"))

    def shown(pager) -> list[str]:
        return [version.name for version in pager]

    pager = client.get_model_versions("alpha").page_size(size)
    assert shown(pager.order_by_id()) == shown(pager.order_by_creation_time()) == names
    assert shown(pager.descending()) == names[::-1]
    assert shown(pager.order_by_update_time()) == ["a", "b", "c"]
    assert shown(pager.ascending()) == ["c", "b", "a"]


def test_a_model_of_the_hub_is_registered_with_its_card(client, monkeypatch):
    card = huggingface_hub.ModelCardData(license="mit", language=["en"], tags=["tiny"])
    known = huggingface_hub.ModelInfo(id="org/tiny", author="org", tags=[], siblings=[])
    known.cardData = known.card_data = card
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: known)  # the hub is not on this machine

    client.register_hf_model(
        "org/tiny", "model.onnx", version="1", model_format_name="onnx", model_format_version="1", git_ref="v1"
    )

    version, artifact = client.get_model_version("org/tiny", "1"), client.get_model_artifact("org/tiny", "1")
    assert {"license": "mit", "repo": "org/tiny", "model_author": "org"}.items() <= version.custom_properties.items()
    assert (version.author, artifact.storage_path) == ("org", "model.onnx")
    assert artifact.uri.endswith("org/tiny/resolve/v1/model.onnx")


# What the public methods are made of


def test_each_thing_is_found_by_id_and_an_external_id_is_taken_once(client):
    api, run = client._api, client.async_runner
    model = run(api.upsert_registered_model(RegisteredModel(name="m", external_id="em")))
    version = run(api.upsert_model_version(ModelVersion(name="v", external_id="ev"), model.id))
    artifact = run(api.upsert_model_version_artifact(ModelArtifact(name="a", uri="u", external_id="ea"), version.id))
    assert run(api.get_registered_model_by_id(model.id)) == model
    assert run(api.get_model_version_by_id(version.id)) == version
    assert run(api.get_model_artifact_by_id(artifact.id)) == artifact
    for get in (api.get_registered_model_by_id, api.get_model_version_by_id, api.get_model_artifact_by_id):
        assert run(get("999")) is None
    with pytest.raises(ApiException, match="409"):
        run(api.upsert_registered_model(RegisteredModel(name="n", external_id="em")))


def test_the_artifacts_of_a_version_are_of_their_type_and_page(client):
    register(client)
    api, run, version = client._api, client.async_runner, client.get_model_version("alpha", "1")
    for i in range(4):
        made = run(api.upsert_model_version_artifact(DocArtifact(name=f"d{i}", uri=f"file:///{i}"), version.id))
        assert (type(made), made.state) == (DocArtifact, ArtifactState.UNKNOWN)

    options = ListOptions(limit=2)
    pages = [[one.name for one in run(api.get_model_version_artifacts(version.id, options))] for _ in range(3)]
    documents = ListOptions.artifact_type(ArtifactTypeQueryParam.DOC_MINUS_ARTIFACT)

    assert pages == [["alpha", "d0"], ["d1", "d2"], ["d3"]]
    assert [one.name for one in run(api.get_model_version_artifacts(version.id, documents))] == ["d0", "d1", "d2", "d3"]
    assert [one.name for one in run(api.get_model_artifacts(version.id))] == ["alpha"]
    assert [one.name for one in run(api.get_model_artifacts())] == ["alpha"]


def test_an_artifact_that_is_upserted_with_its_id_is_refused(client):
    register(client)
    api, run, version = client._api, client.async_runner, client.get_model_version("alpha", "1")
    document = run(api.upsert_model_version_artifact(DocArtifact(name="notes", uri="old"), version.id))
    with pytest.raises(BadRequestException, match="changed by PATCH"):
        run(api.upsert_model_version_artifact(DocArtifact(id=document.id, name="notes", uri="new"), version.id))


def test_a_document_hides_the_model_artifact_of_its_name(client):
    register(client)
    api, run, version = client._api, client.async_runner, client.get_model_version("alpha", "1")
    document = run(api.upsert_model_version_artifact(DocArtifact(name="alpha", uri="file:///d"), version.id))
    assert document.uri == "file:///d"
    assert [one.uri for one in run(api.get_model_artifacts(version.id))] == ["file:///x"]
    assert client.get_model_artifact("alpha", "1") is None, "two artifacts have this name"


def test_both_prefixes_show_the_same(registry_server):
    register(real_client(registry_server.address))
    seen = [httpx.get(f"{registry_server.address}{prefix}/model_versions").json() for prefix in PREFIXES]
    assert seen[0] == seen[1]
    assert seen[0]["size"] == 1


def test_only_those_with_the_token_get_in():
    with serving(MEMORY, token="secret") as server:
        register(real_client(server.address, "secret"))
        with pytest.raises(UnauthorizedException):
            real_client(server.address, "wrong")
        answer = httpx.get(f"{server.address}{PREFIXES[0]}/registered_models")
        assert (answer.status_code, answer.json()["code"]) == (401, "Unauthorized")
        assert "secret" not in answer.text
        assert httpx.get(f"{server.address}/readyz/health").text == "OK"


def test_what_assay_registers_the_platforms_client_reads_and_the_other_way_round(registry_server, client):
    ours = connect(registry_server.address)
    digest = f"sha256:{'a' * 64}"
    selection = ours.register_candidate("alpha", "1.0.0", uri="s3://models/alpha", digest=digest, size_bytes=1000)
    ours.set_approval(selection.model_version_id, "approved", ["meets the thresholds"])

    version, artifact = client.get_model_version("alpha", "1.0.0"), client.get_model_artifact("alpha", "1.0.0")
    assert client.get_registered_model("alpha").id == selection.registered_model_id
    assert (version.id, version.custom_properties["digest"]) == (selection.model_version_id, digest)
    assert version.custom_properties["approval"] == "approved"
    assert (artifact.id, artifact.uri) == (selection.model_artifact_id, "s3://models/alpha")

    register(client, "beta", "7", metadata={"text": "t", "whole": 7, "real": 0.5, "flag": True})
    found = ours.find("beta", "7")
    assert found.properties == {"text": "t", "whole": 7, "real": 0.5, "flag": True}
