"""Whose key signs models on this machine, and whose is trusted: never more of it than a fingerprint is shown."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from helpers.errors import InvalidInput, InvalidPolicy, SignatureInvalid, StoreFailed
from helpers.ingestion.policy import Policy
from helpers.runtime.account import in_pod
from helpers.runtime.workspace import home

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

PRIVATE, PUBLIC = "SIGNING_KEY", "SIGNING_PUBLIC_KEY"
SECRET = "assay-signing"
TRUST = f"Give the policy's signature.public_key or the environment's {PUBLIC} the public key that is trusted"


def private_key(policy: Policy) -> bytes:
    """Return the PEM that signs: SIGNING_KEY from the environment, or this machine's own, made on first use.

    In a pod none is made: it would be gone with the pod, and what it signed could not be verified.
    Raises InvalidInput where there is none or the policy does not trust it, before any work is done.
    """
    given = os.environ.get(PRIVATE, "")
    pem = given.encode() if given else _own_key()
    public = _public_half(pem)
    if public != trusted_key(policy, else_=None if given else public):
        name = PRIVATE if given else f"The key {_path()}"
        raise InvalidInput(f"{name} has the fingerprint {fingerprint(public)}, which is not trusted", do=TRUST)
    return pem


def trusted_key(policy: Policy, *, else_: bytes | None = None) -> bytes:
    """Return the PEM of the trusted public key: the policy's, the environment's, or this machine's own.

    Raises SignatureInvalid where no key is trusted, InvalidPolicy or InvalidInput where the key is none.
    """
    if policy.signature.public_key:
        return _public(policy.signature.public_key, InvalidPolicy, "The policy's signature.public_key")
    if given := os.environ.get(PUBLIC):
        return _public(given, InvalidInput, PUBLIC)
    if else_ is None and _path().is_file():
        return _public_half(_path().read_bytes())
    if else_ is None and in_pod():
        raise SignatureInvalid(f"This pod trusts no signature: it has no {PUBLIC}", do=_secret(PUBLIC))
    if else_ is None:
        raise SignatureInvalid("No signature is trusted on this machine, which has no key of its own", do=TRUST)
    return else_


def make_own_key() -> None:
    """Make this machine's key pair unless it is there, in a pod too: a workbench's folders outlive its pods."""
    _own_key(make=True)


def fingerprint(public: bytes) -> str:
    """Return `sha256:` and the digest of the PEM, by which model-signing too names a key."""
    return "sha256:" + hashlib.sha256(public).hexdigest()


def _path() -> Path:
    return home() / "keys" / "signing.key"


def _own_key(*, make: bool = False) -> bytes:
    """Return this machine's private key; of two processes that make it at once, the first one's stays."""
    path = _path()
    if in_pod() and not make and not path.is_file():
        raise InvalidInput(f"This pod has no {PRIVATE} to sign with", do=_secret(PRIVATE))
    try:
        if not path.is_file():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _link(_new_key(), path)
        pem = path.read_bytes()
        if not path.with_suffix(".pub").is_file():
            _link(_public_half(pem), path.with_suffix(".pub"))
    except OSError as error:
        raise StoreFailed(
            f"Could not make the key pair {path}: {error.strerror}", do="Give ASSAY_HOME a folder you can write to"
        ) from error
    return pem


def _secret(name: str) -> str:
    return f"Put {name} into the project's Secret {SECRET} and name it in the node's Kubernetes secrets"


def _link(data: bytes, path: Path) -> None:
    """Write a file that only its owner can read, whole or not at all, unless it exists already."""
    draft = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink(missing_ok=True)


def _new_key() -> bytes:
    from cryptography.hazmat.primitives import serialization as pem
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption())


def _public_half(private: bytes) -> bytes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization as pem
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

    try:
        key = pem.load_pem_private_key(private, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidInput("The signing key is no PEM without a password", do=f"Repair {PRIVATE}") from error
    if not isinstance(key, EllipticCurvePrivateKey):
        raise InvalidInput("The signing key is no elliptic curve key", do="Make one on the curve P-256")
    return _encoded(key.public_key())


def _public(text: str, error_type: type[InvalidInput], what: str) -> bytes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization as pem
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

    try:
        key = pem.load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise error_type(f"{what} is no public key as PEM", do="Give it the whole file, with both marks") from error
    if not isinstance(key, EllipticCurvePublicKey):
        raise error_type(f"{what} is no elliptic curve key", do="Give it one on the curve P-256")
    return _encoded(key)


def _encoded(key: EllipticCurvePublicKey) -> bytes:
    from cryptography.hazmat.primitives import serialization as pem

    return key.public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo)
