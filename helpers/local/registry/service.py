"""What the registry does for each request, without HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from helpers.local.registry import bodies
from helpers.local.registry.conditions import Condition
from helpers.local.registry.errors import bad_request, not_found
from helpers.local.registry.filters import parse_filter
from helpers.local.registry.paging import Page, parse_id
from helpers.local.registry.resources import ARTIFACTS, MODEL, VERSION, Resource, settable
from helpers.local.registry.store import Row, Store, of_kinds, of_version, render

Kinds = tuple[Resource, ...]
ANY_ARTIFACT: Kinds = tuple(ARTIFACTS.values())


class Service:
    """The operations on models, versions and artifacts; each takes and returns plain JSON."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def row(self, kinds: Kinds, key: str) -> Row:
        """Return the row with this id; raises 400 or 404."""
        label = kinds[0].label if len(kinds) == 1 else "artifact"
        return self.store.get(kinds[0].table, [kind.kind for kind in kinds], parse_id(key), label)

    def create(self, resource: Resource, raw: bytes) -> dict[str, Any]:
        """Create a model or version."""
        body = bodies.validate(resource.create, bodies.parse(raw))
        parent = body.pop("registeredModelId", None)
        with self.store.transaction():
            owner = self.row((MODEL,), parent)[0] if parent else None
            return render(self.row((resource,), str(self.store.insert(resource, body, owner))))

    def create_version(self, model: str, raw: bytes) -> dict[str, Any]:
        """Create a version of the model that the path names."""
        body = settable(bodies.validate(VERSION.read, {"registeredModelId": model, **bodies.parse(raw)}))
        if body.pop("registeredModelId") != model:
            raise bad_request("registeredModelId differs from the path")
        with self.store.transaction():
            key = self.store.insert(VERSION, body, self.row((MODEL,), model)[0])
            return render(self.row((VERSION,), str(key)))

    def create_artifact(self, kinds: Kinds, raw: bytes) -> dict[str, Any]:
        """Create an artifact that belongs to no version."""
        body = bodies.parse(raw)
        resource = artifact_kind(kinds, body)
        body = bodies.validate(resource.create, body)
        with self.store.transaction():
            return render(self.row((resource,), str(self.store.insert(resource, body))))

    def upsert_artifact(self, version: str, raw: bytes) -> tuple[bool, dict[str, Any]]:
        """Create an artifact of a version, or update and attach the one whose id the body has; True where it is new."""
        body = bodies.parse(raw)
        resource = artifact_kind(ANY_ARTIFACT, body)
        bodies.validate(resource.read, body)
        key, fields = body.get("id"), settable(body)
        with self.store.transaction():
            owner = self.row((VERSION,), version)[0]
            if key:
                self.store.update(resource, self.row((resource,), key), fields)
            artifact = parse_id(key) if key else self.store.insert(resource, fields, owner)
            self.store.attach(owner, artifact)
            return not key, render(self.row((resource,), str(artifact)))

    def update(self, kinds: Kinds, key: str, raw: bytes) -> dict[str, Any]:
        """Change the fields that the body has; customProperties are replaced as a whole."""
        body = bodies.parse(raw)
        resource = artifact_kind(kinds, body) if kinds[0].is_artifact else kinds[0]
        bodies.validate(resource.update, body)
        with self.store.transaction():
            row = self.row(kinds, key)
            if row[1] != resource.kind:
                raise bad_request(f"artifact {key} is a {row[1]}, not a {resource.kind}")
            self.store.update(resource, row, body)
            return render(self.row((resource,), key))

    def find(self, kinds: Kinds, query: Mapping[str, str]) -> dict[str, Any]:
        """Return the only one with this name (and parent, where it has one) or external id; else 404."""
        rows = self.store.select(kinds[0].table, [_kinds(kinds), *_search(kinds, query)], limit=2)
        if len(rows) != 1:
            raise not_found(f"{'several' if rows else 'no'} {kinds[0].label}s found")
        return render(rows[0])

    def list(self, kinds: Kinds, query: Mapping[str, str], scope: Condition | None = None) -> dict[str, Any]:
        """Return one page of what meets the filter."""
        page = Page.from_query(query)
        conditions = [_kinds(_of_type(kinds, query)), *([scope] if scope else []), *page.conditions()]
        if text := query.get("filterQuery"):
            conditions.append(parse_filter(text))
        if scope:
            fields = (("name", "name"), ("externalId", "external_id"))
            conditions += [Condition(f"{column} = ?", (query[name],)) for name, column in fields if query.get(name)]
        rows = self.store.select(kinds[0].table, conditions, page.order, page.size + 1 if page.size else -1)
        shown = rows[: page.size] if page.size else rows
        token = page.token(shown[-1]) if len(rows) > len(shown) else ""
        items = [render(row) for row in shown]
        return {"items": items, "nextPageToken": token, "pageSize": page.size, "size": len(items)}

    def versions_of(self, model: str, query: Mapping[str, str]) -> dict[str, Any]:
        """Return one page of a model's versions."""
        return self.list((VERSION,), query, Condition("parent = ?", (self.row((MODEL,), model)[0],)))

    def artifacts_of(self, version: str, query: Mapping[str, str]) -> dict[str, Any]:
        """Return one page of a version's artifacts."""
        return self.list(ANY_ARTIFACT, query, of_version(self.row((VERSION,), version)[0]))


def artifact_kind(kinds: Kinds, body: dict[str, Any]) -> Resource:
    """Take the artifactType out of the body; a path for one type only does not need it."""
    kind = body.pop("artifactType", kinds[0].kind if len(kinds) == 1 else None)
    for resource in kinds:
        if resource.kind == kind:
            return resource
    raise bad_request(f"artifactType {kind!r} is not one of {', '.join(resource.kind for resource in kinds)}")


def _kinds(kinds: Kinds) -> Condition:
    return of_kinds([resource.kind for resource in kinds])


def _of_type(kinds: Kinds, query: Mapping[str, str]) -> Kinds:
    kind = query.get("artifactType")
    if not kind or not kinds[0].is_artifact:
        return kinds
    return (artifact_kind(kinds, {"artifactType": kind}),)


def _search(kinds: Kinds, query: Mapping[str, str]) -> list[Condition]:
    name, parent, external_id = (query.get(part) for part in ("name", "parentResourceId", "externalId"))
    if name and kinds == (MODEL,):
        return [Condition("name = ?", (name,))]
    if name and parent:
        key = parse_id(parent, "parentResourceId")
        return [
            Condition("name = ?", (name,)),
            of_version(key) if kinds[0].is_artifact else Condition("parent = ?", (key,)),
        ]
    if external_id:
        return [Condition("external_id = ?", (external_id,))]
    raise bad_request("give name (with parentResourceId where there is a parent) or externalId")
