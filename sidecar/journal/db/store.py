"""The base of all stores: part of the journal by use case, over the one connection.

A store takes the stores that it needs as arguments, and uses their public methods alone. What stages call is
a transaction of its own where it writes; the rest is part of the caller's, or reads.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from .connection import JournalConnection

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S", bound="Store")
M = TypeVar("M", bound=Callable[..., Any])
AllOf = Callable[[Any, Sequence[tuple[Any, ...]]], Sequence[Any]]
ALL_OF: dict[Callable[..., Any], AllOf] = {}  # what stands for many calls of a method, if something does


class Store:
    """Some of the journal's tables, for one use case."""

    def __init__(self, db: JournalConnection) -> None:
        self._db = db


def transaction(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """Make a store's method one transaction: all of it is durable, or none of it ever was."""

    @functools.wraps(method)
    def whole(self: S, *args: P.args, **kwargs: P.kwargs) -> T:
        if self._db.is_part:
            try:
                return method(self, *args, **kwargs)
            except BaseException:
                self._db.spoil()
                raise
        with self._db.atomic():
            return method(self, *args, **kwargs)

    return cast("Callable[Concatenate[S, P], T]", whole)


def together(all_of: AllOf) -> Callable[[M], M]:
    """Let calls of a method that meet in one transaction be one call of ``all_of``, whatever comes between.

    That takes the arguments of each and returns what each returns. If it raises, the calls are made one by
    one, and each fails alone. So it may stand only for calls that are about other rows than all the rest.
    """

    def mark(method: M) -> M:
        ALL_OF[method] = all_of
        return method

    return mark


def is_transaction(method: Callable[..., object]) -> bool:
    """Tell whether a store's method is a transaction; the others that stages call only read."""
    return hasattr(method, "__wrapped__")
