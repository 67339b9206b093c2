"""Who signed a model: this machine's key, the environment's, or an identity that a Sigstore vouches for."""

import base64
import json
import multiprocessing
import stat
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from helpers.errors import InvalidInput, InvalidPolicy, SignatureInvalid, StageFailed, Unreachable
from helpers.ingestion.digests import hash_folder
from helpers.ingestion.sealing import BOM, DOCUMENTS, FACTS, SUMS, keys, seal
from helpers.ingestion.sealing.signing import SIGNATURE, sign, signed_files, signer_name
from helpers.runtime.keys import fingerprint, new_key, public_half
from helpers.runtime.workspace import home
from tests.plugins.packages import FACTS as KNOWN
from tests.plugins.packages import model_folder, package, shipped_policy

FILES = {"model.safetensors": "a" * 64}


def new_pair():
    private = new_key()
    return private.decode(), public_half(private).decode()


def stock_verify(folder, public):
    """Run `model_signing verify key`, without waiting for its imports each time."""
    from click.testing import CliRunner
    from model_signing._cli import main

    options = ["--signature", folder / SIGNATURE, "--public_key", public, "--ignore-paths", folder / SIGNATURE]
    done = CliRunner().invoke(main, ["verify", "key", str(folder), *map(str, options)])
    return done.exit_code, done.output


def test_the_stock_tool_accepts_what_is_signed_and_refuses_it_after_any_change(tmp_path):
    folder = package(tmp_path / "model").folder
    public = home() / "keys" / "signing.pub"
    assert stock_verify(folder, public) == (0, "Verification succeeded\n")
    for name in ("LICENSE", "tokenizer/vocab.txt", BOM):
        known = (folder / name).read_bytes()
        (folder / name).write_bytes(known + b" ")
        code, said = stock_verify(folder, public)
        assert code == 1
        assert "Hash mismatch" in said
        assert name in said
        (folder / name).write_bytes(known)
    (folder / "provenance" / "more.json").write_text("{}")
    assert "Extra files found" in stock_verify(folder, public)[1]


def test_the_signature_covers_every_file_but_itself(tmp_path):
    sealed = package(tmp_path / "model")
    signed = signed_files((sealed.folder / SIGNATURE).read_bytes(), shipped_policy(), "tiny")
    assert signed.keys() == {*sealed.sums, *DOCUMENTS}
    assert signed == {name: value for name, value in hash_folder(sealed.folder).items() if name != SIGNATURE}
    assert signed[SUMS] == sealed.digest.removeprefix("sha256:")


def test_the_key_pair_is_made_on_first_use_for_its_owner_alone():
    name = signer_name(shipped_policy())
    path = home() / "keys" / "signing.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert name == fingerprint((home() / "keys" / "signing.pub").read_bytes()) == signer_name(shipped_policy())
    assert {item.name for item in path.parent.iterdir()} == {"signing.key", "signing.pub"}


def test_processes_that_sign_at_once_end_up_with_one_pair():
    with multiprocessing.get_context("fork").Pool(8) as pool:
        names = pool.map(signer_name, [shipped_policy()] * 16, chunksize=1)
    assert len(set(names)) == 1


def test_a_signature_is_refused_after_the_key_changed_and_both_keys_are_named(tmp_path):
    signature, first = sign("tiny", FILES, shipped_policy()), signer_name(shipped_policy())
    for name in ("signing.key", "signing.pub"):
        (home() / "keys" / name).unlink()
    second = signer_name(shipped_policy())
    with pytest.raises(SignatureInvalid, match=f"tiny 1 is signed by the key {first}, and only {second} is trusted"):
        signed_files(signature, shipped_policy(), "tiny 1")
    assert first != second


def test_a_pod_makes_no_key_and_says_which_secret_is_missing(monkeypatch):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    with pytest.raises(InvalidInput, match=r"no SIGNING_KEY.*Secret assay-signing"):
        keys.private_key(shipped_policy())
    with pytest.raises(SignatureInvalid, match=r"no SIGNING_PUBLIC_KEY.*Secret assay-signing"):
        keys.trusted_key(shipped_policy())
    assert not (home() / "keys").exists()
    private, public = new_pair()
    monkeypatch.setenv("SIGNING_KEY", private)
    monkeypatch.setenv("SIGNING_PUBLIC_KEY", public)
    assert keys.private_key(shipped_policy()) == private.encode()


def test_the_environments_key_signs_where_its_public_half_is_trusted(monkeypatch, tmp_path):
    private, public = new_pair()
    monkeypatch.setenv("SIGNING_KEY", private)
    with pytest.raises(SignatureInvalid, match="No signature of ModelOps is trusted on this machine"):
        signer_name(shipped_policy())
    monkeypatch.setenv("SIGNING_PUBLIC_KEY", public)
    assert signed_files(sign("tiny", FILES, shipped_policy()), shipped_policy(), "tiny") == FILES
    by_policy = shipped_policy(public_key=public)
    monkeypatch.delenv("SIGNING_PUBLIC_KEY")
    assert signed_files(sign("tiny", FILES, by_policy), by_policy, "tiny") == FILES
    assert not (home() / "keys").exists()


