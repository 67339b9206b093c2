"""An endpoint that exists is a candidate like any other: registered, measured by what it offers, never approved."""

from __future__ import annotations

import json

import pytest

from helpers import registry, serving
from helpers.artifacts import Endpoint, Hardware, Selection
from helpers.artifacts.run import VARIABLE
from helpers.errors import EndpointUnreachable, InvalidInput, InvalidParameter, NotApproved, ServerChanged
from helpers.pipelines import Pipeline
from helpers.pipelines.values import check_values
from helpers.records import logbook
from helpers.registry import Constraints
from helpers.runtime.partial import served
from helpers.serving import client
from helpers.serving.guard import Guard
from tests.plugins.hosted_api import CANARY
from tests.plugins.models import BASELINE, POLICY
from tests.plugins.records import a_selection, a_sweep, an_endpoint, an_evaluation, some_samples

COMPLETIONS = "/v1/completions"


@pytest.fixture
def place(tmp_path, monkeypatch, registry_server):
    """A stage's folder and the registry."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(VARIABLE, raising=False)
    return registry.connect(registry_server.address)


def settings(hosted, **changes):
    given = {"target": "existing", "endpoint_url": hosted.url, "endpoint_model": hosted.model}
    return serving.Settings(**given | changes)


def selected(place, hosted, name="", version="", **changes):
    return serving.select(settings(hosted, **changes), place, (), name, version)


def version_of(place, selection):
    return place.find(selection.name, selection.version)


# Registered


def test_an_endpoint_becomes_a_version_that_says_what_is_not_known(place, hosted):
    found = selected(place, hosted)
    assert (found.name, found.version) == ("org-chat-1", "2025-01-01")  # by what the server says
    assert (found.uri, found.digest, found.size_bytes, found.is_endpoint) == (hosted.url, "", 0, True)
    known = version_of(place, found).properties
    assert (known["endpoint"], known["endpoint_model"]) == (hosted.url, hosted.model)
    assert (known["digest"], known["license"], known["approval"]) == ("unknown", "unknown", "candidate")
    assert selected(place, hosted) == found
    assert len(place.versions()) == 1


def test_a_given_name_and_version_are_taken(place, hosted):
    found = selected(place, hosted, "assistant", "7")
    assert found.label == "assistant 7"


def test_a_server_that_lists_nothing_needs_the_models_name(place, hosted):
    hosted.lists = False
    assert selected(place, hosted).name == "org-chat-1"
    with pytest.raises(InvalidParameter, match="ENDPOINT_MODEL"):
        selected(place, hosted, endpoint_model="")


def test_the_only_model_of_a_server_needs_no_name(place, hosted):
    assert selected(place, hosted, endpoint_model="").name == "org-chat-1"


def test_the_first_approved_model_is_not_taken_in_its_place(place, hosted):
    weights = place.register_candidate("other", "1", uri="file:///m", digest=f"sha256:{'a' * 64}", size_bytes=1)
    place.set_approval(weights.model_version_id, "approved", ["good"])
    rows = place.shortlist(Constraints())
    assert serving.select(settings(hosted), place, rows).uri == hosted.url
    assert serving.select(serving.Settings(target="local"), place, rows).name == "other"


@pytest.mark.parametrize("other", ["another address", "weights"])
def test_a_version_that_is_something_else_is_not_overwritten(place, hosted, other):
    if other == "weights":
        place.register_candidate("m", "1", uri="file:///m", digest=f"sha256:{'a' * 64}", size_bytes=1)
    else:
        place.register_endpoint("m", "1", url="http://elsewhere", model="m")
    with pytest.raises(InvalidInput, match=hosted.url):
        selected(place, hosted, "m", "1")


def test_nobody_approves_an_endpoint(place, hosted):
    found = selected(place, hosted)
    for by in ("", "Ada"):
        with pytest.raises(InvalidInput, match="endpoint"):
            place.set_approval(found.model_version_id, "approved", ["good"], by=by)
    place.set_approval(found.model_version_id, "rejected", ["bad"])
    assert version_of(place, found).properties["approval"] == "rejected"
    place.confirm(found)  # and it may be measured without


def test_a_version_with_weights_still_needs_its_approval(place):
    weights = place.register_candidate("other", "1", uri="file:///m", digest=f"sha256:{'a' * 64}", size_bytes=1)
    with pytest.raises(NotApproved):
        place.confirm(weights)


# Connected


@pytest.mark.parametrize("ending", ["", "/", "/v1", "/v1/", "/v1/chat/completions"])
def test_the_address_is_taken_with_and_without_the_apis_path(place, hosted, ending):
    hosted_with = settings(hosted, endpoint_url=f"{hosted.url}{ending}")
    selection = serving.select(hosted_with, place, ())
    endpoint = serving.deploy(selection, hosted_with)
    assert endpoint.url == selection.uri == hosted.url


def test_a_chat_model_is_an_endpoint_of_which_the_rest_is_not_known(place, hosted, capsys):
    selection = selected(place, hosted)
    selection.write()
    endpoint = serving.deploy(selection, settings(hosted))
    endpoint.write()
    assert Endpoint.read() == endpoint.model_copy(update={"run": Selection.read().run})
    assert (endpoint.target, endpoint.model, endpoint.tokenizer, endpoint.digest) == ("existing", "org/chat-1", "", "")
    assert (endpoint.engine, endpoint.engine_version) == ("org", "unknown")
    assert str(endpoint.hardware) == "unknown"
    assert not endpoint.digest_verified
    told = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert told["chat"] == "yes"
    assert "404" in told["completions"]
    Guard(endpoint).check()


@pytest.mark.parametrize("name", ["max_model_len", "context_length", "context_window", "max_context_length"])
def test_the_context_is_what_the_list_says(place, hosted, name):
    hosted.entry = {name: 8192}
    assert serving.deploy(selected(place, hosted), settings(hosted)).max_model_len == 8192


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("hardware", ("unknown", "NVIDIA-L40S:2", "Intel(R) Xeon(R) CPU @ 2.70GHz"), ("xx:yy", "L40S:0", ":2", " ")),
        ("endpoint_model", ("meta/llama-3:free", "ft:gpt-4o-mini:org::id", "@cf/x"), ("a b", "http:/x", "https://x")),
        ("engine_args", ("-tp 2", "--seed 1"), ("nonsense", "4 --seed")),
    ],
)
def test_what_serves_is_named_in_a_form_that_means_something(name, good, bad):
    for value in good:
        assert getattr(serving.Settings(**{name: value}), name) == value
    for value in bad:
        with pytest.raises(InvalidParameter, match=name.upper()):
            serving.Settings(**{name: value})


def test_hardware_is_what_the_user_says(place, hosted):
    endpoint = serving.deploy(selected(place, hosted), settings(hosted, hardware="NVIDIA-L40S:2"))
    assert endpoint.hardware == Hardware(type="NVIDIA-L40S", count=2)


def test_a_model_that_is_not_listed_and_answers_is_measured(place, hosted):
    hosted.lists = False
    endpoint = serving.deploy(selected(place, hosted), settings(hosted))
    watched = Guard(endpoint)
    watched.check()
    hosted.model = "another"
    with pytest.raises(ServerChanged):
        watched.check()


def test_a_model_that_answers_nothing_is_refused_with_what_is_served(place, hosted):
    selection = selected(place, hosted)
    hosted.model = "chat-2"
    with pytest.raises(EndpointUnreachable, match="chat-2"):
        serving.deploy(selection, settings(hosted, endpoint_model="org/chat-1"))


def test_an_address_with_a_mistake_takes_no_versions_name(place, hosted):
    hosted.lists = False
    with pytest.raises(EndpointUnreachable, match="/wrong"):
        selected(place, hosted, endpoint_url=f"{hosted.url}/wrong/v1")
    assert selected(place, hosted).uri == hosted.url


def test_a_wrong_key_is_told_where_the_list_is_open_to_all(place, hosted):
    hosted.statuses = {"/v1/chat/completions": 401}
    with pytest.raises(EndpointUnreachable) as error:
        selected(place, hosted)
    assert "ENDPOINT_API_KEY" in error.value.do
    assert place.versions() == []


@pytest.mark.parametrize("key", ["", "another-key-0815"])
def test_a_wrong_key_is_told_before_anything_is_registered(place, hosted, monkeypatch, key):
    monkeypatch.setenv("ENDPOINT_API_KEY", key)
    with pytest.raises(EndpointUnreachable) as error:
        selected(place, hosted)
    assert "ENDPOINT_API_KEY" in error.value.do
    assert not key or key not in str(error.value)
    assert place.versions() == []


def test_a_server_without_health_is_healthy(hosted):
    assert client.healthy(hosted.url)
    hosted.lists = False
    assert client.healthy(hosted.url)
    assert not client.healthy("http://127.0.0.1:9")


def test_another_address_or_target_than_the_selections_is_refused(place, hosted):
    selection = selected(place, hosted)
    with pytest.raises(InvalidParameter, match="ENDPOINT_URL"):
        serving.deploy(selection, settings(hosted, endpoint_url="http://elsewhere"))
    with pytest.raises(InvalidParameter, match="TARGET"):
        serving.deploy(selection, serving.Settings(target="local"))


def test_the_stage_ends_green_and_removes_nothing(place, hosted):
    selection = selected(place, hosted)
    selection.write()
    serving.deploy(selection, settings(hosted)).write()
    assert len(serving.remove_deployed(serving.Place(target="existing"))) == 1
    assert serving.remove_expired(serving.Place(target="existing")) == []


def test_the_key_is_in_no_artifact_and_no_property(place, hosted, tmp_path):
    selection = selected(place, hosted)
    selection.write()
    serving.deploy(selection, settings(hosted)).write()
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert hosted.url.encode() in written
    assert CANARY.encode() not in written
    assert CANARY not in json.dumps(version_of(place, selection).properties)


# Kept apart


def test_by_hand_another_endpoint_begins_another_run(place, hosted):
    first, again = (selected(place, hosted), selected(place, hosted))
    first.write()
    run = Selection.read().run
    again.write()
    assert Selection.read().run == run
    place.register_endpoint("other", "1", url=hosted.url, model="other").write()
    assert Selection.read().run != run


def test_two_endpoints_without_a_digest_are_not_the_same_model():
    one = an_endpoint(a_selection()).model_copy(update={"digest": "", "target": "existing"})
    assert served(one) != served(one.model_copy(update={"url": "http://elsewhere"}))
    assert served(one) != served(one.model_copy(update={"model": "other"}))


def test_weights_without_a_digest_are_no_selection():
    with pytest.raises(ValueError, match="digest"):
        Selection(**a_selection().model_dump() | {"digest": ""})


@pytest.mark.parametrize("asked", [{"decide_approval": True, "policy": POLICY, "criteria": BASELINE},
                                   {"purpose": "baseline"}], ids=str)  # fmt: skip
def test_an_endpoint_is_never_a_baseline(place, hosted, tmp_path, asked):
    selection = selected(place, hosted)
    endpoint = serving.deploy(selection, settings(hosted))
    for artifact in (selection, endpoint, a_sweep(), an_evaluation(some_samples(0.5))):
        changes = {} if artifact is selection else {"digest": ""}
        artifact.model_copy(update=changes).write(tmp_path)
    with pytest.raises(InvalidInput, match=hosted.url):
        logbook.log(logbook.Settings(store=tmp_path.as_uri(), **asked), place, tmp_path)
    assert place.records() == []


def test_an_endpoint_is_refused_for_a_baseline_before_anything_starts(hosted):
    with pytest.raises(InvalidParameter, match="ai-engineer"):
        settings(hosted, require_approval=False)
    with pytest.raises(InvalidParameter, match="TARGET"):
        check_values(Pipeline("model-ops"), {"TARGET": "existing", "SOURCE": "/tmp"})


@pytest.mark.parametrize("given", [
    {"TARGET": "existing"}, {"ENDPOINT_URL": "http://host"}, {"TARGET": "local", "ENDPOINT_URL": "http://host"},
    {"TARGET": "existing", "ENDPOINT_URL": "host:8000"}, {"TARGET": "existing", "ENDPOINT_URL": "http://u:p@host"},
], ids=str)  # fmt: skip
@pytest.mark.parametrize("name", ["ai-engineer", "regression"])
def test_half_an_endpoint_is_refused_before_anything_starts(name, given):
    with pytest.raises(InvalidParameter, match="ENDPOINT_URL"):
        check_values(Pipeline(name), given)


@pytest.mark.parametrize("name", ["ai-engineer", "regression"])
def test_a_whole_endpoint_is_accepted(name):
    given = {"TARGET": "existing", "ENDPOINT_URL": "https://api.example/v1", "ENDPOINT_MODEL": "org/chat-1"}
    check_values(Pipeline(name), given | {"HARDWARE": "NVIDIA-L40S:2"})
