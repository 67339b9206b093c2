"""A certificate authority for one test, and a certificate of it for this machine."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

NEW_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
LEAF = "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n"


class Certificates(NamedTuple):
    """PEM files: who is trusted, and the server's certificate with its key."""

    authority: Path
    server: Path


def make_certificates(folder: Path) -> Certificates:
    """Make both with openssl; Rust's TLS does not take one certificate in both roles, as OpenSSL does."""
    (folder / "leaf.conf").write_text(LEAF)
    for command in (
        f"req -x509 {NEW_KEY} -days 2 -subj /CN=authority -keyout ca.key -out ca.pem",
        f"req {NEW_KEY} -subj /CN=localhost -keyout leaf.key -out leaf.req",
        "x509 -req -in leaf.req -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile leaf.conf -out leaf.pem",
    ):
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)
    server = folder / "server.pem"
    server.write_text((folder / "leaf.pem").read_text() + (folder / "leaf.key").read_text())
    return Certificates(folder / "ca.pem", server)