def test_a_key_that_is_not_trusted_is_refused_before_any_work(monkeypatch, tmp_path):
    private, public = new_pair()
    folder = model_folder(tmp_path / "model")
    with pytest.raises(InvalidInput, match=r"signing\.key has the fingerprint sha256:.*not trusted"):
        seal(folder, hash_folder(folder), KNOWN, shipped_policy(public_key=public))
    monkeypatch.setenv("SIGNING_KEY", private)
    with pytest.raises(InvalidInput, match=r"SIGNING_KEY has the fingerprint sha256:.*not trusted") as caught:
        seal(folder, hash_folder(folder), KNOWN, shipped_policy(public_key=new_pair()[1]))
    assert private.splitlines()[1] not in str(caught.value)
    assert not (folder / "provenance").exists()


def test_keys_that_are_none_are_named_without_being_shown(monkeypatch):
    monkeypatch.setenv("SIGNING_KEY", "secret-text")
    with pytest.raises(InvalidInput, match="is no PEM without a password") as caught:
        signer_name(shipped_policy())
    assert "secret-text" not in f"{caught.value}{caught.value.__cause__}"
    monkeypatch.delenv("SIGNING_KEY")
    with pytest.raises(InvalidPolicy, match=r"signature\.public_key is no public key"):
        signer_name(shipped_policy(public_key="x"))
    monkeypatch.setenv("SIGNING_PUBLIC_KEY", "x")
    with pytest.raises(InvalidInput, match="SIGNING_PUBLIC_KEY is no public key"):
        signer_name(shipped_policy())


def test_a_machine_that_only_serves_needs_a_public_key_and_makes_none():
    with pytest.raises(SignatureInvalid, match="No signature of ModelOps is trusted on this machine"):
        signed_files(b"{}", shipped_policy(), "tiny")
    assert not (home() / "keys").exists()


def test_the_private_key_is_in_nothing_that_is_published_or_printed(tmp_path, capfd, caplog):
    with caplog.at_level("DEBUG"):
        sealed = package(tmp_path / "model")
    said = capfd.readouterr()
    secret = (home() / "keys" / "signing.key").read_text().splitlines()[1]
    written = "".join(path.read_text() for path in sealed.folder.rglob("*") if path.suffix in (".json", ".sig"))
    assert secret not in written + repr(sealed) + said.out + said.err + caplog.text


@pytest.mark.parametrize(
    "damage",
    [
        lambda known: b"",
        lambda known: b"{}",
        lambda known: b"\xff\xfe",
        lambda known: b"[" * 100_000,
        lambda known: known[:-20],
        lambda known: with_payload(known, lambda text: text.replace("a" * 64, "b" * 64)),
        lambda known: with_payload(known, lambda text: "[]"),
    ],
)
def test_a_damaged_signature_is_refused(damage):
    signature = damage(sign("tiny", FILES, shipped_policy()))
    with pytest.raises(SignatureInvalid, match="tiny 1 "):
        signed_files(signature, shipped_policy(), "tiny 1")


def with_payload(signature, change):
    bundle = json.loads(signature)
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"]).decode()
    assert change(payload) != payload
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(change(payload).encode()).decode()
    return json.dumps(bundle).encode()


