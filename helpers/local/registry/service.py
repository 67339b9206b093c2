"""What the registry does for each request, without HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mr_openapi import ArtifactTypeQueryParam

from helpers.local.registry import bodies
from helpers.local.registry.errors import ApiError, bad_request, not_found
from helpers.local.registry.names import is_pattern
from helpers.local.registry.paging import Page, parse_id
from helpers.local.registry.resources import ARTIFACTS, MODEL, MODEL_ARTIFACT, VERSION, Resource
from helpers.local.registry.store import Condition, Row, Store, external, named, of_kinds, of_version, render

Kinds = tuple[Resource, ...]
ANY_ARTIFACT: Kinds = tuple(ARTIFACTS.values())


class Service:
    """The operations on models, versions and artifacts; each takes and returns plain JSON."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def row(self, kinds: Kinds, key: str) -> Row:
        """Return the row with this id; raises 400 or 404."""
        label = "artifact" if kinds[0].is_artifact else kinds[0].label
        return self.store.get(kinds[0].table, _names(kinds), parse_id(key, f"invalid {label} ID"), label)

    def create(self, kinds: Kinds, raw: bytes) -> dict[str, Any]:
        """Create a model, a version, or an artifact that belongs to no version."""
        body = bodies.parse(raw)
        if kinds == ANY_ARTIFACT:
            resource = _artifact_kind(body)
            body = bodies.validate(resource.create, body, strict=False)
        else:
            resource = kinds[0]
            body = bodies.validate(resource.create, body, state=resource.default_state)
        parent = body.pop("registeredModelId", None)
        owner = parse_id(parent) if parent is not None else None
        with self.store.transaction():
            return render(self.row((resource,), str(self.store.insert(resource, body, owner))))

    def create_version(self, model: str, raw: bytes) -> dict[str, Any]:
        """Create a version of the model that the path names, or update the one whose id the body has."""
        body = bodies.validate(VERSION.read, bodies.parse(raw), state=VERSION.default_state)
        owner, key = parse_id(model, "invalid registered model ID"), body.pop("id", None)
        del body["registeredModelId"]
        with self.store.transaction():
            if key is None:
                return render(self.row((VERSION,), str(self.store.insert(VERSION, body, owner))))
            self.store.update(VERSION, self.row((VERSION,), key), body)
            return render(self.row((VERSION,), key))

    def upsert_artifact(self, version: str, raw: bytes) -> tuple[bool, dict[str, Any]]:
        """Create an artifact of a version, or update and attach the one whose id the body has; True where it is new."""
        body = bodies.parse(raw)
        resource = _artifact_kind(body)
        body = bodies.validate(resource.read, body, strict=False)
        key = body.pop("id", None)
        with self.store.transaction():
            owner = self.row((VERSION,), version)[0]
            artifact = self.store.insert(resource, body, owner) if key is None else self._replace(resource, key, body)
            self.store.attach(owner, artifact)
            return key is None, render(self.row((resource,), str(artifact)))

    def _replace(self, resource: Resource, key: str, body: dict[str, Any]) -> int:
        try:
            row = self.row((resource,), key)
        except ApiError as error:
            raise bad_request(f"artifact with id {key} is not a {resource.label}: bad request") from error
        self.store.update(resource, row, body)
        return row[0]

    def update(self, kinds: Kinds, key: str, raw: bytes) -> dict[str, Any]:
        """Change the fields that the body has; customProperties are replaced as a whole."""
        body = bodies.parse(raw)
        with self.store.transaction():
            row = self.row(kinds, key)
            if kinds == ANY_ARTIFACT:
                resource, kind = ARTIFACTS[row[1]], body.get("artifactType") or "unknown"
                if kind != row[1]:
                    raise bad_request(f"cannot change artifact type from '{row[1]}' to '{kind}': it is immutable")
                body = bodies.validate(resource.update, body, strict=False)
            else:
                resource = kinds[0]
                body = bodies.validate(resource.update, body, state=resource.default_state)
            self.store.update(resource, row, body)
            return render(self.row((resource,), key))

    def find(self, kinds: Kinds, query: Mapping[str, str]) -> dict[str, Any]:
        """Return the only one with this name (and parent, where it has one) or external id; else 404.

        An artifact is sought among those of every type, so a document hides the model artifact of its name.
        """
        name, parent, external_id = (query.get(part, "") for part in ("name", "parentResourceId", "externalId"))
        owned = kinds != (MODEL,)
        if not external_id and not (name and (parent or not owned)):
            needed = "(name and parentResourceId)," if owned else "name"
            raise bad_request(f"invalid parameters call, supply either {needed} or externalId: bad request")
        conditions = [of_kinds(_names(ANY_ARTIFACT if kinds[0].is_artifact else kinds)), *_sought(query)]
        if owned and parent:
            conditions.append(_of_parent(kinds, parse_id(parent, "invalid parent ID")))
        rows = self.store.select(kinds[0].table, conditions)
        if len(rows) > 1 and not is_pattern(name):  # a database of version 1 may have two spellings of one name
            rows = [row for row in rows if row[3] == name] or rows
        if len(rows) != 1 or rows[0][1] not in _names(kinds):
            label = kinds[0].label if len(kinds) == 1 else "artifact"
            asked = f"name={name}, {f'parentResourceId={parent}, ' if owned else ''}externalId={external_id}"
            raise not_found(f"{'multiple' if len(rows) > 1 else 'no'} {label}s found for {asked}")
        return render(rows[0])

    def list(self, kinds: Kinds, query: Mapping[str, str], parent: str | None = None) -> dict[str, Any]:
        """Return one page of all, or of the versions or artifacts of a parent, which need not exist."""
        page = Page.from_query(query)
        conditions = [of_kinds(_listed(kinds, query)), *page.conditions()]
        if query.get("filterQuery") and kinds != (MODEL_ARTIFACT,):
            raise bad_request("filterQuery is left out of this registry: list all, then choose")
        if parent is not None:
            label = VERSION.label if kinds[0].is_artifact else MODEL.label
            conditions += [_of_parent(kinds, parse_id(parent, f"invalid {label} ID")), *_sought(query)]
        rows = self.store.select(kinds[0].table, conditions, page.order, page.limit)
        shown = rows[: page.size] if page.size > 0 else rows
        token = page.token(shown[-1]) if len(rows) > len(shown) else ""
        items = [render(row) for row in shown]
        return {"items": items, "nextPageToken": token, "pageSize": page.size, "size": len(items)}


def _names(kinds: Kinds) -> list[str]:
    return [resource.kind for resource in kinds]


def _artifact_kind(body: dict[str, Any]) -> Resource:
    kind = body.get("artifactType")
    if not isinstance(kind, str) or kind not in ARTIFACTS:
        raise bad_request("invalid artifact type, must be either ModelArtifact or DocArtifact: bad request")
    return ARTIFACTS[kind]


def _listed(kinds: Kinds, query: Mapping[str, str]) -> list[str]:
    kind = query.get("artifactType")
    if not kind or kinds != ANY_ARTIFACT:
        return _names(kinds)
    if kind not in list(ArtifactTypeQueryParam):
        raise bad_request(f"invalid artifact type {kind}: bad request")
    return [kind]  # a type that this registry does not keep has no rows


def _of_parent(kinds: Kinds, parent: int) -> Condition:
    return of_version(parent) if kinds[0].is_artifact else Condition("parent = ?", (parent,))


def _sought(query: Mapping[str, str]) -> list[Condition]:
    if name := query.get("name"):
        return [named(name)]
    return [external(external_id)] if (external_id := query.get("externalId")) else []
