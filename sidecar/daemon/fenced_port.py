"""Puts the two remotes behind the fence: no remote changes while it is uncertain that our roots are ours.

A process that was stopped finds the fence closed when it wakes up, whatever it was about to do. Questions
pass freely. The order of an upload matters here: a body takes its turn on the line before the fence is
asked, so that nothing that waited for a turn begins under a lease that is over.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

from sidecar.core.ports import effects

T = TypeVar("T")
UNFENCED = frozenset({"register", "beat"})  # what Convex knows of us, and nothing of our files


def fenced(store: T, passable: Callable[[], Awaitable[None]], *, port: type) -> T:
    """Return the same store, whose effects, as ``port`` declares them, wait for ``passable`` first."""
    return cast("T", _Fenced(store, passable, effects(port) - UNFENCED))


class _Fenced:
    """Hands every attribute of a store through, whatever it may be asked."""

    def __init__(
        self, store: object, passable: Callable[[], Awaitable[None]], held_back: frozenset[str]
    ) -> None:
        self._store, self._passable, self._held_back = store, passable, held_back

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name in self._held_back:
            found = self._after_the_fence(found)
            setattr(self, name, found)  # it is looked up once
        return found

    def _after_the_fence(self, effect: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def pass_and_do(*args: Any, **kwargs: Any) -> Any:
            await self._passable()
            return await effect(*args, **kwargs)

        return pass_and_do
