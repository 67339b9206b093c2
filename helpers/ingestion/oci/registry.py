"""Reading from an OCI registry: manifests in one piece, blobs as streams that begin at any byte."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from helpers.errors import NotFound, SourceUnreachable
from helpers.ingestion.metering import refused
from helpers.ingestion.oci.reference import Reference
from helpers.ingestion.transfer import Incoming, starts_at, whole

if TYPE_CHECKING:
    import httpx

TIMEOUT = 30.0  # seconds without a byte
MANIFEST_BYTES = 4 << 20  # what registries themselves accept
KINDS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)


class Registry:
    """One repository of one registry; credentials come from docker's configuration, as oras finds them."""

    def __init__(self, reference: Reference) -> None:
        import httpx

        self.reference = reference
        self._authorization = ""
        self._client = httpx.Client(timeout=TIMEOUT, follow_redirects=True, max_redirects=5)

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def manifest(self, version: str) -> bytes:
        """Return a manifest or index. Raises NotFound, SourceUnreachable or ConnectionError."""
        with self._get(f"manifests/{version}", {"Accept": ", ".join(KINDS)}) as response:
            return self._whole(response)

    @contextmanager
    def blob(self, digest: str, offset: int) -> Iterator[Incoming]:
        """Open a blob from `offset` on. Raises NotFound, SourceUnreachable or ConnectionError."""
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={offset}-"} if offset else {})
        with self._get(f"blobs/{digest}", headers) as response:
            offset = starts_at(response.status_code, response.headers.get("content-range", ""))
            yield Incoming(offset, response.iter_bytes())

    @contextmanager
    def _get(self, path: str, headers: dict[str, str]) -> Iterator[httpx.Response]:
        import httpx

        url = f"{self.reference.address}/{path}"
        try:
            for last in (False, True):
                known = {"Authorization": self._authorization} if self._authorization else {}
                with self._client.stream("GET", url, headers=headers | known) as response:
                    if response.status_code == 401 and not last and self._is_here(str(response.url)):
                        self._authorization = self._login(response.headers.get("www-authenticate", ""))
                        continue
                    self._check(response)
                    yield response
                    return
        except (httpx.TransportError, httpx.DecodingError, httpx.StreamError) as error:
            raise ConnectionError(f"{type(error).__name__}: {error}") from error
        except httpx.HTTPError as error:
            raise SourceUnreachable(f"{self.reference} cannot be read: {error}", do="Check the address") from error

    def _check(self, response: httpx.Response) -> None:
        status, what = response.status_code, str(self.reference)
        if self.reference.address.startswith("https:") and response.url.scheme != "https":
            raise SourceUnreachable(f"{what} leads to an address without TLS", do="Ask the registry's operator")
        if status == 404:
            raise NotFound(f"{what} does not exist", do="Check registry, repository and tag or digest")
        if status in (401, 403):
            raise SourceUnreachable(
                f"{what} may not be read ({status})", do="Log in to the registry with oras, podman or docker"
            )
        if status in (408, 425, 429) or status >= 500:
            raise ConnectionError(f"the registry answers {status}")
        if status not in (200, 206):
            raise SourceUnreachable(f"{what} cannot be read: the registry answers {status}", do="Check the address")

    def _is_here(self, url: str) -> bool:
        """Return whether this is the registry itself, which alone gets its login: not where it leads to."""
        return _origin(url) == _origin(self.reference.address)

    def _login(self, challenge: str) -> str:
        """Return the Authorization header that answers the registry's challenge, empty where there is none."""
        from oras.auth.utils import parse_auth_header

        basic = self._credentials()
        if challenge.lower().startswith("basic"):
            return basic
        wanted = parse_auth_header(challenge)
        if not wanted.realm:
            return ""
        if not _belongs(wanted.realm, self.reference.address):
            raise SourceUnreachable(
                f"{self.reference.host} wants a login at {wanted.realm[:200]}, which is not where it is itself",
                do="Ask the registry's operator; no password was sent there",
            )
        parameters = {key: value for key in ("service", "scope") if (value := getattr(wanted, key))}
        headers = {"Authorization": basic} if basic else {}
        with self._client.stream("GET", wanted.realm, params=parameters, headers=headers) as answer:
            self._check(answer)
            data = self._whole(answer)
        try:
            token = json.loads(data)
            return f"Bearer {token.get('token') or token['access_token']}"
        except (ValueError, KeyError, AttributeError, RecursionError) as error:
            raise SourceUnreachable(
                f"{self.reference.host} answers its login without a token", do="Ask the registry's operator"
            ) from error

    def _whole(self, response: httpx.Response) -> bytes:
        if (data := whole(response.iter_bytes(), MANIFEST_BYTES)) is None:
            problem = f"has a manifest of more than {MANIFEST_BYTES >> 20} MiB"
            raise refused(str(self.reference), ".", "size", problem, "Choose another image")
        return data

    def _credentials(self) -> str:
        """Return what `oras login`, `podman login` or `docker login` left for this registry."""
        from oras.auth import get_auth_backend
        from oras.container import Container

        files = [Path(os.environ["DOCKER_CONFIG"], "config.json")] if os.environ.get("DOCKER_CONFIG") else []
        files += [Path(os.environ["REGISTRY_AUTH_FILE"])] if os.environ.get("REGISTRY_AUTH_FILE") else []
        backend = get_auth_backend("token", None)
        container = Container(f"{self.reference.host}/{self.reference.repository}", registry=self.reference.host)
        try:
            backend.load_configs(container, [str(path) for path in files if path.is_file()])
        except (OSError, ValueError, AttributeError) as error:
            raise SourceUnreachable(
                "Docker's configuration, which may hold credentials, cannot be read",
                do="Repair config.json",
            ) from error
        known = getattr(backend, "_basic_auth", "")
        return f"Basic {known}" if known else ""


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _belongs(realm: str, registry: str) -> bool:
    """Return whether a login at the realm is one at the registry: its own host, or a name in the same domain over TLS.

    Docker's and GitLab's registries have a neighbour for it: auth.docker.io of registry-1.docker.io.
    """
    try:
        (scheme, host, _), (own_scheme, own, _) = _origin(realm), _origin(registry)
    except ValueError:
        return False
    if host == own:
        return scheme == "https" or scheme == own_scheme
    domain = own.partition(".")[2]
    named = "." in domain and not own.replace(".", "").isdigit()
    return scheme == "https" and named and (host == domain or host.endswith(f".{domain}"))
