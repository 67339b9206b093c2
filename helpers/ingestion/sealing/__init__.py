"""The seal of a model: manifest, bill of materials, provenance and, last of all, the signature over everything."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers.errors import InvalidInput, NotFound, SignatureInvalid, StoreFailed
from helpers.ingestion.digests import MANIFEST, PROVENANCE, digest_of, manifest_of, model_files
from helpers.ingestion.policy import Policy
from helpers.ingestion.sealing.bom import bill_of_materials
from helpers.ingestion.sealing.signing import SIGNATURE, sign, signed_files, signer_name

SUMS, BOM, FACTS = f"{PROVENANCE}/{MANIFEST}", f"{PROVENANCE}/bom.cdx.json", f"{PROVENANCE}/provenance.json"
STORED = f"{PROVENANCE}/stored.json"  # by which digests the store keeps the files, where their own do not say it
DOCUMENTS = (SUMS, BOM, FACTS)


@dataclass(frozen=True)
class Package:
    """A sealed model: folder, SHA-256 of the model's files, the model's digest, who signed it and by which rules.

    `stored` says by which digests the store will keep the files, as `publication.kept` told it.
    """

    folder: Path
    sums: Mapping[str, str]
    digest: str
    signer: str
    policy: Policy
    stored: Mapping[str, Any] = field(default_factory=dict)

    @property
    def documents(self) -> tuple[str, ...]:
        """The files in `provenance/` that are signed."""
        return (*DOCUMENTS, STORED) if self.stored else DOCUMENTS


def seal(
    folder: Path,
    sums: Mapping[str, str],
    facts: Mapping[str, str],
    policy: Policy,
    stored: Mapping[str, Any] | None = None,
) -> Package:
    """Write `provenance/` into a model folder whose files have these SHA-256. What an earlier run left is replaced.

    Raises InvalidInput where the folder has other files, or where the key that would sign is not trusted.
    """
    signer, digest = signer_name(policy), digest_of(sums)
    _check_names(folder, sums)
    documents = {
        SUMS: manifest_of(sums),
        BOM: bill_of_materials(folder, sums, digest, {**facts, "signer": signer}),
        FACTS: _provenance(digest, signer, facts),
    }
    if stored:
        documents[STORED] = json.dumps(stored, indent=2, sort_keys=True) + "\n"
    signed = {**sums, **{name: hashlib.sha256(text.encode()).hexdigest() for name, text in documents.items()}}
    signature = sign(facts["name"], signed, policy).decode()
    try:
        shutil.rmtree(folder / PROVENANCE, ignore_errors=True)
        (folder / PROVENANCE).mkdir()
        for name, text in {**documents, SIGNATURE: signature}.items():
            (folder / name).write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise StoreFailed(f"Could not write {folder / PROVENANCE}: {error}", do="Free some space") from error
    return Package(folder, dict(sums), digest, signer, policy, stored or {})


def is_sealed(read: Callable[[str], bytes], package: Package) -> bool:
    """Return whether the provenance that `read` finds is one that today's policy trusts, for this very model."""
    try:
        documents = {name: hashlib.sha256(read(name)).hexdigest() for name in package.documents}
        signed = signed_files(read(SIGNATURE), package.policy, package.digest)
    except (OSError, NotFound, SignatureInvalid):
        return False
    return signed == {**package.sums, **documents} and signed[SUMS] == package.digest.removeprefix("sha256:")


def _check_names(folder: Path, sums: Mapping[str, str]) -> None:
    paths = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    found = model_files({path.relative_to(folder).as_posix(): "" for path in paths})
    if odd := sorted(found.keys() ^ sums.keys()):
        raise InvalidInput(f"{folder} and what was hashed differ in {', '.join(odd[:5])}", do="Run this stage again")


def _provenance(digest: str, signer: str, facts: Mapping[str, str]) -> str:
    known = {"schema_version": 1, "digest": digest, "signer": signer, **facts}
    known["scanners"] = json.loads(facts.get("scanners", "{}"))
    return json.dumps(known, indent=2, sort_keys=True) + "\n"
