"""Cuts what is asked about into pieces of the size that is taken at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def batched(several: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield them, so many at a time at most. ``itertools`` has it from Python 3.12 on."""
    for first in range(0, len(several), size):
        yield several[first : first + size]
