"""Bounds S3's answers: whoever answers may not fill our memory, nor send us elsewhere.

botocore reads an answer whole and makes a tree of it, which costs some 100 bytes a tag. A full page of
1,000 keys is about 1 MB and 25,000 tags. Time is bounded by the call's deadline, headers by aiohttp.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

import aiohttp
from aiohttp.streams import StreamReader
from aiohttp.typedefs import RawHeaders
from multidict import CIMultiDictProxy

from sidecar.core.content_encoding import unpacked

ANSWER_BYTES_MAX = 8 * 1024 * 1024
TAGS_MAX = 50_000
READ: ContextVar[Callable[[int], None] | None] = ContextVar("READ", default=None)  # hears of what comes in


class HugeAnswerError(aiohttp.ClientPayloadError):
    """An answer that no S3 gives; as a broken connection, it says nothing of what was carried out."""


async def body_of(
    content: StreamReader, headers: CIMultiDictProxy[str], heard: Callable[[int], None] | None
) -> bytes:
    """Return the whole body of an answer; ``heard`` is told what comes in.

    Raises HugeAnswerError, ClientPayloadError.
    """
    if content.at_eof():
        return b""
    body = bytearray()
    async for piece in content.iter_any():
        body += piece
        if heard is not None:
            heard(len(piece))
        if len(body) > ANSWER_BYTES_MAX:
            raise HugeAnswerError(f"an answer of more than {ANSWER_BYTES_MAX} bytes")
    plain = _unpacked(bytes(body), ",".join(headers.getall("Content-Encoding", ())))
    if plain.count(b"<") > 2 * TAGS_MAX:
        raise HugeAnswerError(f"an answer of more than {TAGS_MAX} elements")
    return plain


def _unpacked(body: bytes, encoding: str) -> bytes:
    try:
        return unpacked(body, encoding, bytes_max=ANSWER_BYTES_MAX)
    except ValueError as error:
        raise HugeAnswerError(str(error)) from error


def text_of(raw_headers: RawHeaders) -> dict[str, str]:
    """Return headers as text, by lower-case names; of two with one name the first counts."""
    raw = raw_headers[::-1]
    plain = b"\n".join(map(b"\n".join, raw))  # no name and no value holds the end of a line
    if plain.isascii() and raw:
        lines = plain.decode().split("\n")
        if len(lines) == 2 * len(raw):
            return dict(zip(map(str.lower, lines[::2]), lines[1::2], strict=True))
    return {_text(name).lower(): _text(value) for name, value in raw}


class BoundedResponse(aiohttp.ClientResponse):
    """Reads at most so much, and drops the connection of a server that says more."""

    @property
    def raw_headers(self) -> RawHeaders:
        """The headers as aiobotocore takes them: UTF-8, and of two with one name the last counts.

        Bytes that are no UTF-8 are Latin-1. What a front adds comes after S3's own: the first shall count.
        """
        return tuple((_utf8(name), _utf8(value)) for name, value in reversed(super().raw_headers))

    @property
    def said(self) -> dict[str, str]:
        """The same as text, by lower-case names."""
        return text_of(super().raw_headers)

    async def read(self) -> bytes:
        """Return the whole body. Raises HugeAnswerError, ClientPayloadError."""
        if self._body is None:
            try:
                self._body = await body_of(self.content, self.headers, READ.get())
            except BaseException:
                self.close()  # aiobotocore would leave the connection to the garbage collector
                raise
        return self._body


def _utf8(raw: bytes) -> bytes:
    return _text(raw).encode()


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
