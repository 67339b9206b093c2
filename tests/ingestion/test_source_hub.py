"""hf://: a commit, judged before it is downloaded, resumed after a kill, checked against what the hub states."""

import time
import traceback

import pytest

from helpers.errors import InvalidParameter, NotFound, SourceUnreachable
from helpers.ingestion.sources import fetch
from tests.plugins.certificates import make_certificates
from tests.plugins.registry import MEMORY, serving
from tests.plugins.sources import CARD, a_policy, fetched, files_below, killed, model, rules, sums, write_policy

pytestmark = pytest.mark.load

NAME = "ibm-granite/tiny"
SOURCE = f"hf://{NAME}"
SHARD = "model-1-of-2.safetensors"


def downloads(hub):
    """The files that were asked for, without the large ones' second request."""
    return [request.path.rpartition("/")[2] for request in hub.requests if "/resolve/" in request.path]


def test_a_branch_is_resolved_to_its_commit(hub_server, policy, quarantine):
    commit = hub_server.add(NAME, model(), "v1.0")
    with fetched(f"{SOURCE}@v1.0", policy, quarantine) as result:
        assert dict(result.sums) == sums(model())
        assert result.facts["commit"] == commit
        assert result.facts["source"] == f"{SOURCE}@v1.0"
        assert (result.origin["name"], result.origin["id"], result.origin["group"]) == (NAME, commit, "ibm-granite")
        assert not result.findings
        assert sorted(path.name for path in result.folder.iterdir() if path.is_dir()) == ["tokenizer"]
    assert all(commit in request.path for request in hub_server.requests if "/resolve/" in request.path)


def test_a_commit_and_main_are_revisions_too(hub_server, policy, quarantine):
    old = hub_server.add(NAME, {"README.md": CARD, "config.json": b"{}"})
    new = hub_server.add(NAME, model())
    for source, commit in ((f"{SOURCE}@{old}", old), (SOURCE, new)):
        with fetched(source, policy, quarantine) as result:
            assert result.facts["commit"] == commit


def test_a_token_opens_a_private_model_and_is_seen_nowhere(hub_server, policy, quarantine, monkeypatch, capfd):
    hub_server.add(NAME, model(), private=True)
    with pytest.raises(NotFound, match="HF_TOKEN"), fetch(SOURCE, policy, quarantine):
        pass
    monkeypatch.setenv("HF_TOKEN", hub_server.token)
    with fetched(SOURCE, policy, quarantine) as result:
        assert len(result.sums) == len(model())
        written = [path.read_bytes() for path in files_below(quarantine)]
        assert not any(hub_server.token.encode() in data for data in written)
        assert hub_server.token not in repr(result)
    assert hub_server.token not in "".join(capfd.readouterr())


def test_a_wrong_token_is_not_repeated(hub_server, policy, quarantine, monkeypatch, caplog):
    hub_server.add(NAME, model(), private=True)
    monkeypatch.setenv("HF_TOKEN", "hf_the-wrong-one")
    with pytest.raises(NotFound) as caught, fetch(SOURCE, policy, quarantine):
        pass
    assert "wrong-one" not in f"{caught.value}{caught.value.__cause__}{caplog.text}"


def test_a_gated_model_says_what_to_accept(hub_server, policy, quarantine):
    hub_server.add(NAME, model(), gated=True)
    with pytest.raises(SourceUnreachable, match=r"gated.*terms"), fetch(SOURCE, policy, quarantine):
        pass


@pytest.mark.parametrize(
    ("source", "message"),
    [(f"{SOURCE}@nobranch", "no such revision"), ("hf://ibm-granite/other", "not on 127.0.0.1")],
)
def test_what_is_not_there_is_said(source, message, hub_server, policy, quarantine):
    hub_server.add(NAME, model())
    with pytest.raises(NotFound, match=message), fetch(source, policy, quarantine):
        pass


