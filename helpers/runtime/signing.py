"""Small JSON documents, signed: canonical JSON, ECDSA over SHA-256, signature and fingerprint beside it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Self

from helpers.artifacts.canonical import canonical
from helpers.errors import SignatureInvalid
from helpers.runtime import keys

FIELDS = ("signed", "signature", "key")


@dataclass(frozen=True)
class Document:
    """A payload as it was signed: its canonical text, the signature in base64, the fingerprint of the key."""

    signed: str
    signature: str
    key: str

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Self | None:
        """Return the signed document among other fields, None where one of the three is missing."""
        values = [found.get(name) for name in FIELDS]
        return cls(*map(str, values)) if all(isinstance(value, str) and value for value in values) else None

    def fields(self) -> dict[str, str]:
        """Return the three fields."""
        return {name: getattr(self, name) for name in FIELDS}

    @property
    def digest(self) -> str:
        """The digest of the payload as it was signed."""
        return "sha256:" + hashlib.sha256(self.signed.encode()).hexdigest()


def sign(payload: Mapping[str, Any], private: bytes) -> Document:
    """Return the payload signed with a private key (PEM)."""
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    text, key = canonical(payload), load_pem_private_key(private, None)
    assert isinstance(key, EllipticCurvePrivateKey), "keys.signing_key returns no other"
    signature = base64.b64encode(key.sign(text, _ecdsa())).decode()
    return Document(text.decode(), signature, keys.fingerprint(keys.public_half(private, "the key that signs")))


def verified(document: Document, kind: str, trusted: Collection[bytes]) -> dict[str, Any]:
    """Return the payload of a kind that one of the trusted keys (PEM) has signed.

    Raises SignatureInvalid, whose text goes on after the name of the document.
    """
    by = {keys.fingerprint(public): public for public in trusted}
    if document.key not in by:
        raise _refused(f"is signed by the key {document.key:.71}, and {keys.told(tuple(trusted))} is trusted")
    if not _fits(document, by[document.key]):
        raise _refused(f"was changed after the key {document.key} had signed it")
    payload = json.loads(document.signed)
    if not isinstance(payload, dict) or payload.get("kind") != kind:
        raise _refused(f"is signed as something else than a {kind}")
    return payload


def _fits(document: Document, public: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    key = load_pem_public_key(public)
    assert isinstance(key, EllipticCurvePublicKey), "keys.trusted returns no other"
    try:
        key.verify(base64.b64decode(document.signature, validate=True), document.signed.encode(), _ecdsa())
    except (InvalidSignature, ValueError):
        return False
    return True


def _ecdsa() -> Any:
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.hashes import SHA256

    return ECDSA(SHA256())


def _refused(why: str) -> SignatureInvalid:
    return SignatureInvalid(why, do="Do not rely on it")
