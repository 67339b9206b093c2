"""The HTTP side: one set of routes under both prefixes, a bearer token where one is set, errors as JSON.

A web page that is open on the same machine gets nothing: what a browser sends on its behalf has an `Origin`, a foreign
`Host` where a name was pointed here, or a body that is no application/json.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, MutableMapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from mr_openapi import ArtifactTypeQueryParam
from starlette.exceptions import HTTPException

from helpers.local.registry.bodies import (
    ARTIFACTS,
    MODEL,
    MODEL_ARTIFACT,
    PACKET,
    VERSION,
    ApiError,
    Resource,
    bad_request,
    parse,
    parse_id,
    too_large,
    validate,
)  # fmt: skip
from helpers.local.registry.listening import LOOPBACK
from helpers.local.registry.store import Condition, Store, of_kinds, render

HEALTH = "/readyz/health"
PREFIXES = ("/api/model_registry/v1alpha3", "/api/model_registry/v1")
Scope = MutableMapping[str, Any]
Asgi = Callable[[Scope, Any, Any], Awaitable[None]]
Query = Mapping[str, str]


async def _read(request: Request) -> bytes:
    """Return the body, of which no more is read than MySQL would take."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise ApiError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "a body has to be application/json")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > PACKET:
            raise too_large()
    return bytes(body)


def _asked(request: Request) -> Query:
    query = dict(request.query_params)
    if any("\x00" in value for value in query.values()):
        raise bad_request("the query contains a NUL byte")
    return query


Body = Annotated[bytes, Depends(_read)]
Asked = Annotated[Query, Depends(_asked)]


def create_app(
    database: Path, token: str = "", prefixes: Sequence[str] = PREFIXES, hosts: Collection[str] = LOOPBACK
) -> FastAPI:
    """Return the registry over `database`; with a token, everything but `HEALTH` asks for it.

    `hosts` are the names under which it is known, none for any.
    """
    store = Store(database)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        store.close()

    app = FastAPI(title="Model registry on one machine", lifespan=lifespan, redirect_slashes=False)
    for prefix in prefixes:
        app.include_router(_routes(store), prefix=prefix)
    app.add_api_route(HEALTH, lambda: "OK", response_class=PlainTextResponse)
    app.add_exception_handler(ApiError, lambda _, error: _refuse(error.status, error.message))
    app.add_exception_handler(HTTPException, _no_route)
    app.add_exception_handler(Exception, lambda _, error: _refuse(500, f"internal error: {type(error).__name__}"))
    if token:
        app.add_middleware(_BearerToken, token=token)
    app.add_middleware(_NoPage, hosts=hosts)  # added last, asked first
    return app


