"""Declares at each method of a port whether it changes what the remote holds, or only asks.

Whoever wraps a port takes the answer from here. So a method that is added later cannot be forgotten: the
daemon does not start before somebody declares it.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import isfunction
from typing import Any, TypeVar

M = TypeVar("M", bound=Callable[..., Any])
_CHANGES = "_changes_the_remote"


def effect(method: M) -> M:
    """Declare a method that changes what the remote holds."""
    setattr(method, _CHANGES, True)
    return method


def question(method: M) -> M:
    """Declare a method that only asks."""
    setattr(method, _CHANGES, False)
    return method


def methods(port: type) -> frozenset[str]:
    """Return the names of what a port can be asked."""
    return frozenset(
        name for name in dir(port) if not name.startswith("_") and isfunction(getattr(port, name))
    )


def effects(port: type) -> frozenset[str]:
    """Return the names of the methods that change the remote; TypeError for one that nobody declared."""
    declared = {name: getattr(getattr(port, name), _CHANGES, None) for name in methods(port)}
    if undeclared := sorted(name for name, changes in declared.items() if changes is None):
        raise TypeError(f"{port.__name__}: neither @effect nor @question: {', '.join(undeclared)}")
    return frozenset(name for name, changes in declared.items() if changes)
