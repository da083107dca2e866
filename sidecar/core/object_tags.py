"""Keeps tags within what S3 takes, since a tag that it refuses would keep the object from being stored."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from urllib.parse import quote, urlencode

TAGS_MAX = 10
KEY_CHARS_MAX = 128
VALUE_CHARS_MAX = 256  # in UTF-16, as S3 counts
_KEY = re.compile(r"[A-Za-z0-9 _.:/=+@-]+")
_UTF16_BYTES = 2


def check_key(text: str) -> str:
    """Return a tag's key. Raises ValueError for one that S3 would refuse."""
    if not _KEY.fullmatch(text) or len(text) > KEY_CHARS_MAX or text.lower().startswith("aws:"):
        raise ValueError(
            f"{text!r} is no tag's key; write 1 to 128 letters, digits, blanks and _ . : / = + - @, not aws:"
        )
    return text


def valid(tags: Mapping[str, str]) -> dict[str, str]:
    """Return tags with values that S3 takes: what it does not know becomes ``_``, what is too long is cut."""
    return {key: _value(text) for key, text in tags.items()}


def header(tags: Mapping[str, str]) -> str:
    """Return the header ``x-amz-tagging``; "" for none."""
    return urlencode(tags, quote_via=quote, safe="")


def _value(text: str) -> str:
    composed = unicodedata.normalize("NFC", text)
    taken = "".join(char if _is_taken(char) else "_" for char in composed)
    cut = taken.encode("utf-16-le")[: VALUE_CHARS_MAX * _UTF16_BYTES]
    return cut.decode("utf-16-le", errors="ignore").strip()


def _is_taken(char: str) -> bool:
    category = unicodedata.category(char)
    return category[0] in "LN" or category == "Zs" or char in "_.:/=+-@"
