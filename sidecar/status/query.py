"""Reads what a client asks for: query parameters, durations, paths. Mistakes are BadRequestError."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Mapping
from urllib.parse import parse_qsl, urlsplit

from sidecar.core.model import State
from sidecar.core.units import parse_duration

PARAMETERS_MAX = 16
PAGE_DEFAULT = 100
PAGE_MAX = 1000
ROW_MAX = 2**63 - 1

Given = Mapping[str, str]


class BadRequestError(Exception):
    """The client's mistake, as one sentence with a hint."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


def parameters(target: str, *, allowed: Collection[str]) -> dict[str, str]:
    """Return the query of a raw request target; bytes that are not UTF-8 become surrogates.

    Unknown and repeated names are mistakes: a typo must not widen what is asked for.
    """
    try:
        pairs = parse_qsl(
            urlsplit(target).query,
            keep_blank_values=True,
            errors="surrogateescape",
            max_num_fields=PARAMETERS_MAX,
        )
    except ValueError as error:
        raise BadRequestError(f"the query cannot be read: {error}") from error
    given: dict[str, str] = {}
    for name, value in pairs:
        if name not in allowed:
            known = ", ".join(allowed) or "none"
            raise BadRequestError(f"there is no parameter {name!r} here", f"parameters: {known}")
        if name in given:
            raise BadRequestError(f"the parameter {name!r} is given twice")
        given[name] = value
    return given


def whole(given: Given, name: str, *, default: int, least: int, most: int) -> int:
    """Return a whole number within its limits."""
    text = given.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,18}", text) or not least <= int(text) <= most:
        raise BadRequestError(f"{name} is a whole number from {least} to {most}, not {text!r}")
    return int(text)


def page_of(given: Given) -> tuple[int, int]:
    """Return the most rows on a page, and the row after which it begins."""
    limit = whole(given, "limit", default=PAGE_DEFAULT, least=1, most=PAGE_MAX)
    return limit, whole(given, "after", default=0, least=0, most=ROW_MAX)


def state_of(given: Given) -> State | None:
    """Return the state that is asked for; None for all."""
    if (text := given.get("state")) is None:
        return None
    try:
        return State(text)
    except ValueError:
        raise BadRequestError(f"{text!r} is not a state", f"states: {', '.join(State)}") from None


def name_of(given: Given, name: str) -> str | None:
    """Return a name that the journal may hold; None where it is not given."""
    value = given.get(name)
    if value is not None and not is_utf8(value):
        raise BadRequestError(f"{name} is not UTF-8")
    return value


def needed(given: Given, name: str) -> str:
    """Return a parameter that must be given."""
    if name not in given:
        raise BadRequestError(f"the parameter {name!r} is missing")
    return given[name]


def duration_seconds(text: str) -> float:
    """Return the seconds of ``30``, ``250ms``, ``30s``, ``30m``, ``24h`` or ``7d``."""
    try:
        return float(text) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) else parse_duration(text)
    except ValueError as error:
        raise BadRequestError(str(error)) from error


def is_utf8(text: str) -> bool:
    """Tell whether a text holds only what UTF-8 can carry: the journal and Convex hold nothing else."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def relative(path: str) -> str:
    """Return a path below a root in its plain form; raises BadRequestError if it leaves the root."""
    clean = posixpath.normpath(path)
    if "\0" in path:
        raise BadRequestError("a path has no NUL byte")
    if clean == ".." or clean.startswith("../"):
        raise BadRequestError(f"{path!r} leaves the root", "give an absolute path or one below a root")
    return "" if clean == "." else clean
