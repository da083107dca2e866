"""Makes one POST and reads its answer, whatever the connections do: bounded in size, and unpacked.

A connection that idled for four seconds is not used again. A kept one that breaks under its request before a
byte of an answer is nobody's fault: the call is sent again, since every call of ours may arrive twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from sidecar.core.clock import RemoteClock
from sidecar.core.content_encoding import unpacked

from . import errors
from .deadline import Deadline

ANSWER_BYTES_MAX = 4 * 1024 * 1024  # 100 results are some 20 KiB
CONNECTIONS_MAX = 16
KEPT_SECONDS = 4.0  # what idles longer is not used again: servers and balancers cut after 5 or more
_BROKEN = (httpx.ReadError, httpx.WriteError, httpx.CloseError, httpx.RemoteProtocolError)


@dataclass(slots=True)
class _Trip:
    """What httpcore tells of a request: whether a connection was made for it, whether its answer began."""

    progress: Deadline
    connected: bool = False
    answered: bool = False

    async def trace(self, event: str, about: Mapping[str, Any]) -> None:
        """Take in an event."""
        self.progress.stepped(event, about)
        self.connected |= event.startswith("connection.connect")
        self.answered |= event.endswith("receive_response_headers.complete")


class Exchange:
    """Sends again while a connection that was kept is dead: every call of ours may arrive twice."""

    def __init__(self, http: httpx.AsyncClient, remote_clock: RemoteClock) -> None:
        """``remote_clock`` learns from every answer."""
        self._http, self._remote_clock = http, remote_clock

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, seconds: float
    ) -> tuple[httpx.Response, bytes]:
        """Return the answer and its body; ``seconds`` is the limit on standing still.

        Raises TimeoutError (TooSlowError), httpx.TransportError, SidecarError for what is not ours.
        """
        async with Deadline(seconds) as progress:
            for _ in range(CONNECTIONS_MAX):
                trip = _Trip(progress)
                try:
                    response, answer = await self._sent(url, body, headers, trip)
                except _BROKEN:
                    if trip.connected or trip.answered:
                        raise
                else:
                    if trip.connected or response.status_code != httpx.codes.REQUEST_TIMEOUT:
                        return response, answer  # else it was said to the idle connection, not to us
            return await self._sent(url, body, headers, _Trip(progress))

    async def _sent(
        self, url: str, body: bytes, headers: Mapping[str, str], trip: _Trip
    ) -> tuple[httpx.Response, bytes]:
        call = self._http.stream(
            "POST",
            url,
            content=trip.progress.pieces(body),
            headers={**headers, "Content-Length": str(len(body))},
            extensions={"trace": trip.trace},
        )
        async with call as response:
            said = response.headers.get_list("Date")
            self._remote_clock.learn(next(iter(said), None))  # a front adds its own
            answer = bytearray()
            async for data in response.aiter_raw():
                trip.progress.moved(len(data))
                answer += data
                if len(answer) > ANSWER_BYTES_MAX:
                    raise errors.malformed("a huge one", operation="call", target=url)
        return response, _unpacked(response, bytes(answer), url)


def _unpacked(response: httpx.Response, answer: bytes, url: str) -> bytes:
    try:
        return unpacked(answer, response.headers.get("Content-Encoding", ""), bytes_max=ANSWER_BYTES_MAX)
    except ValueError as error:
        raise errors.malformed(str(error), operation="call", target=url) from error
