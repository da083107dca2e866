"""Convex as a player reads it: the public queries over Convex's HTTP API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Self

import httpx

from .child import ServerError

_PAGE = 100
_TIMEOUT_SECONDS = 10.0


class ConvexReader:
    """A reader of scenes, sessions and assets. Raises ServerError when Convex refuses."""

    def __init__(self, url: str) -> None:
        """Talk to the deployment at ``url`` without any credentials."""
        self._http = httpx.AsyncClient(base_url=url, timeout=_TIMEOUT_SECONDS, trust_env=False)

    async def __aenter__(self) -> Self:
        """Keep connections open while in use."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close them."""
        await self._http.aclose()

    async def query(self, path: str, **args: Any) -> Any:
        """Call a query function by its ``module:function`` path."""
        body = {"path": path, "args": args, "format": "json"}
        try:
            response = await self._http.post("/api/query", json=body)
        except httpx.TransportError as error:
            raise ServerError(f"Convex does not answer to {path}: {error!r}") from error
        answer = response.json() if response.is_success else {"errorMessage": response.text}
        if answer.get("status") != "success":
            raise ServerError(f"Convex refuses {path}: {answer.get('errorMessage')}")
        return answer["value"]

    async def scenes(self, session_id: str) -> list[dict[str, Any]]:
        """Return all scenes of a session."""
        found: list[dict[str, Any]] = await self.query("scenes:bySession", sessionId=session_id)
        return found

    async def session(self, session_id: str) -> dict[str, Any] | None:
        """Return a session."""
        found: dict[str, Any] | None = await self.query("sessions:get", sessionId=session_id)
        return found

    async def assets(self, session_id: str) -> AsyncIterator[dict[str, Any]]:
        """Yield every asset of a session and of its scenes, page by page."""
        entities = [("session", session_id)]
        entities += [("scene", scene["sceneId"]) for scene in await self.scenes(session_id)]
        for kind, entity in entities:
            cursor, done = None, False
            while not done:
                page = await self.query(
                    "assets:byEntity",
                    sessionId=session_id,
                    entityType=kind,
                    entityId=entity,
                    paginationOpts={"numItems": _PAGE, "cursor": cursor},
                )
                for asset in page["page"]:
                    yield asset
                cursor, done = page["continueCursor"], page["isDone"]