@pytest.mark.parametrize(
    "source", ["hf://", "hf://a/b/c", "hf://a/../b", "hf://a/b@", "hf://a/b@x y", "hf://a/b@../../api"]
)
def test_what_is_no_name_is_refused_before_it_is_asked_for(source, hub_server, policy, quarantine):
    with pytest.raises(InvalidParameter), fetch(source, policy, quarantine):
        pass
    assert not hub_server.requests


@pytest.mark.parametrize("name", ["stranger/tiny", "tiny"])
def test_an_organization_that_is_not_allowed_is_not_even_asked(name, hub_server, tmp_path, quarantine):
    hub_server.add(name, model())
    with fetched(f"hf://{name}", a_policy(tmp_path, organizations=["ibm-granite"]), quarantine) as result:
        assert rules(result) == {"source"}
        assert not result.complete
    assert not hub_server.requests


def test_a_model_that_moved_to_a_stranger_is_refused(hub_server, tmp_path, quarantine):
    hub_server.add("stranger/tiny", model())
    hub_server.renamed[NAME] = "stranger/tiny"
    with fetched(SOURCE, a_policy(tmp_path, organizations=["ibm-granite"]), quarantine) as result:
        assert [finding.problem for finding in result.findings] == [
            "comes from stranger, which the policy does not allow"
        ]
    assert not downloads(hub_server)


def test_a_proposal_of_a_stranger_is_no_revision(hub_server, tmp_path, quarantine):
    hub_server.add(NAME, model(), "refs/pr/1")
    with fetched(f"{SOURCE}@refs/pr/1", a_policy(tmp_path, organizations=["ibm-granite"]), quarantine) as result:
        assert rules(result) == {"source"}


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("evil.exe", "file-type"),
        ("../../outside.json", "path"),
        ("/etc/cron.json", "path"),
        ("a\\b.json", "path"),
        ("CONFIG.json", "name"),
        ("config.json/inner.json", "name"),
        ("pay\u202enosj.json", "name"),
        (".hidden.json", "name"),
    ],
)
def test_the_list_of_files_is_judged_before_anything_is_downloaded(
    name, rule, hub_server, policy, quarantine, tmp_path
):
    hub_server.add(NAME, {**model(), name: b"{}"})
    with fetched(SOURCE, policy, quarantine) as result:
        assert rule in rules(result)
        assert not files_below(result.folder)
    assert not downloads(hub_server)


@pytest.mark.parametrize(
    ("limits", "rule"),
    [
        ({"files": 3}, "count"),
        ({"total_gib": 5e-5}, "size"),
        ({"file_gib": 2e-5}, "size"),
        ({"json_mib": 1e-6}, "size"),
    ],
)
def test_too_much_is_refused_before_anything_is_downloaded(limits, rule, hub_server, tmp_path, quarantine):
    hub_server.add(NAME, model())
    with fetched(SOURCE, a_policy(tmp_path, limits=limits), quarantine) as result:
        assert rules(result) == {rule}
    assert not downloads(hub_server)


def test_a_wrong_license_costs_no_more_than_the_model_card(hub_server, policy, quarantine):
    hub_server.add(NAME, {**model(), "README.md": b"---\nlicense: cc-by-nc-4.0\n---\n"})
    with fetched(SOURCE, policy, quarantine) as result:
        assert rules(result) == {"license"}
    assert downloads(hub_server) == ["README.md"]


def test_what_the_policy_leaves_on_the_hub_stays_there(hub_server, policy, quarantine):
    left = {
        "pytorch_model.bin": b"pickle",
        "modeling.py": b"import os",
        "original/consolidated.pth": b"x",
        ".gitattributes": b"",
    }
    hub_server.add(NAME, model() | left)
    with fetched(SOURCE, policy, quarantine) as result:
        assert dict(result.sums) == sums(model())
        assert [finding.severity for finding in result.findings] == ["low"]
        assert "3 files" in result.findings[0].problem
    assert not set(downloads(hub_server)) & {"pytorch_model.bin", "modeling.py", "consolidated.pth", ".gitattributes"}


