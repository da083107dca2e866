"""Makes requests on connections as they are: some are dead when used, some stores know no 100 Continue.

``100 Continue`` is waited for a second, 417 is repeated without ``Expect``, and a store that takes neither
is remembered. A kept connection may have been cut while it idled, by a balancer or by the store. One that
idled for four seconds, was cut, or says what nobody asked is not used again.

Whoever sends on a dead connection learns nothing of what became of the request. That is nobody's fault if it
broke before a byte of an answer. What does no harm twice, or cannot have been whole, goes again at once; a
PUT goes after a HEAD, a Create with a recheck that sees to the first one. For ten seconds then no other used
connection is trusted.
"""

from __future__ import annotations

import asyncio
import select
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

import aiohttp
from aiohttp import hdrs
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from multidict import CIMultiDict

from sidecar.connections.idle import ear_of, is_dead

from .payload import RangePayload

BUSY_SECONDS = 0.25  # what idled no longer is used without a look: so soon it is cut under requests as well
DISTRUST_SECONDS = 10.0  # after one that was kept broke under its request no other is used again
REQUEST_TIMEOUT, EXPECTATION_FAILED = 408, 417
CONTINUE_SECONDS = 1.0  # then the body goes without the store's word, as RFC 9110 has it
_SILENCES_MAX = 3
_HARMLESS_TWICE = frozenset({"GET", "HEAD", "DELETE"})


class DeadConnectionError(aiohttp.ServerDisconnectedError):
    """A connection that was kept was found dead before anything was sent on it."""


class StaleConnectionError(aiohttp.ServerDisconnectedError):
    """A connection that was kept broke before a byte of an answer: the request may have been carried out."""


@dataclass(slots=True)
class _Used:
    """A connection that has carried a request: what tells whether it was cut, and when it became free."""

    ear: select.poll
    free_at: float = float("-inf")  # monotonic, as far as that was said


@dataclass(slots=True)
class ServerBehaviour:
    """What a store made of ``Expect: 100-continue`` so far, and of the connections that it has seen."""

    asks: bool = True
    used: WeakKeyDictionary[ResponseHandler, _Used] = field(default_factory=WeakKeyDictionary)
    distrusted_until: float = 0.0  # monotonic
    _silences: int = 0

    def take(self, protocol: ResponseHandler) -> bool:
        """Take a connection; return whether it has carried requests before. Raises DeadConnectionError."""
        used = self.used.get(protocol)
        if used is None:
            if (transport := protocol.transport) is not None:
                self.used[protocol] = _Used(ear_of(transport))
            return False
        now = time.monotonic()
        is_busy = now - used.free_at <= BUSY_SECONDS
        if now < self.distrusted_until or is_dead(protocol, None if is_busy else used.ear):
            raise DeadConnectionError
        return True

    def freed(self, protocol: ResponseHandler | None, at: float) -> None:
        """Remember when (monotonic) a connection became free for others."""
        if protocol is not None and (used := self.used.get(protocol)) is not None:
            used.free_at = at

    def distrust(self) -> None:
        """Trust no connection that was kept, for a while."""
        self.distrusted_until = time.monotonic() + DISTRUST_SECONDS

    def refused(self) -> None:
        """Remember that the store does not take the question, so that it is not asked again."""
        self.asks = False

    def learn(self, request: Request, status: int) -> None:
        """Take in an answer. A second per body is too much for a store that never says a word."""
        if request.continued is None or status >= 300:  # noqa: PLR2004 - HTTP's own number
            return
        self._silences = 0 if request.continued else self._silences + 1
        self.asks = self._silences < _SILENCES_MAX


