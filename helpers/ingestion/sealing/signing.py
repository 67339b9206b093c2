"""The signature of a model, made and checked by model-signing from digests that are known already.

The public API of model-signing reads all files again, so its manifest, payload and signers are used directly, as
`model_signing sign key` does; its version is pinned for that reason. `model_signing verify key` accepts the result.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from helpers.errors import SignatureInvalid, StageFailed
from helpers.ingestion.digests import PROVENANCE
from helpers.ingestion.policy import Policy
from helpers.ingestion.sealing import keyless
from helpers.ingestion.sealing.keys import private_key, trusted_key
from helpers.runtime.keys import fingerprint

if TYPE_CHECKING:
    from model_signing._signing.signing import Payload, Signature, Signer, Verifier

SIGNATURE = f"{PROVENANCE}/model.sig"


class _Text:
    """A file for model-signing that never lies on a disk."""

    def __init__(self, data: bytes) -> None:
        self.read_bytes = lambda: data
        self.read_text = lambda encoding="utf-8": data.decode(encoding)


def signer_name(policy: Policy) -> str:
    """Return who would sign: a key's fingerprint or an identity. Raises InvalidInput where that could not succeed."""
    if policy.signature.method == "sigstore":
        keyless.identity_token()
        keyless.trust_config()
        return f"{policy.signature.identity} ({policy.signature.oidc_issuer})"
    private_key(policy)
    return fingerprint(trusted_key(policy))


def sign(name: str, sums: Mapping[str, str], policy: Policy) -> bytes:
    """Return the signature of files with these SHA-256, a Sigstore bundle. Raises InvalidInput or StageFailed."""
    signer = keyless.signer() if policy.signature.method == "sigstore" else _key_signer(policy)
    try:
        bundle = signer.sign(_payload(name, sums)).bundle  # type: ignore[attr-defined]
    except Exception as error:
        raise StageFailed(
            f"{name} could not be signed: {type(error).__name__}: {error}",
            do=f"Check {keyless.TRUST_CONFIG} and {keyless.TOKEN}",
        ) from error
    return cast(str, bundle.to_json()).encode()


def _payload(name: str, sums: Mapping[str, str]) -> Payload:
    from model_signing._hashing.hashing import Digest
    from model_signing._signing.signing import Payload
    from model_signing.manifest import FileManifestItem, Manifest, _FileSerialization

    items = [FileManifestItem(path=Path(file), digest=Digest("sha256", bytes.fromhex(sums[file]))) for file in sums]
    return Payload(Manifest(name, items, _FileSerialization("sha256", ignore_paths=[Path(SIGNATURE)])))


def _key_signer(policy: Policy) -> Signer:
    from model_signing._signing.sign_ec_key import Signer

    return Signer(cast(Path, _Text(private_key(policy))))


def signed_files(signature: bytes, policy: Policy, what: str) -> dict[str, str]:
    """Return the SHA-256 of every file that a trusted signature covers. Raises SignatureInvalid."""
    sigstore = policy.signature.method == "sigstore"
    verifier = keyless.verifier(policy) if sigstore else _key_verifier(policy)
    try:
        bundle = _read(signature, sigstore)
        resources = list(verifier.verify(bundle).resource_descriptors())
    except Exception as error:
        raise _refused(what, policy, signature, error) from error
    return {item.identifier: item.digest.digest_hex for item in resources if item.digest.algorithm == "sha256"}


def _read(signature: bytes, sigstore: bool) -> Signature:
    from model_signing._signing import sign_sigstore, sign_sigstore_pb

    module: Any = sign_sigstore if sigstore else sign_sigstore_pb
    return cast("Signature", module.Signature.read(_Text(signature)))


def _key_verifier(policy: Policy) -> Verifier:
    from model_signing._signing.sign_ec_key import Verifier

    return Verifier(cast(Path, _Text(trusted_key(policy))))


def _refused(what: str, policy: Policy, signature: bytes, error: Exception) -> SignatureInvalid:
    if policy.signature.method == "sigstore":
        reason = f"is not signed by {policy.signature.identity}: {error}"
    elif (signer := _signer_of(signature)) != (trusted := fingerprint(trusted_key(policy))):
        reason = f"is signed by the key {signer}, and only {trusted} is trusted"
    else:
        reason = f"has a signature that its key {trusted} did not make: {type(error).__name__}: {error}"
    return SignatureInvalid(
        f"{what} {reason}", do="Do not serve it: ingest it again, or let the policy trust its signer"
    )


def _signer_of(signature: bytes) -> str:
    try:
        return f"sha256:{json.loads(signature)['verificationMaterial']['publicKey']['hint']!s:.64}"
    except (ValueError, KeyError, TypeError, RecursionError):
        return "without a name"
