"""Replaces ``${NAME}`` and ``${NAME:-default}`` in the file's values; ``$${NAME}`` means ``${NAME}``."""

from __future__ import annotations

import re
from collections.abc import Mapping

_IN_TEXT = re.compile(r"\$\{([^{}\n]*)\}")
_BEGIN, _END = "\uf8f0", "\uf8f1"  # private characters, as many as they replace: columns stay
_HIDDEN = re.compile(rf"(\$?){_BEGIN}{_BEGIN}([^{_BEGIN}{_END}]*){_END}")
_VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.ASCII | re.DOTALL)


class Unset(Exception):  # noqa: N818 - an answer of this module, never shown as an error of its own
    """A variable that the environment does not have; the message is a sentence."""


def hide(text: str) -> str:
    """Return the text with the braces of ``${...}`` out of YAML's sight, which knows braces too."""
    return _IN_TEXT.sub(rf"{_BEGIN}{_BEGIN}\1{_END}", text)


def expand(text: str, environ: Mapping[str, str]) -> str:
    """Return a value of a hidden text with its variables filled in. Raises Unset."""
    return _HIDDEN.sub(lambda found: _value(found, environ), text)


def is_null(text: str) -> bool:
    """Whether an unquoted value means "nothing": empty, ~ or null."""
    return text in ("", "~", "null", "Null", "NULL")


def _value(found: re.Match[str], environ: Mapping[str, str]) -> str:
    if found[1]:
        return f"${{{found[2]}}}"
    variable = _VARIABLE.fullmatch(found[2])
    if not variable:
        raise Unset(f"${{{found[2]}}} names no environment variable; write ${{NAME}} or ${{NAME:-default}}")
    name, default = variable[1], variable[2]
    value = environ.get(name, "")
    if value or (name in environ and default is None):
        return value
    if default is None:
        raise Unset(f"the environment variable {name} is not set; set it or write ${{{name}:-default}}")
    return str(default)
