"""Makes one POST and reads its answer, whatever the connections do: bounded in size, and unpacked.

A connection that idled for four seconds is not used again. A kept one that breaks under its request before a
byte of an answer is nobody's fault: the call is sent again, since every call of ours may arrive twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp

from sidecar.core.clock import RemoteClock
from sidecar.core.content_encoding import unpacked

from . import errors
from .deadline import Deadline
from .http import CONNECTIONS_MAX, Http, Trip

ANSWER_BYTES_MAX = 4 * 1024 * 1024  # 100 results are some 20 KiB
_BROKEN = (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError, aiohttp.ClientResponseError)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, its body unpacked."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Exchange:
    """Sends again while a connection that was kept is dead: every call of ours may arrive twice."""

    def __init__(self, http: Http, remote_clock: RemoteClock) -> None:
        """``remote_clock`` learns from every answer."""
        self._http, self._remote_clock = http, remote_clock

    async def post(
        self, path: str, body: bytes, headers: Mapping[str, str], *, seconds: float, target: str
    ) -> Reply:
        """Return the answer; ``seconds`` is the limit on standing still. Raises SidecarError."""
        trips = list[Trip]()
        reply = None
        try:
            with Deadline(seconds) as progress:
                while reply is None:
                    trips.append(trip := Trip(progress))
                    is_last = len(trips) > CONNECTIONS_MAX
                    reply = await self._sent(path, body, headers, trip, is_last=is_last)
        except TimeoutError as error:
            raise errors.of_time(error, seconds, operation="call", target=target) from None
        except aiohttp.ClientError as error:
            was_sent = any(trip.is_sent for trip in trips)
            raise errors.of_transport(error, operation="call", target=target, was_sent=was_sent) from None
        return reply

    async def _sent(
        self, path: str, body: bytes, headers: Mapping[str, str], trip: Trip, *, is_last: bool
    ) -> Reply | None:
        """Send it once; None if its connection was a kept one that was dead. Raises aiohttp.ClientError."""
        try:
            reply = await self._answer(path, body, headers, trip)
        except _BROKEN:
            if not trip.is_kept or trip.is_answered or is_last:
                raise
            return None
        was_to_us = not trip.is_kept or reply.status != HTTPStatus.REQUEST_TIMEOUT
        return reply if was_to_us or is_last else None

    async def _answer(self, path: str, body: bytes, headers: Mapping[str, str], trip: Trip) -> Reply:
        async with await self._http.post(path, body, headers, trip) as response:
            trip.is_answered = True
            self._remote_clock.learn(response.headers.get("Date"))  # the first: a front adds its own
            answer = bytearray()
            async for data in response.content.iter_any():
                trip.progress.moved(len(data))
                answer += data
                if len(answer) > ANSWER_BYTES_MAX:
                    raise errors.malformed("a huge one", operation="call", target=path)
        return Reply(response.status, response.headers, _unpacked(response, bytes(answer), path))


def _unpacked(response: aiohttp.ClientResponse, answer: bytes, path: str) -> bytes:
    try:
        encoding = ",".join(response.headers.getall("Content-Encoding", ()))
        return unpacked(answer, encoding, bytes_max=ANSWER_BYTES_MAX)
    except ValueError as error:
        raise errors.malformed(str(error), operation="call", target=path) from error
