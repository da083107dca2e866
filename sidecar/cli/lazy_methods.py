"""Puts off compiling what dataclasses are given: a method is compiled when it is first called.

Python 3.11 and 3.12 compile every method of every dataclass by itself while the class is made: of our three
hundred 0.25 s of CPU, a quarter of the daemon's start (2026-11-29). Few of them are ever compared, hashed,
shown or assigned to, and a start makes objects of few. From 3.13 on a class's methods are compiled together,
and nothing is changed here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

_COMPILER = "_create_fn"  # dataclasses' own; 3.13 has none
_PUT_OFF = frozenset({"__init__", "__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__"})


def install() -> None:
    """Do so from now on, in this process."""
    compiler = getattr(dataclasses, _COMPILER, None)
    if compiler is not None and not isinstance(compiler, partial):
        setattr(dataclasses, _COMPILER, partial(_created, compiler))


def _created(compiler: Callable[..., Any], name: str, *arguments: Any, **named: Any) -> Any:
    """Return a method as ``compiler`` does, or what takes its place until it is called."""
    if name not in _PUT_OFF:
        return compiler(name, *arguments, **named)

    made: Any = None

    def method(self: object, /, *given: Any, **fields: Any) -> Any:
        nonlocal made
        if made is None:
            made = compiler(name, *arguments, **named)
            _replace(type(self), method, made)
        return made(self, *given, **fields)

    method.__name__ = name
    return method


def _replace(kind: type, method: Callable[..., Any], made: Callable[..., Any]) -> None:
    """Give a class the compiled method. ``__repr__`` stays below what keeps it from calling itself."""
    for owner in kind.__mro__:
        if vars(owner).get(method.__name__) is method:
            made.__qualname__ = method.__qualname__
            setattr(owner, method.__name__, made)