@pytest.mark.parametrize("name", [SHARD, "config.json"])
def test_content_that_is_not_what_the_hub_states_is_refused(name, hub_server, policy, quarantine):
    hub_server.add(NAME, model())
    hub_server.served[name] = bytes(len(model()[name]))
    with fetched(SOURCE, policy, quarantine) as result:
        assert [(finding.file, finding.rule) for finding in result.findings] == [(name, "digest")]
        assert not (result.folder / name).exists()


def test_a_hub_that_states_no_hash_is_noted(hub_server, policy, quarantine):
    hub_server.add(NAME, model())
    hub_server.stated["config.json"] = {"blobId": ""}
    with fetched(SOURCE, policy, quarantine) as result:
        assert [(finding.rule, finding.severity) for finding in result.findings] == [("digest", "low")]


@pytest.mark.parametrize("stated", [{"size": -1}, {"blobId": "x"}, {"lfs": {"sha256": "y", "size": 1}}])
def test_a_list_that_makes_no_sense_is_no_hubs(stated, hub_server, policy, quarantine):
    hub_server.add(NAME, model())
    hub_server.stated["config.json"] = stated
    with pytest.raises(SourceUnreachable, match="HF_ENDPOINT"), fetch(SOURCE, policy, quarantine):
        pass
    assert not downloads(hub_server)


@pytest.mark.parametrize("stated", [{"size": None}, {"rfilename": "README.md"}])
def test_a_list_that_hides_something_brings_nothing(stated, hub_server, policy, quarantine):
    hub_server.add(NAME, model())
    hub_server.stated["config.json"] = stated
    with fetched(SOURCE, policy, quarantine) as result:
        assert rules(result) == {"source"}
    assert not downloads(hub_server)


def test_a_list_without_end_is_cut_off(hub_server, policy, quarantine, monkeypatch):
    monkeypatch.setattr("helpers.ingestion.sources.hub_client.ANSWER_BYTES", 5000)
    hub_server.add(NAME, {f"file-{number}.json": b"{}" for number in range(200)})
    with fetched(SOURCE, policy, quarantine) as result:
        assert rules(result) == {"count"}


def test_a_trickle_is_as_slow_as_it_is(hub_server, tmp_path, quarantine):
    hub_server.add(NAME, model())
    hub_server.rate, hub_server.piece = 1000, 100
    start = time.monotonic()
    hasty = a_policy(tmp_path, limits={"hours": 1 / 3600})
    with pytest.raises(SourceUnreachable, match="hours"), fetch(SOURCE, hasty, quarantine):
        pass
    assert time.monotonic() - start < 10


def test_more_than_announced_is_cut_off(hub_server, policy, quarantine):
    hub_server.add(NAME, model())
    hub_server.served[SHARD] = bytes(5_000_000)
    with fetched(SOURCE, policy, quarantine) as result:
        assert rules(result) == {"size"}
    assert hub_server.sent < 4_000_000


def test_an_answer_without_end_is_cut_off(hub_server, policy, quarantine):
    hub_server.add(NAME, model())
    hub_server.endless = True
    with fetched(SOURCE, policy, quarantine) as result:
        assert rules(result) == {"size"}


def test_the_time_is_bounded_and_progress_is_kept(hub_server, tmp_path, quarantine, capsys):
    hub_server.add(NAME, model(2_000_000, 1))
    hub_server.rate = 500_000
    hasty = a_policy(tmp_path, limits={"hours": 1 / 3600})
    with pytest.raises(SourceUnreachable, match="hours"), fetch(SOURCE, hasty, quarantine):
        pass
    first, hub_server.rate = hub_server.sent, 0
    assert 0 < first < 2_000_000
    with fetched(SOURCE, hasty, quarantine) as result:
        assert dict(result.sums) == sums(model(2_000_000, 1))
    assert hub_server.sent < 2_600_000
    assert " MiB of 1.9 MiB, " in capsys.readouterr().out