class Request(aiohttp.ClientRequest):
    """One request. It notices a dead connection before it sends, and waits a second for 100 Continue."""

    def __init__(self, *arguments: Any, behaviour: ServerBehaviour, **named: Any) -> None:
        """Take what aiohttp gives, and what is known of the store."""
        super().__init__(*arguments, **named)
        self._behaviour = behaviour
        self.is_kept = False  # on a connection that has carried others
        self.continued: bool | None = None  # whether 100 Continue came in time; None: it was not waited for

    def update_headers(self, headers: Any) -> None:
        """Take headers as they are where they name the host: they were made, and signed, for this request."""
        if isinstance(headers, CIMultiDict) and hdrs.HOST in headers:
            self.headers = headers
        else:
            super().update_headers(headers)

    @property
    def may_go_again(self) -> bool:
        """Whether, its connection dead, it was surely not carried out, or does no harm twice."""
        body = self.body
        cut = isinstance(body, RangePayload) and not body.is_sent
        return cut or self.method in _HARMLESS_TWICE or "uploadId" in self.url.query

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        """Send it. Raises DeadConnectionError, and nothing was sent."""
        protocol = conn.protocol
        assert protocol is not None  # noqa: S101 - aiohttp's own certainty, for the type checker
        self.is_kept = self._behaviour.take(protocol)
        return await super().send(conn)

    async def write_bytes(
        self, writer: AbstractStreamWriter, conn: Connection, content_length: int | None = None
    ) -> None:
        """Send the body: after 100 Continue, or when that was waited for long enough."""
        word = self._continue
        if word is None:
            await super().write_bytes(writer, conn, content_length)
            return
        word.add_done_callback(self._note)
        timer = asyncio.get_running_loop().call_later(CONTINUE_SECONDS, _go_on, word)
        try:
            await super().write_bytes(writer, conn, content_length)
        finally:
            timer.cancel()

    def _note(self, word: asyncio.Future[bool]) -> None:
        self.continued = None if word.cancelled() else word.result()


def _go_on(word: asyncio.Future[bool]) -> None:
    if not word.done():
        word.set_result(False)


class Session:
    """An aiohttp session that hands a redirect back as the answer, and changes nothing twice.

    aiohttp would follow it with the renderer's bytes and the session token, to whatever host it names.
    """

    def __init__(self, session: aiohttp.ClientSession, behaviour: ServerBehaviour) -> None:
        """Take the place of a session whose requests are ``Request``."""
        self._session, self._behaviour = session, behaviour

    async def request(self, method: str, *, headers: Any, **arguments: Any) -> aiohttp.ClientResponse:
        """Make a request; without ``Expect`` where the store does not take that."""
        if not self._behaviour.asks:
            headers.pop("Expect", None)
        answer = await self._sent(method, headers=headers, **arguments)
        if answer.status == EXPECTATION_FAILED and headers.pop("Expect", None):
            self._behaviour.refused()
            answer.close()
            answer = await self._sent(method, headers=headers, **arguments)
        return answer

    async def _sent(self, method: str, **arguments: Any) -> aiohttp.ClientResponse:
        made: list[Request] = []

        async def send() -> aiohttp.ClientResponse:
            made.clear()
            return await self._session.request(
                method, allow_redirects=False, middlewares=(_noting(made),), **arguments
            )

        answer = await sent_alive(send, made, self._behaviour)
        self._behaviour.learn(made[0], answer.status)
        return answer


class Attempt(Protocol):
    """What was sent."""

    is_kept: bool

    @property
    def may_go_again(self) -> bool:
        """Whether, its connection dead, it was surely not carried out, or does no harm twice."""


class AnyAnswer(Protocol):
    """What came back."""

    @property
    def status(self) -> int:
        """HTTP's."""

    def close(self) -> None:
        """Give up what was not read."""


A = TypeVar("A", bound=AnyAnswer)


async def sent_alive(
    send: Callable[[], Awaitable[A]], made: Sequence[Attempt], behaviour: ServerBehaviour
) -> A:
    """Send; again while connections that were kept are dead. Raises StaleConnectionError.

    ``made`` holds what ``send`` sent, once a connection was had for it.
    """
    while True:
        try:
            answer = await send()
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            require_again(error, made[0], behaviour)
        else:
            if is_for_us(answer, made[0], behaviour):
                return answer


def require_again(error: Exception, attempt: Attempt, behaviour: ServerBehaviour) -> None:
    """Return if a request that failed may go again at once; else raise. Raises StaleConnectionError."""
    if isinstance(error, DeadConnectionError):
        return
    if not attempt.is_kept:
        raise error
    behaviour.distrust()
    if not attempt.may_go_again:
        raise StaleConnectionError(str(error)) from error


def is_for_us(answer: AnyAnswer, attempt: Attempt, behaviour: ServerBehaviour) -> bool:
    """Tell whether an answer is one to the request: not a 408, which was said to the idle connection."""
    if answer.status != REQUEST_TIMEOUT or not attempt.is_kept:
        return True
    answer.close()
    behaviour.distrust()
    return False


def _noting(made: list[Request]) -> Callable[..., Any]:
    async def note(request: Request, handler: Callable[[Request], Any]) -> aiohttp.ClientResponse:
        made.append(request)
        answer: aiohttp.ClientResponse = await handler(request)
        return answer

    return note
