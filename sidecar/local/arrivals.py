"""Reads what the daemon delivers, and what it does not send: each is said once."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from .child import ServerError

PAGE = 500
TIMEOUT_SECONDS = 30.0
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # made once, and never used: the endpoint is on this machine
OPEN = frozenset({"discovered", "ready", "uploaded"})
PAUSED = frozenset({"dead", "abandoned"})  # may go on one day
Reply = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivalReport:
    """What is new since the last one, and the reply of /status."""

    synced: Sequence[Reply]
    not_sent: Sequence[Reply]  # path, finding, why
    status: Reply


@dataclass(slots=True, kw_only=True)
class Arrivals:
    """A reader of the local endpoint."""

    url: str
    socket: Path | None = None  # asked by it, where there is one
    _shown: set[int] = field(default_factory=set)
    _complained: set[tuple[str, str]] = field(default_factory=set)
    _paused: set[int] = field(default_factory=set)
    _ended: int = 0  # up to here all but the paused had ended at the last look

    async def look(self) -> ArrivalReport:
        """Return what is new. Raises ServerError when the daemon does not answer."""
        try:
            by = httpx.AsyncHTTPTransport(
                uds=None if self.socket is None else str(self.socket), trust_env=False, verify=NO_TLS
            )
            async with httpx.AsyncClient(base_url=self.url, transport=by, timeout=TIMEOUT_SECONDS) as http:
                return await self._look(http)
        except (httpx.HTTPError, ValueError) as error:
            raise ServerError(f"the sidecar does not answer: {error!r}") from error

    async def _look(self, http: httpx.AsyncClient) -> ArrivalReport:
        """Read all, and only then take it for told: where one answer is missing, the next look tells it.

        Rows are read from the first that had not ended; what is paused no more may be before it.
        """
        dead = [row async for row in _rows(http, "/dead-letters")]
        abandoned = [row async for row in _rows(http, "/assets", state="abandoned")]
        paused = {row["id"] for row in (*dead, *abandoned)}
        after = min([self._ended, *(number - 1 for number in self._paused - paused)])
        rows = [row async for row in _rows(http, "/assets", after=after)]
        status = await _get(http, "/status")
        unsent = [one for root in status["watch"] for one in root["examples"]]
        self._paused = paused | {row["id"] for row in rows if row["state"] in PAUSED}
        self._ended = _ended(rows, after)
        synced = [row for row in rows if _has_arrived(row) and row["id"] not in self._shown]
        self._shown.update(row["id"] for row in synced)
        return ArrivalReport(
            synced=synced, not_sent=self._new([*unsent, *map(_complaint, dead)]), status=status
        )

    def _new(self, complaints: Sequence[Reply]) -> list[Reply]:
        """Return those that were not there at the last look: one that comes back is said again."""
        now = {(one["path"], one["finding"]) for one in complaints}
        new = [one for one in complaints if (one["path"], one["finding"]) not in self._complained]
        self._complained = now
        return new


def _complaint(row: Reply) -> Reply:
    error = row["error"] or {"message": "no message"}
    return {"path": row["path"], "finding": "dead", "why": error["message"]}


def _has_arrived(row: Reply) -> bool:
    """Tell whether Convex has shown it, also if newer content or a deletion has overtaken it meanwhile."""
    return row["state"] == "synced" or row["synced_at"] is not None


def _ended(rows: Sequence[Reply], after: int) -> int:
    """Return the number up to which no row is open."""
    lowest = next((row["id"] for row in rows if row["state"] in OPEN), None)
    return lowest - 1 if lowest is not None else rows[-1]["id"] if rows else after


async def _rows(http: httpx.AsyncClient, path: str, *, after: int = 0, **query: str) -> AsyncIterator[Reply]:
    """Yield all rows of a list, page by page."""
    number: int | None = after
    while number is not None:
        page = await _get(http, path, after=number, limit=PAGE, **query)
        for row in page["assets"]:
            yield row
        number = page["next"]


async def _get(http: httpx.AsyncClient, path: str, **query: str | int) -> Reply:
    answer = (await http.get(path, params=query)).raise_for_status()
    reply: Reply = answer.json()
    return reply
