"""Whose key signs models, and whose is trusted: the environment's wins over the policy, which may not disagree."""

from __future__ import annotations

from helpers.errors import InvalidInput, InvalidPolicy, SignatureInvalid
from helpers.ingestion.policy import Policy
from helpers.runtime import keys
from helpers.runtime.account import in_pod
from helpers.runtime.keys import MODEL_OPS, fingerprint

TRUST = f"Give {MODEL_OPS.public} the public key that is trusted, which the policy may repeat in signature.public_key"


def private_key(policy: Policy) -> bytes:
    """Return the PEM that signs: SIGNING_KEY from the environment, or this machine's own, made on first use.

    In a pod none is made: it would be gone with the pod, and what it signed could not be verified.
    Raises InvalidInput where there is none or it is not trusted, before any work is done.
    """
    given = keys.given(MODEL_OPS)
    pem = given or keys.own_key(MODEL_OPS)
    name = MODEL_OPS.private if given else f"The key {MODEL_OPS.path}"
    public = keys.public_half(pem, name)
    if public != trusted_key(policy, else_=None if given else public):
        raise InvalidInput(f"{name} has the fingerprint {fingerprint(public)}, which is not trusted", do=TRUST)
    return pem


def trusted_key(policy: Policy, *, else_: bytes | None = None) -> bytes:
    """Return the PEM of the trusted public key: the environment's, the policy's, or this machine's own.

    In a pod only the environment's counts: the policy is whoever submitted it. Raises SignatureInvalid where no key is
    trusted or the policy names another one, InvalidPolicy or InvalidInput where the key is none.
    """
    named = _named(policy)
    known = keys.environments(MODEL_OPS) or _of_this_machine(named, else_)
    if len(known) > 1 and not named:
        raise InvalidInput(f"{MODEL_OPS.public} holds {len(known)} keys, and a model has one signer", do=TRUST)
    if named and not set(named) <= set(known):
        raise SignatureInvalid(
            f"The policy trusts the key {fingerprint(named[0])}, and {keys.told(known)} is trusted here",
            do=f"Leave signature.public_key empty, or have the administrator change {MODEL_OPS.public}",
        )
    return named[0] if named else known[0]


def _named(policy: Policy) -> tuple[bytes, ...]:
    text = policy.signature.public_key
    return keys.public_keys(text, InvalidPolicy, "The policy's signature.public_key")[:1] if text else ()


def _of_this_machine(named: tuple[bytes, ...], else_: bytes | None) -> tuple[bytes, ...]:
    if named and not in_pod():
        return named
    return keys.trusted(MODEL_OPS) if else_ is None else (else_,)
