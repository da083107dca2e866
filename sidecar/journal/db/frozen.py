"""Makes frozen values from rows: a frozen class's own ``__init__`` takes twice as long."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any, TypeVar

T = TypeVar("T")


def maker(kind: type[T]) -> Callable[[Iterable[Any]], T]:
    """Return what makes a frozen, slotted dataclass of all its fields' values, in their order."""
    setters = [kind.__dict__[field.name].__set__ for field in fields(kind)]  # type: ignore[arg-type]
    new = object.__new__

    def made(values: Iterable[Any]) -> T:
        one = new(kind)
        for set_field, value in zip(setters, values, strict=True):
            set_field(one, value)
        return one

    return made
