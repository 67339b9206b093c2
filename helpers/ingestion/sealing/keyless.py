"""Signing without a key: a Sigstore of one's own vouches for an identity.

The tests reach no Sigstore: they show that token, identity and trust configuration get to model-signing and that its
failures are errors of ours, not that a certificate is issued and logged.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.errors import InvalidInput, Unreachable
from helpers.ingestion.policy import Policy

if TYPE_CHECKING:
    from model_signing._signing.signing import Signer, Verifier

TOKEN, TRUST_CONFIG = "SIGSTORE_ID_TOKEN", "SIGSTORE_TRUST_CONFIG"


def signer() -> Signer:
    """Return the signer for the environment's identity. Raises InvalidInput, or Unreachable for the Sigstore."""
    from model_signing._signing.sign_sigstore import Signer
    from sigstore.errors import NetworkError

    token, config = identity_token(), trust_config()
    try:
        return Signer(identity_token=token, use_ambient_credentials=False, trust_config=config)
    except NetworkError as error:
        raise Unreachable(f"The Sigstore that {config} names did not answer", do="Check its addresses") from error
    except Exception as error:
        raise InvalidInput(f"{config} is no trust configuration: {error}", do=f"Repair {TRUST_CONFIG}") from error


def identity_token() -> str:
    """Return the identity token; without one, sigstore would open a browser and wait."""
    from sigstore.errors import Error
    from sigstore.oidc import detect_credential

    try:
        token = os.environ.get(TOKEN) or detect_credential()
    except Error as error:
        raise InvalidInput(f"The ambient identity cannot be used: {error}", do=f"Give {TOKEN} a token") from error
    if not token:
        raise InvalidInput("There is no identity to sign with", do=f"Give {TOKEN} an identity token")
    return token


def trust_config() -> Path:
    """Return the trust configuration; without one, the model's name would go to the public transparency log."""
    if not (path := os.environ.get(TRUST_CONFIG)):
        raise InvalidInput("There is no Sigstore to sign with", do=f"Give {TRUST_CONFIG} its trust configuration")
    if not Path(path).is_file():
        raise InvalidInput(f"{TRUST_CONFIG} is {path}, which is no file", do="Give it Sigstore's trust configuration")
    return Path(path)


def verifier(policy: Policy) -> Verifier:
    """Return the verifier of the policy's identity. Raises InvalidInput."""
    from model_signing._signing.sign_sigstore import Verifier

    config, rule = trust_config(), policy.signature
    try:
        return Verifier(identity=rule.identity, oidc_issuer=rule.oidc_issuer, trust_config=config)
    except Exception as error:
        raise InvalidInput(f"{config} is no trust configuration: {error}", do=f"Repair {TRUST_CONFIG}") from error
