"""Defines what a format's reader answers, and the bounded reads that the readers share."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol, Self

from sidecar.core.makers import maker
from sidecar.core.media_facts import MediaFacts

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

    ``end``: where a complete one ends. Whatever stands behind that does not make it incomplete. ``media``:
    what else the structure told on the way; it decides nothing. ``is_one_film``: the file is an MP4 without
    fragments, and nothing else is in it.
    """

    completeness: Completeness
    why: str = ""
    end: int = 0
    media: MediaFacts | None = None
    is_one_film: bool = False


made_structure = maker(Structure)
COMPLETE = Structure(completeness=Completeness.COMPLETE)
UNKNOWN = Structure(completeness=Completeness.UNKNOWN)


def complete(end: int, media: MediaFacts | None = None) -> Structure:
    """Say where the format ends."""
    return made_structure(Completeness.COMPLETE, "", end, media, False)  # noqa: FBT003 - no keywords


def incomplete(why: str) -> Structure:
    """Say what is missing."""
    return Structure(completeness=Completeness.INCOMPLETE, why=why)


def torn(what: str) -> Structure:
    """Say what is missing of a file that somebody did not write to its end."""
    return incomplete(f"{what}: {_TORN}")


class TooMuchWorkError(Exception):
    """Telling would cost more than it is worth: the file settles."""


class Source(Protocol):
    """What is read by position."""

    def at(self, offset: int, length: int, /) -> bytes:
        """Return up to ``length`` bytes; fewer only at the end."""


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
    reads_max: int = READS_MAX
    read_bytes_max: int = READ_BYTES_MAX

    def at(self, offset: int, length: int) -> bytes:
        """Return up to ``length`` bytes; fewer only at the end of the file."""
        self.reads += 1
        self.read_bytes += length
        if self.reads > self.reads_max or self.read_bytes > self.read_bytes_max:
            raise TooMuchWorkError
        if self.data is not None:
            return self.data[offset : offset + length]
        return os.pread(self.fd, length, offset)


class Window(NamedTuple):
    """A piece of a file that was read at once; what lies elsewhere is read as it is asked for."""

    reader: BoundedReader
    start: int
    content: bytes

    @classmethod
    def of(cls, reader: BoundedReader, start: int, length: int) -> Self:
        """Read the piece."""
        return cls(reader, start, reader.at(start, length))

    def at(self, offset: int, length: int, /) -> bytes:
        """Return up to ``length`` bytes; fewer only at the end of the file."""
        begin = offset - self.start
        if begin >= 0 and begin + length <= len(self.content):
            return self.content[begin : begin + length]
        return self.reader.at(offset, length)
