"""Decides what it means that a local file is gone (CONTRACT.md, "Removal"): plain values, one decision."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .model import Transfer

FILES_AT_ONCE = 10
SHARE_AT_ONCE = 0.1


class RemovalState(StrEnum):
    """How far a removal is that Convex has not acknowledged."""

    ASKED = "asked"  # too many files are gone at once: an operator decides
    OWED = "owed"  # its op is in the outbox
    REFUSED = "refused"  # Convex does not take it; the asset stays


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """A file that was removed, and what Convex still shows of it: ``transfer``.

    ``root`` and ``path`` are the file's, which may have been another one's content first. ``error`` says
    why Convex refused, where it did.
    """

    id: int
    root: str
    path: str
    state: RemovalState
    deletes_object: bool
    noticed_ms: int
    error: str | None
    transfer: Transfer


@dataclass(frozen=True, slots=True, kw_only=True)
class MassRemoval:
    """How much of one root is gone at once.

    ``gone`` counts what may be removals: files that are gone, those that somebody was asked about, and
    those that were removed lately. ``present`` are the files that are there.
    """

    gone: int
    present: int

    @property
    def is_mass(self) -> bool:
        """Whether so much is gone that it may be an accident: more than 10 files and than 10 %."""
        return self.gone > max(FILES_AT_ONCE, SHARE_AT_ONCE * (self.gone + self.present))


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """An object that may go once Convex has marked its version as expired."""

    transfer: Transfer
    version: int
