"""The HTTP side: one set of routes under both prefixes, a bearer token where one is set, errors as JSON."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException

from helpers.local.registry.errors import ApiError, bad_request, error_body
from helpers.local.registry.resources import MODEL, MODEL_ARTIFACT, VERSION
from helpers.local.registry.service import ANY_ARTIFACT, Kinds, Service
from helpers.local.registry.store import Store, render

HEALTH = "/readyz/health"
PREFIXES = ("/api/model_registry/v1alpha3", "/api/model_registry/v1")
Scope = MutableMapping[str, Any]
Asgi = Callable[[Scope, Any, Any], Awaitable[None]]


async def _read(request: Request) -> bytes:
    return await request.body()


Body = Annotated[bytes, Depends(_read)]


def create_app(database: Path, token: str = "", prefixes: Sequence[str] = PREFIXES) -> FastAPI:
    """Return the registry over `database`; with a token, everything but `HEALTH` asks for it."""
    store = Store(database)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        store.close()

    app = FastAPI(title="Model registry on one machine", lifespan=lifespan, redirect_slashes=False)
    for prefix in prefixes:
        app.include_router(_routes(Service(store)), prefix=prefix)
    app.add_api_route(HEALTH, lambda: "OK", response_class=PlainTextResponse)
    app.add_exception_handler(ApiError, lambda _, error: _refuse(error.status, error.message))
    app.add_exception_handler(HTTPException, _no_route)
    app.add_exception_handler(Exception, lambda _, error: _refuse(500, f"internal error: {type(error).__name__}"))
    if token:
        app.add_middleware(_BearerToken, token=token)
    return app


def _no_route(_: Request, error: Exception) -> Response:
    """A path or a method that is not there: the real server's router answers without JSON."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    return PlainTextResponse("404 page not found\n" if status == 404 else "", status)


def _refuse(status: int, message: str) -> Response:
    return JSONResponse(error_body(status, message), status)


def _query(request: Request) -> dict[str, str]:
    query = dict(request.query_params)
    if any("\x00" in value for value in query.values()):
        raise bad_request("the query contains a NUL byte")
    return query


def _routes(service: Service) -> APIRouter:
    router = APIRouter()
    _collection(router, service, (MODEL,), MODEL.singular, MODEL.plural)
    _collection(router, service, (VERSION,), VERSION.singular, VERSION.plural)
    _collection(router, service, (MODEL_ARTIFACT,), MODEL_ARTIFACT.singular, MODEL_ARTIFACT.plural)
    _collection(router, service, ANY_ARTIFACT, "artifact", "artifacts")
    _children(router, service)
    return router


def _collection(router: APIRouter, service: Service, kinds: Kinds, singular: str, plural: str) -> None:
    @router.get(f"/{singular}")
    def find(request: Request) -> Response:
        return JSONResponse(service.find(kinds, _query(request)))

    @router.get(f"/{plural}")
    def list_all(request: Request) -> Response:
        return JSONResponse(service.list(kinds, _query(request)))

    @router.post(f"/{plural}")
    def create(body: Body) -> Response:
        return JSONResponse(service.create(kinds, body), 201)

    @router.get(f"/{plural}/{{key}}")
    def get(key: str) -> Response:
        return JSONResponse(render(service.row(kinds, key)))

    @router.patch(f"/{plural}/{{key}}")
    def update(key: str, body: Body) -> Response:
        return JSONResponse(service.update(kinds, key, body))


def _children(router: APIRouter, service: Service) -> None:
    @router.get("/registered_models/{key}/versions")
    def versions(key: str, request: Request) -> Response:
        return JSONResponse(service.list((VERSION,), _query(request), key))

    @router.post("/registered_models/{key}/versions")
    def create_version(key: str, body: Body) -> Response:
        return JSONResponse(service.create_version(key, body), 201)

    @router.get("/model_versions/{key}/artifacts")
    def artifacts(key: str, request: Request) -> Response:
        return JSONResponse(service.list(ANY_ARTIFACT, _query(request), key))

    @router.post("/model_versions/{key}/artifacts")
    def upsert_artifact(key: str, body: Body) -> Response:
        new, artifact = service.upsert_artifact(key, body)
        return JSONResponse(artifact, 201 if new else 200)


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