@pytest.mark.parametrize("where", [0, 1, 3])
def test_a_server_that_stumbles_is_asked_again(where, hub_server, policy, quarantine):
    hub_server.add(NAME, model())
    hub_server.failures += [0] * where + [500, 503]
    with fetched(SOURCE, policy, quarantine) as result:
        assert dict(result.sums) == sums(model())


def test_a_server_that_only_stumbles_is_given_up(hub_server, policy, quarantine):
    hub_server.failures += [502] * 100
    with pytest.raises(SourceUnreachable, match=r"127\.0\.0\.1 answers 502"), fetch(SOURCE, policy, quarantine):
        pass
    assert 5 <= len(hub_server.requests) < 20


def test_a_signed_address_is_not_repeated(hub_server, policy, quarantine, capfd):
    hub_server.add(NAME, {"README.md": CARD, SHARD: bytes(20_000)})
    hub_server.failures += [0, 0, 0, 403]  # the list, the card, the redirect, and then the storage
    with pytest.raises(SourceUnreachable, match="refuses") as caught, fetch(SOURCE, policy, quarantine):
        pass
    assert "storage" in hub_server.requests[-1].path
    shown = "".join(traceback.format_exception(caught.value))
    assert "signed-address" not in shown + "".join(capfd.readouterr())


def test_a_certificate_that_is_not_trusted_is_called_that(policy, quarantine, monkeypatch, tmp_path, capsys):
    with serving(MEMORY, certificate=make_certificates(tmp_path).server) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        with (
            pytest.raises(SourceUnreachable, match=r"certificate of .* is not trusted.*SSL_CERT_FILE"),
            fetch(SOURCE, policy, quarantine),
        ):
            pass
    assert "Waiting" not in capsys.readouterr().out


def test_nobody_there_is_said(policy, quarantine, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://user:secret-word@127.0.0.1:9")
    with pytest.raises(SourceUnreachable, match=r"127\.0\.0\.1") as caught, fetch(SOURCE, policy, quarantine):
        pass
    assert "secret-word" not in f"{caught.value}{caught.value.__cause__}"


@pytest.mark.parametrize("ranges", [True, False])
def test_a_killed_download_goes_on(ranges, hub_server, tmp_path, quarantine):
    files = model(3_000_000, 2)
    hub_server.add(NAME, files)
    hub_server.rate = 3_000_000
    policy = write_policy(tmp_path)
    killed(SOURCE, policy, quarantine, lambda: hub_server.sent > 3_000_000)
    first, hub_server.rate, hub_server.ranges = hub_server.sent, 0, ranges
    with fetched(SOURCE, a_policy(tmp_path), quarantine) as result:
        assert dict(result.sums) == sums(files)
    again = hub_server.sent - first
    assert again < 4_000_000 if ranges else again >= 6_000_000


def test_what_was_killed_and_then_damaged_is_found_out(hub_server, tmp_path, quarantine):
    files = model(3_000_000, 1)
    hub_server.add(NAME, files)
    hub_server.rate = 3_000_000
    killed(SOURCE, write_policy(tmp_path), quarantine, lambda: hub_server.sent > 1_500_000)
    hub_server.rate = 0
    for path in files_below(quarantine):
        if path.stat().st_size > 1000:
            path.write_bytes(bytes(path.stat().st_size))
    with fetched(SOURCE, a_policy(tmp_path), quarantine) as result:
        assert dict(result.sums) == sums(files)


def test_another_commit_does_not_take_over_what_was_left(hub_server, tmp_path, quarantine):
    old, new = model(3_000_000, 1), model(3_000_001, 1)
    hub_server.add(NAME, old)
    hub_server.rate = 3_000_000
    killed(SOURCE, write_policy(tmp_path), quarantine, lambda: hub_server.sent > 1_500_000)
    hub_server.rate = 0
    hub_server.add(NAME, new)
    with fetched(SOURCE, a_policy(tmp_path), quarantine) as result:
        assert dict(result.sums) == sums(new)
