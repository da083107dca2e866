"""JSON objects and arrays: whole if they parse, incomplete if they merely stop."""

from __future__ import annotations

import json
import re

from .base import UNKNOWN, BoundedReader, Structure, complete, torn

SIZE_BYTES_MAX = 1024 * 1024  # parsing costs 25 x as much memory, and holds the interpreter
END_BYTES = 4096
_CLOSING = {b"{": b"}", b"[": b"]"}
_BOM = b"\xef\xbb\xbf"
_PADDING = "\0\t\n\r "  # NUL: what a file system leaves where a power cut ended the writing
_HALF_TOKEN = re.compile(r"[\w+.\\-]*")  # what a cut can leave of a number, a literal or an escape
_CUT = torn("the JSON text stops in the middle")
_EMPTY = torn("there is no JSON in the file")
_HALF_CHARACTER = ("unexpected end of data", "truncated data")


def judge(source: BoundedReader, _start: int) -> Structure:
    """Parse; anything that is not JSON for another reason than its end settles."""
    if source.size > SIZE_BYTES_MAX:
        return _judge_ends(source)
    content = source.at(0, source.size)
    encoding = json.detect_encoding(content)  # PowerShell writes UTF-16
    if encoding.startswith("utf-8"):
        content = content.rstrip(b"\0")  # they may follow half a character
    try:
        text = content.decode(encoding).strip(_PADDING)
    except UnicodeDecodeError as error:
        return _CUT if error.reason in _HALF_CHARACTER else UNKNOWN
    if not text:
        return _EMPTY
    return _parse(text, source.size) if text[0] in "{[" else UNKNOWN


def _judge_ends(source: BoundedReader) -> Structure:
    """Look at both ends of what is too large to parse: without its last bracket it is not whole."""
    closing = _CLOSING.get(source.at(0, END_BYTES).removeprefix(_BOM).lstrip()[:1])
    end = source.at(source.size - END_BYTES, END_BYTES).rstrip(_PADDING.encode())
    return UNKNOWN if closing is None or not end or end.endswith(closing) else _CUT


def _parse(text: str, size: int) -> Structure:
    try:
        json.loads(text, parse_int=_unread, parse_float=_unread)
    except json.JSONDecodeError as error:
        return _CUT if _stops(text, error) else UNKNOWN
    except RecursionError:
        return UNKNOWN
    return complete(size)


def _unread(_: str) -> None:
    """Leave a number as it is: making one of thousands of digits is refused by Python."""


def _stops(text: str, error: json.JSONDecodeError) -> bool:
    """Tell a text that was cut off from one that is wrong somewhere."""
    if error.msg.startswith(("Unterminated string", "Extra data")):
        return error.msg.startswith("Unterminated")
    return _HALF_TOKEN.fullmatch(text, error.pos) is not None
