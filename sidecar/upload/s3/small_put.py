"""Makes a PUT of a body that is in memory, on aiohttp's connections without aiohttp's requests.

A request and an answer of aiohttp cost several times what the PUT of 32 KiB itself does. Here head and body
go in one write. What decides over safety is aiohttp's still: the pool and its limit, resolving, TLS, the
parser with its bounds, the failures and their names.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import StreamReader
from yarl import URL

from .bounded import body_of, text_of
from .connection import REQUEST_TIMEOUT, ServerBehaviour, sent_alive
from .payload import RangePayload
from .plain_answer import Answer, AnswerParser

_FINAL_STATUS = 200  # below it an answer is not yet the answer


class SmallPuts:
    """Makes such PUTs in one session. None of them goes through a proxy."""

    def __init__(self, *, tls: Callable[[], Awaitable[ssl.SSLContext]], behaviour: ServerBehaviour) -> None:
        """``behaviour`` is the session's own."""
        self._tls, self._behaviour = tls, behaviour
        self._origins: dict[str, aiohttp.ClientRequest] = {}

    async def put(
        self, session: aiohttp.ClientSession, origin: str, head: bytes, body: RangePayload
    ) -> Answer:
        """Send it, once more where its connection was dead. Raises what aiohttp raises."""
        known = self._origins.get(origin) or await self._origin(origin, session)
        request = _Request(known, session=session, behaviour=self._behaviour, head=head, body=body)
        return await sent_alive(request.send, [request], self._behaviour)

    async def _origin(self, origin: str, session: aiohttp.ClientSession) -> aiohttp.ClientRequest:
        """Return a request to an origin, for which aiohttp makes connections."""
        context = await self._tls() if origin.startswith("https:") else True
        loop = asyncio.get_running_loop()
        made = aiohttp.ClientRequest("PUT", URL(origin), ssl=context, loop=loop, session=session)
        return self._origins.setdefault(origin, made)


class _Request:
    """One PUT. Whether it goes again is its sender's to say."""

    def __init__(
        self,
        origin: aiohttp.ClientRequest,
        *,
        session: aiohttp.ClientSession,
        behaviour: ServerBehaviour,
        head: bytes,
        body: RangePayload,
    ) -> None:
        self._origin, self._session, self._behaviour = origin, session, behaviour
        self._head, self._body = head, body
        self.is_kept = False  # on a connection that has carried others

    @property
    def may_go_again(self) -> bool:
        """Whether, its connection dead, it was surely not carried out."""
        return not self._body.is_sent

    async def send(self) -> Answer:
        """Send it, and read the answer. Raises DeadConnectionError, and what aiohttp raises."""
        self.is_kept = False
        connector = self._session.connector
        assert connector is not None  # noqa: S101 - aiohttp's own certainty, for the type checker
        try:
            try:
                connection = await connector.connect(self._origin, traces=[], timeout=self._session.timeout)
            except TimeoutError as error:
                message = f"Connection timeout to {self._origin.url}"
                raise aiohttp.ConnectionTimeoutError(message) from error
            try:
                answer = await self._exchanged(connection.protocol)
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
            self._behaviour.freed(connection.protocol)
            connection.release()
        return answer

    async def _exchanged(self, protocol: ResponseHandler | None) -> Answer:
        assert protocol is not None  # noqa: S101 - the same
        self.is_kept = self._behaviour.take(protocol)
        if (transport := protocol.transport) is None or transport.is_closing():
            raise aiohttp.ClientConnectionResetError("the connection broke before anything was sent on it")
        AnswerParser(protocol)
        self._body.write_at_once(transport, self._head)
        try:
            message, content = cast("tuple[Any, StreamReader]", await protocol.read())
            if isinstance(message, Answer):
                return message
            while message.code < _FINAL_STATUS:
                message, content = await protocol.read()
        except HttpProcessingError as error:
            about = self._origin.request_info
            raise aiohttp.ClientResponseError(about, (), status=error.code, message=error.message) from error
        return Answer(message.code, text_of(message.raw_headers), await body_of(content, message.headers))


def head_of(target: str, headers: Mapping[str, str]) -> bytes:
    """Return a PUT's head. Raises ValueError for what would end a line of it early."""
    text = "\r\n".join([f"PUT {target} HTTP/1.1", *map(": ".join, headers.items()), "\r\n"])
    ends = len(headers) + 2
    if text.count("\n") != ends or text.count("\r") != ends or "\0" in text:
        raise ValueError("a header of a request holds the end of a line")
    return text.encode()
