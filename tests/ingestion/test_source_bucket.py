"""s3://: the objects that were listed and no others, resumed as long as they are the same, keys never repeated."""

import re

import pytest

from helpers.errors import InvalidParameter, NotFound, SourceUnreachable
from helpers.ingestion.sources import bucket, fetch
from tests.plugins.certificates import make_certificates
from tests.plugins.registry import MEMORY, serving
from tests.plugins.sources import a_policy, fetched, files_below, killed, model, rules, sums, write_policy
from tests.plugins.stores import KEYS, throttled

pytestmark = pytest.mark.load


@pytest.fixture
def source(s3_bucket):
    return upload(s3_bucket, model())


def upload(bucket, files, prefix="models/tiny"):
    for name, data in files.items():
        bucket.put(f"{prefix}/{name}", data)
    return f"{bucket.uri}/{prefix}"


def lead_through(line, monkeypatch):
    """The source's own credentials lead through a slow line, the store's to the server itself."""
    for key, value in {**KEYS, "ENDPOINT": f"http://{line.address}"}.items():
        monkeypatch.setenv(f"SOURCE_AWS_{key}", value)


def test_what_is_below_a_prefix_comes(source, s3_bucket, policy, quarantine):
    s3_bucket.put("models/tiny-other/config.json", b"{}")
    s3_bucket.put("models/tiny/", b"")
    s3_bucket.put("models/tiny/tokenizer/", b"")
    with fetched(source, policy, quarantine) as result:
        assert dict(result.sums) == sums(model())
        assert (result.origin["group"], result.origin["name"]) == (s3_bucket.name, "models/tiny")
        assert re.fullmatch(r"sha256:[0-9a-f]{64}", result.facts["objects"])


def test_a_whole_bucket_can_be_a_model(s3_bucket, policy, quarantine):
    for name, data in model().items():
        s3_bucket.put(name, data)
    with fetched(f"{s3_bucket.uri}/", policy, quarantine) as result:
        assert dict(result.sums) == sums(model())


def test_a_bucket_that_is_not_allowed_is_not_asked(tmp_path, quarantine, monkeypatch):
    monkeypatch.setenv("SOURCE_AWS_ENDPOINT", "http://127.0.0.1:9")
    with fetched("s3://strange-bucket/model", a_policy(tmp_path, buckets=["ours"]), quarantine) as result:
        assert rules(result) == {"source"}


@pytest.mark.parametrize(
    ("key", "rule"),
    [
        ("../outside.json", "path"),
        ("/etc/passwd", "path"),
        ("a/./b.json", "path"),
        ("a\\b.json", "path"),
        ("CONFIG.json", "name"),
        ("config.json/b.json", "name"),
        ("model.pkl", "file-type"),
    ],
)
def test_a_key_that_is_no_plain_name_is_refused(key, rule, source, s3_bucket, policy, quarantine, tmp_path):
    s3_bucket.put(f"models/tiny/{key}", b"x")
    with fetched(source, policy, quarantine) as result:
        assert rules(result) == {rule}
        assert not files_below(result.folder)


@pytest.mark.parametrize(("limits", "rule"), [({"files": 2}, "count"), ({"total_gib": 5e-5}, "size")])
def test_too_much_is_refused(limits, rule, source, tmp_path, quarantine):
    with fetched(source, a_policy(tmp_path, limits=limits), quarantine) as result:
        assert rules(result) == {rule}
        assert not files_below(result.folder)


def test_a_list_is_read_no_further_than_it_matters(s3_bucket, tmp_path, quarantine):
    source = upload(s3_bucket, {f"{number}.json": b"{}" for number in range(50)})
    with fetched(source, a_policy(tmp_path, limits={"files": 10}), quarantine) as result:
        assert rules(result) == {"count"}


def test_what_is_not_there_is_said(s3_bucket, policy, quarantine):
    for source in (f"{s3_bucket.uri}/nothing", "s3://no-such-bucket/model"):
        with pytest.raises(NotFound, match=source), fetch(source, policy, quarantine):
            pass
    with pytest.raises(InvalidParameter), fetch("s3:///model", policy, quarantine):
        pass


