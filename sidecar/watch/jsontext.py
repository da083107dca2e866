"""JSON objects and arrays: whole if they parse, incomplete if they merely stop."""

from __future__ import annotations

import json
import re

from .form import COMPLETE, UNKNOWN, Structure, incomplete, read_at

SIZE_BYTES_MAX = 1024 * 1024  # parsing costs 25 x as much memory, and holds the interpreter
END_BYTES = 4096
_CLOSING = {b"{": b"}", b"[": b"]"}
_HALF_TOKEN = re.compile(r"[\w+.\\-]*")  # what a cut can leave of a number, a literal or an escape
_CUT = incomplete("the JSON text stops in the middle: its writer was killed or is not done")


def judge(fd: int, size_bytes: int) -> Structure:
    """Parse; anything that is not JSON for another reason than its end settles."""
    if size_bytes > SIZE_BYTES_MAX:
        return _judge_ends(fd, size_bytes)
    try:
        text = read_at(fd, 0, size_bytes).decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        return _CUT if error.reason == "unexpected end of data" else UNKNOWN
    return _parse(text) if text[:1] in {"{", "["} else UNKNOWN


def _judge_ends(fd: int, size_bytes: int) -> Structure:
    """Look at both ends of what is too large to parse: without its last bracket it is not whole."""
    closing = _CLOSING.get(read_at(fd, 0, END_BYTES).lstrip()[:1])
    end = read_at(fd, size_bytes - END_BYTES, END_BYTES).rstrip()
    return UNKNOWN if closing is None or not end or end.endswith(closing) else _CUT


def _parse(text: str) -> Structure:
    try:
        json.loads(text, parse_int=_unread, parse_float=_unread)
    except json.JSONDecodeError as error:
        return _CUT if _stops(text, error) else UNKNOWN
    except RecursionError:
        return UNKNOWN
    return COMPLETE


def _unread(_: str) -> None:
    """Leave a number as it is: making one of thousands of digits is refused by Python."""


def _stops(text: str, error: json.JSONDecodeError) -> bool:
    """Tell a text that was cut off from one that is wrong somewhere."""
    if error.msg.startswith(("Unterminated string", "Extra data")):
        return error.msg.startswith("Unterminated")
    return _HALF_TOKEN.fullmatch(text, error.pos) is not None
