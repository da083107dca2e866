"""Reads what the daemon delivers, and what it does not send: each is said once."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from .child import ServerError

PAGE = 500
TIMEOUT_SECONDS = 30.0
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # made once, and never used: the endpoint is on this machine
OPEN = ("discovered", "ready", "uploaded")
Reply = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What is new since the last one, and the reply of /status."""

    synced: Sequence[Reply]
    not_sent: Sequence[Reply]  # path, finding, why
    status: Reply


@dataclass(slots=True, kw_only=True)
class Arrivals:
    """A reader of the local endpoint."""

    url: str
    socket: Path | None = None  # asked by it, where there is one
    _told: set[int] = field(default_factory=set)
    _complained: set[tuple[str, str]] = field(default_factory=set)
    _highest: int = 0  # of the rows that were seen
    _ended: int = 0  # up to here all had ended at the last look

    async def look(self) -> Look:
        """Return what is new. Raises ServerError when the daemon does not answer."""
        try:
            by = httpx.AsyncHTTPTransport(
                uds=None if self.socket is None else str(self.socket), trust_env=False, verify=NO_TLS
            )
            async with httpx.AsyncClient(base_url=self.url, transport=by, timeout=TIMEOUT_SECONDS) as http:
                return await self._look(http)
        except (httpx.HTTPError, ValueError) as error:
            raise ServerError(f"the sidecar does not answer: {error!r}") from error

    async def _look(self, http: httpx.AsyncClient) -> Look:
        """Ask for what is open first: of the rows known before, what is not among it is listed now."""
        lowest = [row["id"] for state in OPEN for row in await _rows(http, state, after=0, limit=1)]
        ended = min([self._highest, *(number - 1 for number in lowest)])
        after, self._ended = min(self._ended, ended), ended
        synced = []
        while rows := await _rows(http, "synced", after=after, limit=PAGE):
            after = rows[-1]["id"]
            synced += [row for row in rows if row["id"] not in self._told]
        self._told.update(row["id"] for row in synced)
        self._highest = max(after, self._highest)
        status = (await http.get("/status")).json()
        dead = [_complaint(row) for row in (await _get(http, "/dead-letters", limit=PAGE))["assets"]]
        unsent = [one for root in status["watch"] for one in root["examples"]]
        return Look(synced=synced, not_sent=self._new([*unsent, *dead]), status=status)

    def _new(self, complaints: Sequence[Reply]) -> list[Reply]:
        """Return those that were not there at the last look: one that comes back is said again."""
        now = {(one["path"], one["finding"]) for one in complaints}
        new = [one for one in complaints if (one["path"], one["finding"]) not in self._complained]
        self._complained = now
        return new


def _complaint(row: Reply) -> Reply:
    error = row["error"] or {"message": "no message"}
    return {"path": row["path"], "finding": "dead", "why": error["message"]}


async def _rows(http: httpx.AsyncClient, state: str, *, after: int, limit: int) -> list[Reply]:
    rows: list[Reply] = (await _get(http, "/assets", state=state, after=after, limit=limit))["assets"]
    return rows


async def _get(http: httpx.AsyncClient, path: str, **query: str | int) -> Reply:
    answer = (await http.get(path, params=query)).raise_for_status()
    reply: Reply = answer.json()
    return reply
