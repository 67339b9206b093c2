"""What an image is called: registry/repository:tag or registry/repository@sha256:digest."""

from __future__ import annotations

import ipaddress
import os
import re
from typing import NamedTuple

from helpers.errors import InvalidParameter

DIGEST = r"sha256:[0-9a-f]{64}"
PART = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
FORM = re.compile(
    r"(?P<host>[A-Za-z0-9.-]+(:[0-9]{1,5})?|\[[0-9a-fA-F:]+\](:[0-9]{1,5})?)"
    rf"/(?P<repository>{PART}(/{PART})*)"
    rf"(:(?P<tag>\w[\w.-]{{0,127}}))?(@(?P<digest>{DIGEST}))?",
    re.ASCII,
)


class Reference(NamedTuple):
    """One image in a registry; `version` is its digest where that is known, else its tag."""

    host: str
    repository: str
    version: str

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Return the parts of a reference, with or without oci://. Raises InvalidParameter."""
        match = FORM.fullmatch(text.removeprefix("oci://"))
        if not match or not (version := match["digest"] or match["tag"]):
            raise InvalidParameter(
                f"{text!r} names no image",
                do="Give oci://registry/repository:tag or oci://registry/repository@sha256:…",
            )
        return cls(match["host"], match["repository"], version)

    def at(self, digest: str) -> Reference:
        """Return the same repository's image with this digest."""
        return self._replace(version=digest)

    @property
    def address(self) -> str:
        """The registry's own address of the repository."""
        host = "registry-1.docker.io" if self.host == "docker.io" else self.host
        return f"{'http' if insecure(self.host) else 'https'}://{host}/v2/{self.repository}"

    def __str__(self) -> str:
        return f"oci://{self.host}/{self.repository}{'@' if ':' in self.version else ':'}{self.version}"


def insecure(host: str) -> bool:
    """Return whether a registry is spoken to over plain HTTP: on this machine, or where OCI_INSECURE=true."""
    name = host.rpartition(":")[0] if re.search(r":[0-9]+$", host) else host
    if name == "localhost" or os.environ.get("OCI_INSECURE", "").lower() == "true":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
