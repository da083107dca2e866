"""S3's answers, bounded: whoever answers may not fill our memory, nor send us elsewhere.

botocore reads an answer whole and makes a tree of it, which costs some 100 bytes a tag. A full page of
1,000 keys is about 1 MB and 25,000 tags. Time is bounded by the call's deadline, headers by aiohttp.
"""

from __future__ import annotations

from typing import Any

import aiohttp
from aiobotocore.httpsession import AIOHTTPSession

ANSWER_BYTES_MAX = 8 * 1024 * 1024
TAGS_MAX = 50_000
_QUESTIONS = frozenset({"GET", "HEAD"})


class HugeAnswerError(aiohttp.ClientPayloadError):
    """An answer that no S3 gives; as a broken connection, it says nothing of what was carried out."""


class BoundedResponse(aiohttp.ClientResponse):
    """Reads at most so much, and drops the connection of a server that says more."""

    async def read(self) -> bytes:
        """Return the whole body. Raises HugeAnswerError."""
        if self._body is None:
            body = bytearray()
            async for piece in self.content.iter_any():
                body += piece
                if len(body) > ANSWER_BYTES_MAX:
                    self.close()
                    raise HugeAnswerError(f"an answer of more than {ANSWER_BYTES_MAX} bytes")
            if body.count(b"<") > 2 * TAGS_MAX:
                raise HugeAnswerError(f"an answer of more than {TAGS_MAX} elements")
            self._body = bytes(body)
        return self._body


class Unredirected:
    """An aiohttp session that hands a redirect back as the answer, and changes nothing twice.

    aiohttp would follow it with the renderer's bytes and the session token, to whatever host it names.
    """

    def __init__(self, session: aiohttp.ClientSession) -> None:
        """Take the place of a session."""
        self._session = session

    async def request(self, method: str, **arguments: Any) -> aiohttp.ClientResponse:
        """Make a request; a question again, once, where the connection that was kept for it is dead."""
        try:
            return await self._session.request(method, allow_redirects=False, **arguments)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            if method not in _QUESTIONS or isinstance(error, aiohttp.ClientConnectorError):
                raise
        return await self._session.request(method, allow_redirects=False, **arguments)


class BoundedSession(AIOHTTPSession):  # type: ignore[misc] # aiobotocore is untyped
    """The client's HTTP session, with bounded answers from nobody but S3."""

    async def _get_session(self, proxy_url: str | None) -> Any:
        known = proxy_url in self._sessions
        session = await super()._get_session(proxy_url)
        if not known:
            session._response_class = BoundedResponse  # noqa: SLF001 - it is made inside, without a say
            # aiohttp would send a PUT again by itself where a used connection breaks: a second version.
            session._retry_connection = False  # noqa: SLF001 - the same
        return Unredirected(session)
