r"""File names are bytes, and may be hostile: the text that may leave the process or reach a terminal."""

from __future__ import annotations

import re

_HALF = re.compile("[\ud800-\udc7f\udd00-\udfff]")  # no byte of a name; a JSON text may hold one alone


def utf8(text: str) -> str:
    r"""Return text that UTF-8 can carry: bytes of a name that are not UTF-8 become ``\xff``."""
    whole = _HALF.sub(lambda found: escape(found[0]), text)
    return whole.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def printable(text: str) -> str:
    r"""Return one line that drives no terminal: control characters become ``\u001b``."""
    return "".join(char if char.isprintable() else escape(char) for char in utf8(text))


def escape(char: str) -> str:
    r"""Return a character as ``\uXXXX``, or ``\UXXXXXXXX`` where four digits do not hold it."""
    code = ord(char)
    return f"\\u{code:04x}" if code < 1 << 16 else f"\\U{code:08x}"
