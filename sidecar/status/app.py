"""The aiohttp application behind one door: guards, reads, calls the operation, writes JSON.

One request a connection, and each answer says so: nothing keeps a place that others may need, and a
deadline for the whole connection is then a deadline for the request (see ``server``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, TypeVar

import structlog
from aiohttp import web
from pydantic import BaseModel, ValidationError

from sidecar.core.errors import SidecarError

from .api import Api, BusyError
from .guard import Door, DoorKind, objection
from .models import Problem
from .operation import JSON, Operation
from .operations import OPERATIONS
from .query import BadRequestError, parameters
from .source import CannotError

BODY_BYTES_MAX = 64 * 1024

M = TypeVar("M", bound=BaseModel)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
log = structlog.get_logger()


class Token(Protocol):
    """The bearer token; ``sidecar.settings.Secret`` is one."""

    def get(self) -> str:
        """Return it; may touch the disk. Raises SidecarError."""
        ...


class ExtendTime(Protocol):
    """Gives one connection more time than the others."""

    def __call__(self, request: web.Request) -> AbstractContextManager[None]:
        """Lift the deadline of a request that is bounded in another way."""
        ...


def build(*, api: Api, door: Door, token: Token | None, extend_time: ExtendTime) -> web.Application:
    """Return the application for one listener."""
    app = web.Application(middlewares=[_errors_as_json], client_max_size=BODY_BYTES_MAX)
    app.on_response_prepare.append(_plain_headers)
    for operation in OPERATIONS:
        if operation.need.public or door.kind is not DoorKind.PUBLIC:
            handler = _Handler(api=api, operation=operation, door=door, token=token, extend_time=extend_time)
            add = app.router.add_get if operation.method == "GET" else app.router.add_post  # GET answers HEAD
            add(operation.path, handler.answer)
    return app


class _Handler:
    """One route behind one door."""

    def __init__(
        self, *, api: Api, operation: Operation[Any], door: Door, token: Token | None, extend_time: ExtendTime
    ) -> None:
        self._api = api
        self._operation = operation
        self._door = door
        self._secret = token
        self._extend_time = extend_time

    async def answer(self, request: web.Request) -> web.Response:
        """Refuse or run the operation. Raises what ``_errors_as_json`` puts into words."""
        token = await self._token(request)
        if refusal := objection(self._door, self._operation.need, request.headers, token):
            return _problem(refusal.status, refusal.message, refusal.hint)
        given = parameters(request.raw_path, allowed=[one.name for one in self._operation.parameters])
        return await self._run(request, given)

    async def _run(self, request: web.Request, given: dict[str, str]) -> web.Response:
        operation = self._operation
        with self._extend_time(request) if operation.is_long else nullcontext():
            asked = given if operation.body is None else await _body(request, operation.body)
            status, reply = await operation.handler(self._api, asked)
        match reply:
            case str():
                return web.Response(status=status, text=reply, content_type=operation.content_type)
            case bytes():
                headers = {"Content-Type": operation.content_type}  # with its parameters, as it stands
                return web.Response(status=status, body=reply, headers=headers)
            case _:
                return _answer(status, reply)

    async def _token(self, request: web.Request) -> str | None:
        """Read the token only for those who present one or need one; it may have changed."""
        guarded = self._operation.need.changes or "Authorization" in request.headers
        wanted = guarded or (self._door.kind is DoorKind.NETWORK and not self._operation.need.public)
        if self._secret is None or self._door.kind is DoorKind.SOCKET or not wanted:
            return None
        try:
            return await asyncio.to_thread(self._secret.get)
        except SidecarError as error:
            log.warning("token_unreadable", error=str(error))
            return None


async def _body(request: web.Request, model: type[M]) -> M:
    try:
        return model.model_validate_json(await request.read() or b"{}")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"]) or "body"
        raise BadRequestError(f"{where}: {first['msg']}", "see /openapi.json") from error


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except BadRequestError as error:
        return _problem(400, str(error), error.hint)
    except CannotError as error:
        return _problem(503, str(error), None)
    except BusyError as error:
        return _problem(503, str(error), "ask again in a minute")
    except web.HTTPException as error:
        return _problem(error.status, *_words(request, error))
    except Exception:  # one request that fails must not look like a daemon that died
        log.exception("request_failed", path=request.path)
        return _problem(500, "this is a bug in the sidecar", "its log has the details")


def _words(request: web.Request, error: web.HTTPException) -> tuple[str, str | None]:
    match error:
        case web.HTTPNotFound():
            known = ", ".join(sorted({resource.canonical for resource in request.app.router.resources()}))
            return f"there is nothing at {request.path}", f"there are: {known}"
        case web.HTTPMethodNotAllowed():
            methods = " or ".join(sorted(error.allowed_methods - {"HEAD"}))
            return f"{request.path} does not answer {request.method}", f"use {methods}"
        case _:
            return error.reason, None


async def _plain_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.force_close()
    response.headers["Connection"] = "close"  # said by ourselves: aiohttp has decided on its own by now
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"


def _answer(status: int, reply: BaseModel) -> web.Response:
    return web.Response(status=status, body=reply.model_dump_json(by_alias=True).encode(), content_type=JSON)


def _problem(status: int, message: str, hint: str | None) -> web.Response:
    reply = _answer(status, Problem(error=message, hint=hint))
    if status == web.HTTPUnauthorized.status_code:
        reply.headers["WWW-Authenticate"] = "Bearer"
    return reply
