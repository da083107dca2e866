"""HTTP/1.1 by hand, so that a proxy can break it anywhere: whole messages as bytes, read and written."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

HEAD_BYTES_MAX = 64 * 1024
_BODILESS = frozenset({204, 304})
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "expect", "transfer-encoding"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The first line and the headers, in order and with the names as they came."""

    line: str
    headers: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str:
        """Return a header's value, "" where there is none."""
        return next((value for key, value in self.headers if key.lower() == name), "")

    def raw(self, *more: tuple[str, str]) -> bytes:
        """Return the bytes: end-to-end headers unchanged (signatures cover them), and some more."""
        kept = [pair for pair in self.headers if pair[0].lower() not in _HOP_BY_HOP]
        lines = [self.line, *(f"{key}: {value}" for key, value in [*kept, *more])]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer; ``body`` is decoded."""

    head: Head
    body: bytes

    @property
    def status(self) -> int:
        """The status code."""
        return int(self.head.line.split(" ", 2)[1])

    def raw(self, *more: tuple[str, str]) -> bytes:
        """Return the bytes, with some more headers."""
        if self.head.get("content-length"):  # also that of a HEAD, which has no body
            return self.head.raw(*more) + self.body
        return self.head.raw(*more, ("Content-Length", str(len(self.body)))) + self.body


def answer(status: int, reason: str, body: bytes = b"", **headers: str) -> Answer:
    """Build an answer; ``_`` in a header's name stands for ``-``."""
    fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
    head = Head(line=f"HTTP/1.1 {status} {reason}", headers=(*fields, ("Content-Length", str(len(body)))))
    return Answer(head=head, body=body)


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """Return the next head, None at the end of the connection."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    line, *rest = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
    pairs = (field.partition(":") for field in rest)
    return Head(line=line, headers=tuple((name, value.strip()) for name, _, value in pairs))


async def read_body(reader: asyncio.StreamReader, head: Head) -> bytes:
    """Return a request's or an answer's body, decoded."""
    if "chunked" in head.get("transfer-encoding").lower():
        return await _chunks(reader)
    return await reader.readexactly(int(head.get("content-length") or 0))


async def read_answer(reader: asyncio.StreamReader, *, method: str) -> Answer:
    """Return the whole answer to a request. Raises ConnectionError if there is none."""
    while True:
        head = await read_head(reader)
        if head is None:
            raise ConnectionResetError("no answer")
        status = int(head.line.split(" ", 2)[1])
        if status >= 200:
            break
    if method == "HEAD" or status in _BODILESS:
        return Answer(head=head, body=b"")
    framed = head.get("content-length") or head.get("transfer-encoding")
    return Answer(head=head, body=await (read_body(reader, head) if framed else reader.read()))


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readline()
    while (await reader.readline()).strip():
        pass
    return bytes(body)
