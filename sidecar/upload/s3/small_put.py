"""Makes a PUT of a body that is in memory, on aiohttp's connections without aiohttp's requests.

A request and an answer of aiohttp cost several times what the PUT of 32 KiB itself does. Here head and body
go in one write. What decides over safety is aiohttp's still: the pool and its limit, resolving, TLS, the
parser with its bounds, the failures and their names.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import StreamReader
from yarl import URL

from .at_hand import ConnectionsAtHand
from .bounded import body_of, text_of
from .call import Call
from .connection import REQUEST_TIMEOUT, ServerBehaviour, is_for_us, require_again
from .plain_answer import Answer, AnswerParser

_FINAL_STATUS = 200  # below it an answer is not yet the answer


class SmallRequest(NamedTuple):
    """All that goes, head and body, and where to."""

    origin: str  # scheme and host
    path: str
    data: bytes

    @property
    def url(self) -> str:
        """The address."""
        return self.origin + self.path


@dataclass(slots=True)
class _Sending:
    """What became of a PUT so far. ``is_kept``: its connection has carried others."""

    is_kept: bool = False
    is_sent: bool = False

    @property
    def may_go_again(self) -> bool:
        """Whether, its connection dead, it was surely not carried out."""
        return not self.is_sent


@dataclass(frozen=True, slots=True)
class _Origin:
    """``request`` is one to it, for which aiohttp makes connections."""

    request: aiohttp.ClientRequest
    at_hand: ConnectionsAtHand


class SmallPuts:
    """Makes such PUTs in one session. None of them goes through a proxy."""

    def __init__(self, *, tls: Callable[[], Awaitable[ssl.SSLContext]], behaviour: ServerBehaviour) -> None:
        """``behaviour`` is the session's own."""
        self._tls, self._behaviour = tls, behaviour
        self._origins: dict[str, _Origin] = {}

    def close(self) -> None:
        """Give all connections back, before their session closes."""
        for origin in self._origins.values():
            origin.at_hand.close()

    async def put(self, session: aiohttp.ClientSession, request: SmallRequest, watch: Call) -> Answer:
        """Send it, once more where its connection was dead. Raises what aiohttp raises."""
        known = self._origins.get(request.origin) or await self._origin(request.origin, session)
        while True:
            sending = _Sending()
            try:
                answer = await self._sent(known, session, sending, request.data, watch)
            except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
                require_again(error, sending, self._behaviour)
            else:
                if is_for_us(answer, sending, self._behaviour):
                    return answer

    async def _origin(self, origin: str, session: aiohttp.ClientSession) -> _Origin:
        context = await self._tls() if origin.startswith("https:") else True
        loop = asyncio.get_running_loop()
        made = aiohttp.ClientRequest("PUT", URL(origin), ssl=context, loop=loop, session=session)
        return self._origins.setdefault(origin, _Origin(made, ConnectionsAtHand(self._behaviour)))

    async def _sent(
        self,
        origin: _Origin,
        session: aiohttp.ClientSession,
        sending: _Sending,
        data: bytes,
        watch: Call,
    ) -> Answer:
        """Send it once, and read the answer. Raises DeadConnectionError, and what aiohttp raises."""
        try:
            at_hand = origin.at_hand.take()
            connection = at_hand or await _connected(origin.request, session)
            try:
                protocol = connection.protocol
                assert protocol is not None  # noqa: S101 - aiohttp's own certainty, for the type checker
                sending.is_kept = at_hand is not None or self._behaviour.take(protocol)
                answer = await _answered(protocol, sending, data, watch)
            except HttpProcessingError as error:
                connection.close()
                about = origin.request.request_info
                raise aiohttp.ClientResponseError(
                    about, (), status=error.code, message=error.message
                ) from error
            except BaseException:
                connection.close()
                raise
        except (aiohttp.ClientError, TimeoutError):
            raise
        except OSError as error:  # aiohttp's requests say it so
            raise aiohttp.ClientOSError(*error.args) from error
        if answer.status == REQUEST_TIMEOUT:
            connection.close()
        else:
            origin.at_hand.give(connection)
        return answer


async def _answered(protocol: ResponseHandler, sending: _Sending, data: bytes, watch: Call) -> Answer:
    if (transport := protocol.transport) is None or transport.is_closing():
        raise aiohttp.ClientConnectionResetError("the connection broke before anything was sent on it")
    AnswerParser(protocol)
    watch.handed(transport)
    sending.is_sent = True
    transport.write(data)
    message, content = cast("tuple[Any, StreamReader]", await protocol.read())
    if isinstance(message, Answer):
        return message
    while message.code < _FINAL_STATUS:
        message, content = await protocol.read()
    return Answer(
        message.code, text_of(message.raw_headers), await body_of(content, message.headers, watch.read)
    )


async def _connected(origin: aiohttp.ClientRequest, session: aiohttp.ClientSession) -> Connection:
    connector = session.connector
    assert connector is not None  # noqa: S101 - the same
    try:
        return await connector.connect(origin, traces=[], timeout=session.timeout)
    except TimeoutError as error:
        raise aiohttp.ConnectionTimeoutError(f"Connection timeout to {origin.url}") from error
