"""oci://: what lies under /models of an image, by digest, layer by layer, from a real registry."""

import base64
import http.server
import json
import re
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from helpers.errors import InvalidParameter, NotFound, RefusedModel, SourceUnreachable
from helpers.ingestion import oci
from helpers.ingestion.sources import fetch
from tests.plugins.images import IMAGE, INDEX, descriptor, digest, layer, push, push_manifest
from tests.plugins.sources import a_policy, fetched, files_below, killed, model, rules, sums, write_policy
from tests.plugins.stores import PASSWORD, USER, oci_serving, throttled

pytestmark = pytest.mark.load


@pytest.fixture
def repository(request):
    """A repository that no other test uses."""
    return "tests/" + re.sub("[^a-z0-9]+", ".", request.node.name.lower()).strip(".")


def below(files, folder="models/"):
    return {folder + name: data for name, data in files.items()}


def split(files):
    """One layer for each file, as modelcars have it, on top of one that has no model."""
    base = layer({"etc/passwd": b"root", "bin/sh": b"elf"}, packed=True)
    return [base, *(layer({"models/" + name: data}, packed=name.endswith(".md")) for name, data in files.items())]


def test_a_tag_is_resolved_to_its_digest(oci_registry, repository, policy, quarantine):
    pushed = push(oci_registry.host, repository, "v1", *split(model()))
    with fetched(f"{oci_registry.uri}/{repository}:v1", policy, quarantine) as result:
        assert dict(result.sums) == sums(model())
        assert result.facts["commit"] == pushed
        assert result.facts["image"] == f"{oci_registry.uri}/{repository}@{pushed}"
        assert result.origin["id"] == pushed
    with fetched(f"{oci_registry.uri}/{repository}@{pushed}", policy, quarantine) as result:
        assert dict(result.sums) == sums(model())


@pytest.mark.parametrize("folder", ["models/", "/models/", "./models/"])
def test_any_spelling_of_the_folder_is_meant(folder, oci_registry, repository, policy, quarantine):
    push(oci_registry.host, repository, "v1", layer(below(model(), folder)))
    with fetched(f"{oci_registry.uri}/{repository}:v1", policy, quarantine) as result:
        assert dict(result.sums) == sums(model())


def test_of_an_index_the_usual_platform_is_taken(oci_registry, repository, policy, quarantine):
    images = {}
    for machine in ("arm64", "amd64"):
        files = below({**model(), "config.json": machine.encode()})
        data = layer(files)
        push(oci_registry.host, repository, machine, data)
        with oci.Registry(oci.Reference(oci_registry.host, repository, machine)) as registry:
            images[machine] = registry.manifest(machine)
    listed = [
        descriptor(data, IMAGE, platform={"os": "linux", "architecture": machine}) for machine, data in images.items()
    ]
    push_manifest(oci_registry.host, repository, "all", {"schemaVersion": 2, "mediaType": INDEX, "manifests": listed})
    with fetched(f"{oci_registry.uri}/{repository}:all", policy, quarantine) as result:
        assert (result.folder / "config.json").read_bytes() == b"amd64"
        assert result.facts["commit"] == digest(images["amd64"])


def test_a_registry_that_is_not_allowed_is_not_asked(tmp_path, quarantine):
    with fetched("oci://127.0.0.1:9/a/b:c", a_policy(tmp_path, registries=["quay.io"]), quarantine) as result:
        assert rules(result) == {"source"}


@pytest.mark.parametrize(
    ("reference", "error"),
    [
        ("nothing:v1", NotFound),
        ("@sha256:" + "0" * 64, InvalidParameter),
        ("a/b", InvalidParameter),
        ("a/b:", InvalidParameter),
        ("A/b:c", InvalidParameter),
        ("a/../b:c", InvalidParameter),
        ("a/b@sha256:abc", InvalidParameter),
    ],
)
def test_what_names_no_image_is_said(reference, error, oci_registry, policy, quarantine):
    with pytest.raises(error), fetch(f"{oci_registry.uri}/{reference}", policy, quarantine):
        pass


def test_a_missing_tag_is_said(oci_registry, repository, policy, quarantine):
    push(oci_registry.host, repository, "v1", layer(below(model())))
    with pytest.raises(NotFound, match=":v2"), fetch(f"{oci_registry.uri}/{repository}:v2", policy, quarantine):
        pass


