"""Makes one POST and reads its answer, whatever the connections do: bounded in size, and unpacked.

A connection that idled for four seconds is not used again. A kept one that breaks under its request before a
byte of an answer is nobody's fault: the call is sent again, since every call of ours may arrive twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import NoReturn

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

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

    async def post(self, path: str, body: bytes, headers: Mapping[str, str], *, seconds: float) -> Reply:
        """Return the answer; ``seconds`` is the limit on standing still.

        Raises TimeoutError (TooSlowError), aiohttp.ClientError, SidecarError for what is not ours.
        """
        with Deadline(seconds) as progress:
            for _ in range(CONNECTIONS_MAX):
                trip = Trip(progress)
                try:
                    reply = await self._sent(path, body, headers, trip)
                except _BROKEN:
                    if not trip.is_kept or trip.is_answered:
                        raise
                else:
                    if not trip.is_kept or reply.status != HTTPStatus.REQUEST_TIMEOUT:
                        return reply  # else it was said to the idle connection, not to us
            return await self._sent(path, body, headers, Trip(progress))

    async def _sent(self, path: str, body: bytes, headers: Mapping[str, str], trip: Trip) -> Reply:
        async with await self._http.post(path, _Body(body, trip.progress), headers, trip) as response:
            trip.is_answered = True
            self._remote_clock.learn(response.headers.get("Date"))  # the first: a front adds its own
            answer = bytearray()
            async for data in response.content.iter_any():
                trip.progress.moved(len(data))
                answer += data
                if len(answer) > ANSWER_BYTES_MAX:
                    raise errors.malformed("a huge one", operation="call", target=path)
        return Reply(response.status, response.headers, _unpacked(response, bytes(answer), path))


class _Body(Payload):
    """A body that is in memory; its watch is told which connection it is on."""

    def __init__(self, data: bytes, progress: Deadline) -> None:
        super().__init__(data, content_type="application/json")
        self._data, self._size, self._progress = data, len(data), progress

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send it."""
        self._progress.handed(getattr(writer, "transport", None), len(self._data))
        await writer.write(self._data)

    def decode(self, _encoding: str = "utf-8", _errors: str = "strict") -> NoReturn:
        """Refuse: nobody asks."""
        raise NotImplementedError


def _unpacked(response: aiohttp.ClientResponse, answer: bytes, path: str) -> bytes:
    try:
        encoding = ",".join(response.headers.getall("Content-Encoding", ()))
        return unpacked(answer, encoding, bytes_max=ANSWER_BYTES_MAX)
    except ValueError as error:
        raise errors.malformed(str(error), operation="call", target=path) from error