def test_the_bill_of_materials_is_valid_says_what_came_in_and_is_the_same_again(tmp_path):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    sealed = package(tmp_path / "model")
    text = (sealed.folder / BOM).read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bom = json.loads(text)
    model = bom["metadata"]["component"]
    assert (model["type"], model["name"], model["version"]) == ("machine-learning-model", "tiny", "1.0.0")
    assert model["hashes"] == [{"alg": "SHA-256", "content": sealed.digest.removeprefix("sha256:")}]
    assert model["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    assert model["externalReferences"][0] == {"type": "distribution", "url": "hf://org/tiny", "comment": "c" * 40}
    assert {item["name"]: item["hashes"][0]["content"] for item in bom["components"]} == sealed.sums
    sizes = {item["name"]: item["properties"][0]["value"] for item in bom["components"]}
    assert sizes["model-00001-of-00002.safetensors"] == "1000"
    seal(sealed.folder, sealed.sums, KNOWN, shipped_policy())
    assert (sealed.folder / BOM).read_text() == text


def test_the_provenance_has_all_facts_the_signer_and_the_digest(tmp_path):
    sealed = package(tmp_path / "model")
    said = json.loads((sealed.folder / FACTS).read_text())
    assert said == KNOWN | {
        "schema_version": 1, "digest": sealed.digest, "signer": sealed.signer, "scanners": {"modelscan": "0.8.8"},
    }  # fmt: skip


def test_a_folder_with_other_files_than_were_hashed_is_not_sealed(tmp_path):
    folder = model_folder(tmp_path / "model")
    sums = hash_folder(folder)
    (folder / "late.json").write_text("{}")
    with pytest.raises(InvalidInput, match=r"differ in late\.json"):
        seal(folder, sums, KNOWN, shipped_policy())


KEYLESS = {"method": "sigstore", "identity": "system:serviceaccount:ops:gate", "oidc_issuer": "https://issuer.invalid"}


class Issuer(BaseHTTPRequestHandler):
    """Answers where tokens come from; certificates it refuses, and remembers who asked for one."""

    asked: ClassVar[list] = []

    def do_GET(self):
        self.answer(200, {"authorization_endpoint": "http://127.0.0.1:9", "token_endpoint": "http://127.0.0.1:9"})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append((self.path, self.headers["Authorization"] or "", body.decode()))
        self.answer(403, {"message": "not you"})

    def answer(self, code, content):
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def issuer():
    """What a Sigstore answers before it would issue a certificate."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Issuer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def token(audience="sigstore"):
    claims = {"iss": KEYLESS["oidc_issuer"], "sub": "gate", "aud": audience, "iat": 0, "exp": int(time.time()) + 600}
    parts = [{"alg": "RS256", "typ": "JWT"}, claims]
    return (
        ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + ".c2ln"
    )


@pytest.fixture
def trust_config(tmp_path, monkeypatch, issuer):
    """A trust configuration as sigstore ships it, for services of our own."""
    import sigstore.models

    service = {"url": issuer, "majorApiVersion": 1, "operator": "ops", "validFor": {"start": "2020-01-01T00:00:00Z"}}
    root = next(Path(sigstore.models.__file__).parent.rglob("trusted_root.json"))
    config = {
        "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
        "trustedRoot": json.loads(root.read_text()),
        "signingConfig": {
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": [service], "oidcUrls": [service], "rekorTlogUrls": [service], "tsaUrls": [],
            "rekorTlogConfig": {"selector": "ANY"}, "tsaConfig": {"selector": "ANY"},
        },
    }  # fmt: skip
    path = tmp_path / "trust.json"
    path.write_text(json.dumps(config))
    monkeypatch.setenv("SIGSTORE_TRUST_CONFIG", str(path))
    return path


def test_keyless_signing_takes_the_environments_token_to_the_configured_sigstore(trust_config, monkeypatch):
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", token())
    assert KEYLESS["identity"] in signer_name(shipped_policy(**KEYLESS))
    with pytest.raises(StageFailed, match="tiny could not be signed: ") as caught:
        sign("tiny", FILES, shipped_policy(**KEYLESS))
    path, authorization, body = Issuer.asked[-1]
    assert path == "/api/v2/signingCert"
    assert token().rpartition(".")[0][:100] in authorization + body
    assert token()[:100] not in str(caught.value)
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", token(audience="somebody-else"))
    with pytest.raises(StageFailed, match="tiny could not be signed: IdentityError"):
        sign("tiny", FILES, shipped_policy(**KEYLESS))


def test_a_sigstore_that_does_not_answer_is_named(trust_config, monkeypatch, issuer):
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", token())
    trust_config.write_text(trust_config.read_text().replace(issuer, "http://127.0.0.1:9"))
    with pytest.raises(Unreachable, match=r"trust\.json names did not answer"):
        sign("tiny", FILES, shipped_policy(**KEYLESS))


def test_keyless_signing_without_a_sigstore_or_an_identity_is_refused_and_waits_for_nobody(trust_config, monkeypatch):
    with pytest.raises(InvalidInput, match=r"There is no identity to sign with\. Give SIGSTORE_ID_TOKEN"):
        signer_name(shipped_policy(**KEYLESS))
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", token())
    trust_config.write_text("{}")
    with pytest.raises(InvalidInput, match="is no trust configuration"):
        sign("tiny", FILES, shipped_policy(**KEYLESS))
    monkeypatch.setenv("SIGSTORE_TRUST_CONFIG", "/nowhere")
    with pytest.raises(InvalidInput, match="/nowhere, which is no file"):
        signer_name(shipped_policy(**KEYLESS))
    monkeypatch.delenv("SIGSTORE_TRUST_CONFIG")
    with pytest.raises(InvalidInput, match="There is no Sigstore to sign with"):
        signer_name(shipped_policy(**KEYLESS))


def test_a_signature_by_key_is_none_by_identity(trust_config):
    with pytest.raises(SignatureInvalid, match="tiny 1 is not signed by system:serviceaccount:ops:gate"):
        signed_files(sign("tiny", FILES, shipped_policy()), shipped_policy(**KEYLESS), "tiny 1")