@pytest.mark.parametrize(
    ("files", "links", "rule"),
    [
        ({"models/../../outside.json": b"{}"}, {}, "path"),
        ({}, {"models/weights.safetensors": "/etc/passwd"}, "link"),
        ({}, {"models": "/etc"}, "link"),
        ({"models/.wh.config.json": b""}, {}, "archive"),
    ],
)
def test_a_layer_that_reaches_out_is_refused(
    files, links, rule, oci_registry, repository, policy, quarantine, tmp_path
):
    push(oci_registry.host, repository, "v1", layer(below(model())), layer(files, links=links))
    with fetched(f"{oci_registry.uri}/{repository}:v1", policy, quarantine) as result:
        assert rule in rules(result)
        assert not files_below(result.folder)
    assert not list(tmp_path.rglob("outside.json"))


def test_a_file_in_two_layers_is_refused(oci_registry, repository, policy, quarantine):
    push(oci_registry.host, repository, "v1", layer(below(model())), layer({"models/config.json": b"another"}))
    with fetched(f"{oci_registry.uri}/{repository}:v1", policy, quarantine) as result:
        assert [(finding.file, finding.problem) for finding in result.findings] == [("config.json", "is in two layers")]


def test_a_layer_with_other_content_is_refused(oci_registry, repository, policy, quarantine):
    data = layer(below(model()))
    push(oci_registry.host, repository, "v1", data)
    oci_registry.blob(digest(data)).write_bytes(bytes(len(data)))
    with fetched(f"{oci_registry.uri}/{repository}:v1", policy, quarantine) as result:
        assert rules(result) == {"digest"}


def test_a_manifest_with_other_content_is_refused(oci_registry, repository, policy, quarantine):
    pushed = push(oci_registry.host, repository, "v1", layer(below(model())))
    kept = oci_registry.blob(pushed)
    kept.write_bytes(kept.read_bytes().replace(b'"schemaVersion": 2', b'"schemaVersion":  2'))
    with fetched(f"{oci_registry.uri}/{repository}@{pushed}", policy, quarantine) as result:
        assert rules(result) == {"digest"}


@pytest.mark.parametrize("limits", [{"total_gib": 5e-5}, {"files": 3}])
def test_too_much_is_refused(limits, oci_registry, repository, tmp_path, quarantine):
    push(oci_registry.host, repository, "v1", *split(model()))
    with fetched(f"{oci_registry.uri}/{repository}:v1", a_policy(tmp_path, limits=limits), quarantine) as result:
        assert rules(result) & {"size", "count", "archive"}


def test_a_bomb_is_cut_off(oci_registry, repository, tmp_path, quarantine):
    push(oci_registry.host, repository, "v1", layer({"models/a.safetensors": bytes(50_000_000)}, packed=True))
    with fetched(
        f"{oci_registry.uri}/{repository}:v1", a_policy(tmp_path, limits={"total_gib": 0.01}), quarantine
    ) as result:
        assert result.findings
        assert sum(path.stat().st_size for path in files_below(quarantine)) < 20_000_000


def test_several_layers_share_one_limit(oci_registry, repository, tmp_path, quarantine):
    layers = [layer({f"models/{number}.safetensors": bytes(6_000_000)}, packed=True) for number in range(4)]
    push(oci_registry.host, repository, "v1", *layers)
    with fetched(
        f"{oci_registry.uri}/{repository}:v1", a_policy(tmp_path, limits={"total_gib": 0.015}), quarantine
    ) as result:
        assert result.findings


def test_a_killed_download_goes_on(oci_registry, repository, tmp_path, quarantine, monkeypatch):
    files = model(3_000_000, 2)
    push(oci_registry.host, repository, "v1", *(layer(below({name: data})) for name, data in files.items()))
    with throttled(oci_registry.host, 3_000_000) as line:
        source = f"oci://{line.address}/{repository}:v1"
        killed(source, write_policy(tmp_path), quarantine, lambda: line.sent > 4_000_000)
        first, line.rate = line.sent, 1e9
        with fetched(source, a_policy(tmp_path), quarantine) as result:
            assert dict(result.sums) == sums(files)
        assert line.sent - first < 2_500_000


def test_the_time_is_bounded(oci_registry, repository, tmp_path, quarantine):
    push(oci_registry.host, repository, "v1", layer(below(model(2_000_000, 1))))
    hasty = a_policy(tmp_path, limits={"hours": 1 / 3600})
    with (
        throttled(oci_registry.host, 500_000) as line,
        pytest.raises(SourceUnreachable, match="hours"),
        fetch(f"oci://{line.address}/{repository}:v1", hasty, quarantine),
    ):
        pass