def _no_route(_: Request, error: Exception) -> Response:
    """A path or a method that is not there: the real server's router answers without JSON."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    return PlainTextResponse("404 page not found\n" if status == 404 else "", status)


def _refuse(status: int, message: str) -> Response:
    """Return the JSON of an error; the real server calls a 422 "Bad Request" too."""
    shown = HTTPStatus.BAD_REQUEST if status == HTTPStatus.UNPROCESSABLE_ENTITY else HTTPStatus(status)
    return JSONResponse({"code": shown.phrase, "message": message}, status)


def _routes(store: Store) -> APIRouter:
    router = APIRouter()
    for resource in (MODEL, VERSION, MODEL_ARTIFACT):
        _collection(router, store, resource)
    _made(router, store, MODEL)
    _made(router, store, VERSION)
    _artifacts(router, store)
    return router


def _collection(router: APIRouter, store: Store, resource: Resource) -> None:
    """Add what there is for all three: find, list, get, patch."""

    @router.get(f"/{resource.path}")
    def find(asked: Asked) -> Response:
        return JSONResponse(_find(store, resource, asked))

    @router.get(f"/{resource.path}s")
    def list_all(asked: Asked) -> Response:
        return JSONResponse(_page(store, resource.table, [of_kinds([resource.kind])], asked))

    @router.get(f"/{resource.path}s/{{key}}")
    def get(key: str) -> Response:
        return JSONResponse(render(store.get(resource, parse_id(key, f"invalid {resource.label} ID"))))

    @router.patch(f"/{resource.path}s/{{key}}")
    def update(key: str, raw: Body) -> Response:
        """Change the fields that the body has; customProperties are replaced as a whole, and the state is reset."""
        body, number = parse(raw), parse_id(key, f"invalid {resource.label} ID")
        with store.transaction():
            row = store.get(resource, number)
            store.update(resource, row, validate(resource.update, body, state=resource.default_state))
            return JSONResponse(render(store.get(resource, number)))


def _made(router: APIRouter, store: Store, resource: Resource) -> None:
    @router.post(f"/{resource.path}s")
    def create(raw: Body) -> Response:
        body = validate(resource.create, parse(raw), state=resource.default_state)
        parent = body.pop("registeredModelId", None)
        owner = None if parent is None else parse_id(parent)
        with store.transaction():
            return JSONResponse(render(store.get(resource, store.insert(resource, body, owner))), 201)


def _artifacts(router: APIRouter, store: Store) -> None:
    """Add the lists of a model and of a version, and how a version gets an artifact."""

    @router.get("/registered_models/{key}/versions")
    def versions(key: str, asked: Asked) -> Response:
        owner = Condition("parent = ?", (parse_id(key, "invalid registered model ID"),))
        return JSONResponse(_page(store, "context", [of_kinds([VERSION.kind]), owner], asked))

    @router.get("/artifacts")
    def all_artifacts(asked: Asked) -> Response:
        return JSONResponse(_page(store, "artifact", [_of_type(asked)], asked))

    @router.get("/model_versions/{key}/artifacts")
    def artifacts(key: str, asked: Asked) -> Response:
        owner = Condition("parent = ?", (parse_id(key, "invalid model version ID"),))
        return JSONResponse(_page(store, "artifact", [_of_type(asked), owner], asked))

    @router.post("/model_versions/{key}/artifacts")
    def add_artifact(key: str, raw: Body) -> Response:
        body = parse(raw)
        kind = body.get("artifactType")
        if not isinstance(kind, str) or kind not in ARTIFACTS:
            raise bad_request("invalid artifact type, must be either ModelArtifact or DocArtifact: bad request")
        if body.get("id"):
            raise bad_request("an artifact that is there is changed by PATCH in this registry")
        resource = ARTIFACTS[kind]
        fields = validate(resource.create, body, strict=False)
        with store.transaction():
            owner = store.get(VERSION, parse_id(key, "invalid model version ID")).id
            return JSONResponse(render(store.get(resource, store.insert(resource, fields, owner))), 201)


def _of_type(query: Query) -> Condition:
    kind = query.get("artifactType")
    if kind and kind not in list(ArtifactTypeQueryParam):
        raise bad_request(f"invalid artifact type {kind}: bad request")
    return of_kinds([kind] if kind else list(ARTIFACTS))  # a type that this registry does not keep has no rows


def _find(store: Store, resource: Resource, query: Query) -> dict[str, Any]:
    """Return the only one with this name (and parent, where it has one); else 404.

    An artifact is sought among those of every type, so a document hides the model artifact of its name.
    """
    name, parent = query.get("name", ""), query.get("parentResourceId", "")
    if not name or not (parent or resource == MODEL) or query.get("externalId"):
        raise bad_request("invalid parameters call, supply name and, unless it is a model's, parentResourceId")
    owner = None if resource == MODEL else parse_id(parent, "invalid parent ID")
    kinds = list(ARTIFACTS) if resource == MODEL_ARTIFACT else [resource.kind]
    same = Condition("name = ? COLLATE folded AND parent IS ?", (name, owner))
    rows = store.select(resource.table, [of_kinds(kinds), same])
    if len(rows) > 1:  # a database of version 1 may have two spellings of one name
        rows = [row for row in rows if row.name == name]
    if len(rows) != 1 or rows[0].kind != resource.kind:
        raise ApiError(HTTPStatus.NOT_FOUND, f"no {resource.label}s found for name={name}: not found")
    return render(rows[0])


def _page(store: Store, table: str, conditions: list[Condition], query: Query) -> dict[str, Any]:
    """Return one page of the rows that meet the conditions; an order that is not known is the order of ids.

    The token depends on the last row only, which the client's pager relies on.
    """
    if query.get("filterQuery") and conditions != [of_kinds([MODEL_ARTIFACT.kind])]:
        raise bad_request("filterQuery is left out of this registry: list all, then choose")
    size = parse_id(query.get("pageSize") or "0")
    column = "updated" if query.get("orderBy") == "LAST_UPDATE_TIME" else "id"
    word, sign = ("DESC", "<") if query.get("sortOrder") == "DESC" else ("ASC", ">")
    if token := query.get("nextPageToken"):
        conditions = [*conditions, Condition(f"({column}, id) {sign} (?, ?)", _read_token(token))]
    rows = store.select(table, conditions, f"{column} {word}, id {word}", size + 1 if size > 0 else -1)
    shown = rows[:size] if size > 0 else rows
    more = f"{shown[-1].id}:{getattr(shown[-1], column)}" if len(rows) > len(shown) else ""
    items = [render(row) for row in shown]
    token = base64.b64encode(more.encode()).decode()
    return {"items": items, "nextPageToken": token, "pageSize": size, "size": len(items)}


def _read_token(token: str) -> tuple[int, int]:
    try:
        key, value = base64.b64decode(token, validate=True).decode("ascii").split(":")
        after = int(value), int(key)
    except (binascii.Error, ValueError) as error:
        raise bad_request("invalid nextPageToken: bad request") from error
    if max(map(abs, after)) >= 2**63:
        raise bad_request("invalid nextPageToken: bad request")
    return after


class _BearerToken:
    def __init__(self, app: Asgi, token: str) -> None:
        self.app, self.expected = app, f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] == HEALTH:
            await self.app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"authorization", b"")
        if hmac.compare_digest(given, self.expected):
            await self.app(scope, receive, send)
        else:
            await _refuse(401, "a valid bearer token is needed")(scope, receive, send)


class _NoPage:
    """Refuses what a browser sends for a page, whoever's it is."""

    def __init__(self, app: Asgi, hosts: Collection[str]) -> None:
        self.app, self.hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if b"origin" in headers:
            await _refuse(403, "no web page may use this registry")(scope, receive, send)
        elif self.hosts and re.sub(r":\d+$", "", host) not in self.hosts:
            await _refuse(421, "this registry is not known under that name")(scope, receive, send)
        else:
            await self.app(scope, receive, send)
