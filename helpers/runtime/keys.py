"""Key pairs (EC P-256, PEM): ModelOps' decides and signs models, the measuring one signs records.

The environment's keys are the administrator's and count alone where there are some; one machine makes and trusts its
own. Never more of a key than its fingerprint is shown.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

from helpers.errors import InvalidInput, SignatureInvalid, StoreFailed
from helpers.runtime.account import in_pod
from helpers.runtime.workspace import home

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

PROJECT, ENGINEERS = "PROJECT_ROLE", "ai-engineers"  # whose project a pod runs in, as its administrator says
PEM = re.compile(r"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----", re.DOTALL)


class Role(NamedTuple):
    """Whose key: the variables and the Secret that hold it, and what it is called on one machine."""

    who: str
    private: str
    public: str
    secret: str
    file: str

    @property
    def path(self) -> Path:
        """This machine's own private key; the public half lies beside it."""
        return home() / "keys" / self.file

    @property
    def lacking(self) -> str:
        """What to do where a pod trusts nobody."""
        return _secret(self, self.public)


MODEL_OPS = Role("ModelOps", "SIGNING_KEY", "SIGNING_PUBLIC_KEY", "assay-signing", "signing.key")
MEASURING = Role("whoever measures", "MEASURING_KEY", "MEASURING_PUBLIC_KEY", "assay-measuring", "measuring.key")


def given(role: Role) -> bytes | None:
    """Return the environment's private key as PEM."""
    return os.environ[role.private].encode() if os.environ.get(role.private) else None


def can_sign(role: Role) -> bool:
    """Return whether there is a private key here, or one would be made."""
    return bool(given(role)) or role.path.is_file() or not in_pod()


def signing_key(role: Role) -> bytes:
    """Return the PEM that signs: the environment's, or this machine's own, made on first use.

    In a pod none is made: it would be gone with the pod, and what it signed could not be verified.
    Raises InvalidInput where there is none, or where it is not trusted here.
    """
    if role == MODEL_OPS and os.environ.get(PROJECT) == ENGINEERS:
        raise InvalidInput(
            f"This project is AI engineers', and only {role.who}'s signs with {role.private}",
            do=f"Run it in {role.who}'s project, and take {role.private} out of {role.secret} here",
        )
    pem = given(role) or own_key(role)
    public = public_half(pem, role.private)
    if public not in (known := trusted(role)):
        raise InvalidInput(
            f"{role.private} has the fingerprint {fingerprint(public)}, and {told(known)} is trusted",
            do=f"Add its public half to {role.public}, or sign with the key that is trusted",
        )
    return pem


def environments(role: Role) -> tuple[bytes, ...]:
    """Return the public keys that the administrator gave to the environment, none where it has none."""
    text = os.environ.get(role.public, "")
    return public_keys(text, InvalidInput, role.public) if text else ()


def trusted(role: Role) -> tuple[bytes, ...]:
    """Return the public keys that count, as PEM: the environment's, or this machine's own.

    Raises SignatureInvalid where no key is trusted, InvalidInput where one is none.
    """
    if known := environments(role):
        return known
    if role.path.is_file():
        return (public_half(role.path.read_bytes(), str(role.path)),)
    if in_pod():
        raise SignatureInvalid(f"This pod trusts no signature of {role.who}: it has no {role.public}", do=role.lacking)
    raise SignatureInvalid(
        f"No signature of {role.who} is trusted on this machine, which has no key of its own",
        do=f"Give {role.public} the public key that is trusted",
    )


def own_key(role: Role, *, make: bool = False) -> bytes:
    """Return this machine's private key, made on first use; in a pod, only where `make` says so.

    A workbench's folders outlive its pods. Of two processes that make it at once, the first one's stays.
    """
    path = role.path
    if in_pod() and not make and not path.is_file():
        raise InvalidInput(f"This pod has no {role.private} to sign with", do=_secret(role, role.private))
    try:
        if not path.is_file():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _link(new_key(), path)
        pem = path.read_bytes()
        if not path.with_suffix(".pub").is_file():
            _link(public_half(pem, str(path)), path.with_suffix(".pub"))
    except OSError as error:
        raise StoreFailed(
            f"Could not make the key pair {path}: {error.strerror}", do="Give ASSAY_HOME a folder you can write to"
        ) from error
    return pem


def make_own_keys() -> None:
    """Make this machine's pairs where the environment gives none, so that one machine needs no configuration."""
    for role in (MODEL_OPS, MEASURING):
        if not given(role):
            own_key(role, make=True)


def fingerprint(public: bytes) -> str:
    """Return `sha256:` and the digest of the PEM, by which model-signing too names a key."""
    return "sha256:" + hashlib.sha256(public).hexdigest()


def told(known: tuple[bytes, ...]) -> str:
    """Return the fingerprints of keys, as messages name those that are trusted."""
    return f"only {' or '.join(map(fingerprint, known))}"


def public_half(private: bytes, what: str = "the key") -> bytes:
    """Return the public key of a private one, as PEM. Raises InvalidInput."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization as pem
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey

    try:
        key = pem.load_pem_private_key(private, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidInput(f"{what} is no PEM without a password", do=f"Repair {what}") from error
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise InvalidInput(f"{what} is no elliptic curve key on P-256", do="Make one on the curve P-256")
    return _encoded(key.public_key())


def public_keys(text: str, error_type: type[InvalidInput], what: str) -> tuple[bytes, ...]:
    """Return the public keys in a text, one PEM after another. Raises `error_type`."""
    return tuple(_public(block, error_type, what) for block in PEM.findall(text) or [text])


def _public(text: str, error_type: type[InvalidInput], what: str) -> bytes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization as pem
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey

    try:
        key = pem.load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise error_type(f"{what} is no public key as PEM", do="Give it the whole file, with both marks") from error
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise error_type(f"{what} is no elliptic curve key on P-256", do="Give it one on the curve P-256")
    return _encoded(key)


def _encoded(key: EllipticCurvePublicKey) -> bytes:
    from cryptography.hazmat.primitives import serialization as pem

    return key.public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo)


def _secret(role: Role, name: str) -> str:
    return f"Put {name} into the project's Secret {role.secret} and name it in the node's Kubernetes secrets"


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


def new_key() -> bytes:
    """Return a new private key as PEM."""
    from cryptography.hazmat.primitives import serialization as pem
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption())