def test_a_line_that_breaks_is_taken_up_again(oci_registry, repository, policy, quarantine):
    files = model(3_000_000, 1)
    push(oci_registry.host, repository, "v1", layer(below(files)))
    with throttled(oci_registry.host, 1e9, broken_after=1_000_000) as line:
        with fetched(f"oci://{line.address}/{repository}:v1", policy, quarantine) as result:
            assert dict(result.sums) == sums(files)
        assert line.breaks >= 2


def test_credentials_come_from_dockers_configuration(tmp_path, policy, quarantine, monkeypatch, capfd):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    with oci_serving(tmp_path / "registry", password=True) as registry:
        source = f"{registry.uri}/a/b:v1"
        with pytest.raises(SourceUnreachable, match="Log in"), fetch(source, policy, quarantine):
            pass
        known = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        log_in(tmp_path / "docker", registry.host, known)
        with pytest.raises(NotFound), fetch(source, policy, quarantine):
            pass
        log_in(tmp_path / "docker", registry.host, base64.b64encode(b"reader:wrong-word").decode())
        with pytest.raises(SourceUnreachable) as caught, fetch(source, policy, quarantine):
            pass
    assert "wrong-word" not in f"{caught.value}{''.join(capfd.readouterr())}"


def log_in(folder: Path, host: str, known: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": known}}}))


@contextmanager
def asking_for_tokens(manifest: bytes, realm: str = ""):
    """A registry that gives its manifest only to who brings a token from its login; yields what it was sent."""
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append((self.path, self.headers.get("Authorization", "")))
            if self.path.startswith("/token"):
                return self.answer(200, b'{"token": "a-token"}')
            if self.headers.get("Authorization") == "Bearer a-token":
                return self.answer(200, manifest)
            place = realm or f"http://127.0.0.1:{self.server.server_port}/token"
            challenge = f'Bearer realm="{place}",service="here",scope="repository:a/b:pull"'
            return self.answer(401, b"", challenge)

        def answer(self, status, data, challenge=""):
            self.send_response(status)
            if challenge:
                self.send_header("WWW-Authenticate", challenge)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}", seen
        server.shutdown()


def test_a_token_is_fetched_where_the_registry_says(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with asking_for_tokens(b'{"layers": []}') as (host, seen):
        log_in(tmp_path, host, "a25vd24=")
        reference = oci.Reference.parse(f"oci://{host}/a/b:v1")
        with oci.Registry(reference) as registry:
            assert registry.manifest("v1") == b'{"layers": []}'
    token = next(item for item in seen if item[0].startswith("/token"))
    assert token == ("/token?service=here&scope=repository%3Aa%2Fb%3Apull", "Basic a25vd24=")


@pytest.mark.parametrize(
    "manifest",
    [
        b"no json",
        b"[]",
        b"{}",
        b'{"layers": [{"digest": "sha256:../../etc", "size": 1}]}',
        b'{"layers": [{"digest": "md5:0", "size": 1}]}',
        b'{"layers": [{"digest": "sha256:' + b"0" * 64 + b'", "size": -1}]}',
        b'{"layers": ' + b"[" * 100_000,
        b'{"manifests": [' + b",".join([b'{"digest": "sha256:' + b"0" * 64 + b'", "size": 1}'] * 2) + b"]}",
        b" " * 5_000_000,
    ],
)
def test_a_manifest_that_is_none_is_refused(manifest, policy, quarantine):
    with asking_for_tokens(manifest) as (host, _), fetched(f"oci://{host}/a/b:v1", policy, quarantine) as result:
        assert rules(result) & {"source", "size"}


def test_plain_http_stays_on_this_machine(monkeypatch):
    hosts = {"127.0.0.1:5000": True, "localhost": True, "[::1]:5000": True, "quay.io": False, "127.evil.example": False}
    assert {host: oci.insecure(host) for host in hosts} == hosts
    monkeypatch.setenv("OCI_INSECURE", "true")
    assert oci.insecure("quay.io")


def test_deployment_takes_an_image_as_a_whole_or_not_at_all(oci_registry, repository, policy, tmp_path):
    files = {**model(), "provenance/SHA256SUMS": b"sums"}
    pushed = push(oci_registry.host, repository, "v1", *(layer(below({name: data})) for name, data in files.items()))
    reference = f"{oci_registry.uri}/{repository}@{pushed}"
    assert oci.pull_models(reference, tmp_path / "model", policy.limits) == pushed
    assert {path.relative_to(tmp_path / "model").as_posix() for path in files_below(tmp_path / "model")} == set(files)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    small = policy.limits.model_copy(update={"total_gib": 5e-5})
    with pytest.raises(RefusedModel, match="size"):
        oci.pull_models(reference, tmp_path / "other", small)
    assert not (tmp_path / "other").exists()
