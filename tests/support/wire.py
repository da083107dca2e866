"""A loopback server that answers whatever a test wants, as Convex or as somebody else would."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PONG = {"status": "success", "value": {"contractVersion": 1.0}}


class Wire:
    """A server with one handler; keeps the requests that arrived, with their bodies."""

    def __init__(self) -> None:
        """Answer pings."""
        self.url = ""
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.handler: Handler = lambda _: _done(web.json_response(PONG))

    def answers(self, status: int, body: Any, **headers: str) -> None:
        """Answer everything so."""
        text = body if isinstance(body, str) else json.dumps(body)

        async def handler(_: web.Request) -> web.Response:
            return web.Response(status=status, text=text, headers=headers)

        self.handler = handler

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Note and answer."""
        self.requests.append((request.path, dict(request.headers), json.loads(await request.read())))
        return await self.handler(request)


async def _done(response: web.Response) -> web.Response:
    return response
