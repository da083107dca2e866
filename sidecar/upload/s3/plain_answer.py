"""Reads the answer that nearly every PUT gets: a 200 in one piece, with headers alone.

aiohttp's parser makes a dozen objects of it. It reads all else, with its bounds and its failures: whatever is
not exactly this, in ASCII, with each name once, is given to it as it came.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from aiohttp.client_proto import ResponseHandler
from aiohttp.streams import EMPTY_PAYLOAD

ERROR_STATUS = 300  # and above: an answer that is no success
_BYTES_MAX = 8190  # aiohttp's bound on one line of an answer; here it is one on all of them
_FIELD = rb"([A-Za-z0-9-]+): ?([!-~](?:[ -~]*[!-~])?)\r\n"
_ANSWER = re.compile(rb"HTTP/1\.1 200(?: [ -~]*)?\r\n((?:%s)+)\r\n" % _FIELD)
_FIELDS = re.compile(_FIELD.decode())
_NOT_PLAIN = frozenset({"transfer-encoding", "connection", "upgrade"})


class Answer(NamedTuple):
    """An answer, read whole; the headers by lower-case names.

    ``code`` and ``should_close`` are what aiohttp's connection asks of what its parser reads.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    code: int = 200
    should_close: bool = False

    def close(self) -> None:
        """Do nothing: its connection was given back when it had been read."""


class AnswerParser:
    """Stands in for the parser of a connection until an answer comes that is not plain."""

    def __init__(self, protocol: ResponseHandler) -> None:
        """Take the place; of one answer."""
        self._protocol = protocol
        protocol._parser = self  # type: ignore[assignment] # noqa: SLF001 - it is made inside, without a say

    def feed_data(self, data: bytes) -> Any:
        """Return what aiohttp's parser does: messages with their bodies, and that nothing is left."""
        answer = plain_answer(data)
        if answer is not None:
            return [(answer, EMPTY_PAYLOAD)], False, b""
        self._protocol.set_response_params(read_until_eof=True, auto_decompress=False)
        return self._protocol._parser.feed_data(data)  # type: ignore[union-attr] # noqa: SLF001 - the same

    def feed_eof(self) -> None:
        """Hear that the connection is over, and nothing was half read."""


def plain_answer(data: bytes) -> Answer | None:
    """Return a plain answer that is all of ``data``, else None."""
    found = _ANSWER.fullmatch(data) if len(data) <= _BYTES_MAX else None
    if found is None:
        return None
    fields = _FIELDS.findall(found[1].decode())
    headers = {name.lower(): value for name, value in fields}
    usual = headers.get("content-length") == "0" and _NOT_PLAIN.isdisjoint(headers)
    return Answer(200, headers, b"") if usual and len(headers) == len(fields) else None
