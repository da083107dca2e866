"""Defines what a format's reader answers, and the bounded reads that the readers share."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import Enum

READS_MAX = 65_536  # 18 hours of two-second fragments; a file that asks for more settles
READ_BYTES_MAX = 64 * 1024 * 1024  # 40 ms of looking for a JPEG's end; the same
_TORN = "its writer was killed or is not done"


class Completeness(Enum):
    """Whether the bytes of a file are a whole file of their format."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    UNKNOWN = "not this format"  # or a format without an end mark, or too much work: it settles


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """An answer; ``why`` is a sentence for people where it is incomplete.

    ``end``: where a complete one ends. Whatever stands behind that does not make it incomplete.
    """

    completeness: Completeness
    why: str = ""
    end: int = 0


COMPLETE = Structure(completeness=Completeness.COMPLETE)
UNKNOWN = Structure(completeness=Completeness.UNKNOWN)


def complete(end: int) -> Structure:
    """Say where the format ends."""
    return Structure(completeness=Completeness.COMPLETE, end=end)


def incomplete(why: str) -> Structure:
    """Say what is missing."""
    return Structure(completeness=Completeness.INCOMPLETE, why=why)


def torn(what: str) -> Structure:
    """Say what is missing of a file that somebody did not write to its end."""
    return incomplete(f"{what}: {_TORN}")


class TooMuchWorkError(Exception):
    """Telling would cost more than it is worth: the file settles."""


@dataclass(slots=True, kw_only=True)
class BoundedReader:
    """An open file, read by position; all that is read of it is limited, whatever is in it.

    It is never mapped into memory: a file that is cut meanwhile would kill the process.
    """

    fd: int
    size: int
    data: bytes | None = None  # all of it, where it was read at once
    reads: int = 0
    read_bytes: int = 0

    def at(self, offset: int, length: int) -> bytes:
        """Return up to ``length`` bytes; fewer only at the end of the file."""
        self.reads += 1
        self.read_bytes += length
        if self.reads > READS_MAX or self.read_bytes > READ_BYTES_MAX:
            raise TooMuchWorkError
        if self.data is not None:
            return self.data[offset : offset + length]
        return os.pread(self.fd, length, offset)
