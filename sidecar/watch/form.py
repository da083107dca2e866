"""What a format's reader answers, and the bounded reads that they share."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import Enum


class Shape(Enum):
    """Whether the bytes of a file are a whole file of their format."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    UNKNOWN = "not this format"  # or a format without an end mark, or too much work: it settles


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """An answer; ``why`` is a sentence for people where it is incomplete."""

    shape: Shape
    why: str = ""


COMPLETE = Structure(shape=Shape.COMPLETE)
UNKNOWN = Structure(shape=Shape.UNKNOWN)


def incomplete(why: str) -> Structure:
    """Say what is missing."""
    return Structure(shape=Shape.INCOMPLETE, why=why)


def read_at(fd: int, offset_bytes: int, length_bytes: int) -> bytes:
    """Return up to ``length_bytes``; fewer only at the end of the file."""
    return os.pread(fd, length_bytes, offset_bytes)