def test_a_certificate_that_is_not_trusted_is_called_that(policy, quarantine, monkeypatch, tmp_path):
    with serving(MEMORY, certificate=make_certificates(tmp_path).server) as server:
        for key, value in {**KEYS, "ENDPOINT": server.address}.items():
            monkeypatch.setenv(f"SOURCE_AWS_{key}", value)
        with (
            pytest.raises(SourceUnreachable, match=r"certificate .* is not trusted.*AWS_CA_BUNDLE"),
            fetch("s3://bucket/model", policy, quarantine),
        ):
            pass


def test_nobody_there_is_said_without_the_keys(policy, quarantine, monkeypatch):
    settings = {"ACCESS_KEY_ID": "my-key", "SECRET_ACCESS_KEY": "my-secret", "ENDPOINT": "http://127.0.0.1:9"}
    for key, value in {**settings, "REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"SOURCE_AWS_{key}", value)
    with (
        pytest.raises(SourceUnreachable, match="s3://bucket/model") as caught,
        fetch("s3://bucket/model", policy, quarantine),
    ):
        pass
    assert "my-" not in f"{caught.value}{caught.value.__cause__!r}"


def test_the_keys_are_left_nowhere(source, policy, quarantine, capfd):
    with fetched(source, policy, quarantine) as result:
        written = b"".join(path.read_bytes() for path in files_below(quarantine))
        for secret in (KEYS["SECRET_ACCESS_KEY"], KEYS["ACCESS_KEY_ID"]):
            assert secret.encode() not in written
            assert secret not in repr(result) + "".join(capfd.readouterr())


def test_a_killed_download_goes_on(s3_bucket, s3_server, tmp_path, quarantine, monkeypatch):
    files = model(3_000_000, 2)
    source = upload(s3_bucket, files)
    with throttled(s3_server.removeprefix("http://"), 2_000_000) as line:
        lead_through(line, monkeypatch)
        killed(source, write_policy(tmp_path), quarantine, lambda: line.sent > 3_000_000)
    with throttled(s3_server.removeprefix("http://"), 1e9) as line:
        lead_through(line, monkeypatch)
        with fetched(source, a_policy(tmp_path), quarantine) as result:
            assert dict(result.sums) == sums(files)
        assert line.sent < 4_000_000


def test_another_object_does_not_go_on_where_the_first_one_ended(
    s3_bucket, s3_server, tmp_path, quarantine, monkeypatch
):
    source = upload(s3_bucket, model(3_000_000, 1))
    with throttled(s3_server.removeprefix("http://"), 2_000_000) as line:
        lead_through(line, monkeypatch)
        killed(source, write_policy(tmp_path), quarantine, lambda: line.sent > 1_500_000)
    changed = {**model(3_000_000, 1), "model-1-of-1.safetensors": bytes(3_000_000)}
    monkeypatch.delenv("SOURCE_AWS_ENDPOINT")
    for key in KEYS:
        monkeypatch.delenv(f"SOURCE_AWS_{key}")
    upload(s3_bucket, changed)
    with fetched(source, a_policy(tmp_path), quarantine) as result:
        assert dict(result.sums) == sums(changed)


def test_an_object_that_changes_meanwhile_ends_it(s3_bucket, s3_server, tmp_path, quarantine, monkeypatch):
    source = upload(s3_bucket, model())
    planned = bucket.plan(source.removeprefix("s3://"), a_policy(tmp_path))
    s3_bucket.put("models/tiny/config.json", b'{"model_type": "xlama"}')
    (tmp_path / "work").mkdir()
    with pytest.raises(SourceUnreachable, match="changed while it was read"):
        planned.receive(tmp_path / "work", tmp_path / "work" / "model")


def test_the_time_is_bounded(s3_bucket, s3_server, tmp_path, quarantine, monkeypatch):
    source = upload(s3_bucket, model(2_000_000, 1))
    with throttled(s3_server.removeprefix("http://"), 300_000) as line:
        lead_through(line, monkeypatch)
        hasty = a_policy(tmp_path, limits={"hours": 1.5 / 3600})
        with pytest.raises(SourceUnreachable, match="hours"), fetch(source, hasty, quarantine):
            pass
        assert line.sent < 1_500_000


def test_a_line_that_breaks_is_taken_up_again(s3_bucket, s3_server, policy, quarantine, monkeypatch):
    files = model(3_000_000, 1)
    source = upload(s3_bucket, files)
    with throttled(s3_server.removeprefix("http://"), 1e9, broken_after=1_000_000) as line:
        lead_through(line, monkeypatch)
        with fetched(source, policy, quarantine) as result:
            assert dict(result.sums) == sums(files)
    assert line.breaks == 2
