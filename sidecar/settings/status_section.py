"""Finds where a daemon listens: of its configuration the section ``status`` alone is read.

Commands that talk to a daemon need nothing else of its file, so no secret is read, no variable outside the
section has to be set, and a mistake elsewhere is the daemon's affair: a renderer's container has neither the
daemon's secrets nor its variables. The section is found by the YAML events up to that key, without pydantic.
The environment's overrides lie over it as for the daemon, so that both always agree. A socket that this user
may use goes first, since it may also decide; a token is sent only to the address that came with it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .document import Document, parse, read_text
from .overrides import override
from .problems import Problem, SettingsError

SECTION = "status"
_BLOCK = re.compile(r"^status[ \t]*:.*?(?=^[^\s#]|\Z)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What ``status`` says, None where it says nothing."""

    listen: str | None = None
    socket: str | None = None
    token_file: str | None = None


def reach(path: Path, *, environ: Mapping[str, str]) -> Reach:
    """Return where the daemon of this file listens, under the environment's overrides as the daemon has them.

    Raises SettingsError.
    """
    document = _section(str(path), read_text(path), environ)
    mine = {name: value for name, value in environ.items() if name.startswith("SIDECAR_STATUS")}
    values, overrides = override({SECTION: document.values}, mine, top_level=frozenset({SECTION}))
    if problems := [*document.problems, *overrides.problems]:
        raise SettingsError(problems)
    section = values[SECTION] or {}
    if not isinstance(section, dict):
        raise SettingsError([_wrong(document, SECTION, "must hold keys below it, not a plain value")])
    return Reach(**{name: _text(document, section, name) for name in ("listen", "socket", "token_file")})


def _section(name: str, text: str, environ: Mapping[str, str]) -> Document:
    """Return the section; where the file is no YAML, by the lines that it would have."""
    document = parse(name, text, environ, only=SECTION)
    if document.values is None and document.problems and (block := _BLOCK.search(text)):
        lines_before = text[: block.start()].count("\n")
        return parse(name, "\n" * lines_before + block[0], environ, only=SECTION)
    if document.values is None and all(not problem.key for problem in document.problems):
        return Document(name)  # it has no such section, whatever else is wrong with it
    return document


def _text(document: Document, section: Mapping[str, Any], name: str) -> str | None:
    value = section.get(name)
    if value is None or (isinstance(value, str) and value):
        return value
    raise SettingsError([_wrong(document, f"{SECTION}.{name}", "must be text")])


def _wrong(document: Document, key: str, message: str) -> Problem:
    place = document.place(tuple(key.split(".")))
    return Problem(where=document.at(place), key=key, message=message, place=place)
