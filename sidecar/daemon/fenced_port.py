"""Puts the two ports behind the fence: no remote changes while it is uncertain that our roots are ours.

A process that was stopped finds the fence closed when it wakes up, whatever it was about to do. Questions
pass freely. The order of an upload matters here: a body takes its turn on the line before the fence is
asked, so that nothing that waited for a turn begins under a lease that is over.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

T = TypeVar("T")
OBJECT_EFFECTS = frozenset({"put", "create", "put_part", "complete", "abort", "delete"})
METADATA_EFFECTS = frozenset({"apply", "expire"})


def fenced(port: T, passable: Callable[[], Awaitable[None]], *, effects: frozenset[str]) -> T:
    """Return the same port, whose ``effects`` (names of coroutine methods) wait for ``passable`` first."""
    return cast("T", _Fenced(port, passable, effects))


class _Fenced:
    """Hands every attribute of a port through, whatever the port may be asked."""

    def __init__(
        self, port: object, passable: Callable[[], Awaitable[None]], effects: frozenset[str]
    ) -> None:
        self._port, self._passable, self._effects = port, passable, effects

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        return self._held_back(found) if name in self._effects else found

    def _held_back(self, effect: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def pass_and_do(*args: Any, **kwargs: Any) -> Any:
            await self._passable()
            return await effect(*args, **kwargs)

        return pass_and_do
