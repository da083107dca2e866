"""Finds the file that a client means: by links or mounts, below a root, or in other Unicode."""

from __future__ import annotations

import unicodedata
from typing import Literal

from sidecar.core.findings import Finding
from sidecar.core.paths import absolute

from .journal_history import remembered
from .query import BadRequestError, relative
from .source import StatusSource

FORMS: tuple[Literal["NFC", "NFD"] | None, ...] = (None, "NFC", "NFD")  # as written; keyboards; macOS
SEGMENTS_MAX = 32  # of a path outside, whose ends are tried below the roots


async def locate(source: StatusSource, path: str) -> tuple[str, str] | None:
    """Return (root, path below it), or None for an absolute path outside all roots.

    A relative path belongs to the first root that has it on disk or in the journal, else to the first.
    Where nobody knows a name as it is written, one that is the same in another form of Unicode is meant.
    Raises BadRequestError.
    """
    if not path or "\0" in path:
        raise BadRequestError(
            "the path is empty, or has a NUL byte", "give an absolute path or one below a root"
        )
    if path.startswith("/"):
        found = await source.watch.locate(path)
        return found and await _as_known(source, [found])
    inside = relative(path)
    roots = [(root, inside) for root in source.watch.roots()]
    if not roots:
        return None
    known = await _as_known(source, roots)
    return await source.watch.locate(absolute(*known)) or known


async def located(source: StatusSource, path: str) -> tuple[str, str]:
    """Do the same, but raise BadRequestError for a path outside all roots."""
    if (found := await locate(source, path)) is None:
        hint = " ".join(await roots_in_words(source, path))
        raise BadRequestError(f"{path!r} lies below none of the roots", hint)
    return found


async def roots_in_words(source: StatusSource, path: str) -> list[str]:
    """Return sentences for somebody whose path lies below no root, as in another container."""
    roots = source.watch.roots()
    if not roots:
        return ["There are no roots."]
    sentences = [
        f"The roots are: {', '.join(roots)}.",
        "In a container a path may be another one than outside: give it as the sidecar sees it.",
    ]
    segments = path.strip("/").split("/")[-SEGMENTS_MAX:]
    for at in range(1, len(segments)):
        for root in roots:
            if await _is_known(source, root, inside := "/".join(segments[at:])):
                return [*sentences, f"Perhaps {absolute(root, inside)} is meant."]
    return sentences


async def _as_known(source: StatusSource, candidates: list[tuple[str, str]]) -> tuple[str, str]:
    """Return the first that is on disk or in the journal, as written or in another form; else the first."""
    if len(candidates) == 1 and candidates[0][1].isascii():
        return candidates[0]
    for form in FORMS:
        for root, inside in candidates:
            spelt = unicodedata.normalize(form, inside) if form else inside
            if await _is_known(source, root, spelt):
                return root, spelt
    return candidates[0]


async def _is_known(source: StatusSource, root: str, inside: str) -> bool:
    finding = await source.watch.explain(root, inside)
    if finding.finding != Finding.MISSING:
        return True
    known = await remembered(source, root, inside)
    return bool(known.rows or known.below)
