"""What the journal remembers of a file, and what became of an observation."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from sidecar.core.model import StatIdentity, Transfer
from sidecar.journal.db.rows import signed, unsigned

# A file's name and its identity as they are stored: name, inode (signed), size, mtime_ns, ctime_ns.
IdentityRow = tuple[str, int | None, int | None, int | None, int | None]
_SIGNED_MAX = (1 << 63) - 1


class Known(NamedTuple):
    """What the journal remembers of a file in a folder: enough to pass over an unchanged one.

    An ``IdentityRow`` with names. The four columns are the identity of the newest content that was handled,
    all None while none was.
    """

    name: str
    inode: int | None  # as it is stored: signed
    size_bytes: int | None
    mtime_ns: int | None
    ctime_ns: int | None

    @property
    def identity(self) -> StatIdentity | None:
        """The four columns together."""
        inode = self.inode
        return None if inode is None else StatIdentity._make((unsigned(inode), *self[2:]))

    def is_like(self, found: os.stat_result) -> bool:
        """Tell whether a file looks as it did when its content was handled."""
        return self == identity_row(self.name, found)


def identity_row(name: str, found: os.stat_result) -> IdentityRow:
    """Return a file as the journal would have it if it was unchanged. A listing asks it of every file."""
    inode = found.st_ino
    if inode > _SIGNED_MAX:
        inode = signed(inode)
    return name, inode, found.st_size, found.st_mtime_ns, found.st_ctime_ns


class KnownFolders(NamedTuple):
    """What the journal remembers of folders, and what it cost: listings are spaced by their CPU time."""

    by_folder: Mapping[str, set[IdentityRow]]
    cpu_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ObserveResult:
    """What became of one observation."""

    candidate: Transfer | None = None  # a row in state discovered: find out when it is complete
    refused: str | None = None  # one sentence: why it is never sent as things are
