r"""Makes text of file names, which are bytes and may be hostile, fit to leave the process or be shown."""

from __future__ import annotations

import re
import unicodedata

_HALF = re.compile("[\ud800-\udc7f\udd00-\udfff]")  # no byte of a name; a JSON text may hold one alone


def utf8(text: str) -> str:
    r"""Return text that UTF-8 can carry: bytes of a name that are not UTF-8 become ``\xff``."""
    whole = _HALF.sub(lambda found: escape(found[0]), text)
    return whole.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def printable(text: str) -> str:
    r"""Return one line that drives no terminal: control characters become ``\u001b``."""
    return "".join(char if char.isprintable() else escape(char) for char in utf8(text))


def cells(text: str) -> int:
    """Return how many columns of a terminal a printable text takes."""
    return sum(_cells_of(char) for char in text)


def shortened(text: str, width: int) -> str:
    """Return a text in at most ``width`` columns: of a longer one the middle goes, most of its end stays."""
    if cells(text) <= width:
        return text
    head = cropped(text, max(0, (width - 1) // 3))
    tail = cropped(text[::-1], max(0, width - 1 - cells(head)))[::-1]
    return f"{head}…{tail}"[: max(0, width)]


def cropped(text: str, width: int) -> str:
    """Return as much of a text's beginning as ``width`` columns hold."""
    taken = 0
    for at, char in enumerate(text):
        taken += _cells_of(char)
        if taken > width:
            return text[:at]
    return text


def _cells_of(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def escape(char: str) -> str:
    r"""Return a character as ``\uXXXX``, or ``\UXXXXXXXX`` where four digits do not hold it."""
    code = ord(char)
    return f"\\u{code:04x}" if code < 1 << 16 else f"\\U{code:08x}"
