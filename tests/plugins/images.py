"""Images as a stranger builds them: any layer, any manifest, pushed to a registry."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile

import httpx

IMAGE, INDEX = "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def layer(files: dict[str, bytes], *, packed: bool = False, links: dict[str, str] | None = None) -> bytes:
    """A layer with files, and links by name and target."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755
            tar.addfile(entry, io.BytesIO(data))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
    return gzip.compress(buffer.getvalue(), mtime=0) if packed else buffer.getvalue()


def descriptor(data: bytes, kind: str, **more: object) -> dict:
    return {"mediaType": kind, "digest": digest(data), "size": len(data), **more}


def push(host: str, repository: str, tag: str, *layers: bytes, **changes: object) -> str:
    """Push an image of these layers, its manifest changed as given, and return its digest."""
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}).encode()
    for blob in (config, *layers):
        _push_blob(host, repository, blob)
    listed = [descriptor(data, LAYER + ("+gzip" if data[:2] == b"\x1f\x8b" else "")) for data in layers]
    image = {"schemaVersion": 2, "mediaType": IMAGE, "layers": listed}
    image["config"] = descriptor(config, "application/vnd.oci.image.config.v1+json")
    return push_manifest(host, repository, tag, image | changes)


def push_manifest(host: str, repository: str, tag: str, content: dict) -> str:
    data = json.dumps(content).encode()
    answer = httpx.put(
        f"http://{host}/v2/{repository}/manifests/{tag}", content=data, headers={"Content-Type": content["mediaType"]}
    )
    assert answer.status_code == 201, answer.text
    return digest(data)


def _push_blob(host: str, repository: str, data: bytes) -> None:
    place = httpx.post(f"http://{host}/v2/{repository}/blobs/uploads/").headers["Location"]
    answer = httpx.put(f"{place}&digest={digest(data)}", content=data)
    assert answer.status_code == 201, answer.text
