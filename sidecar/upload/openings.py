"""Opens files for uploads: those that begin in one turn of the event loop are given to a thread at one go.

Handing work to a thread and back costs several times what opening a small file does. Each root has a thread
of its own in that turn, so that a disk that hangs holds up nothing of another one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic, Protocol, TypeVar

from sidecar.files import KeptFolder


class Closable(Protocol):
    """What may have an open file."""

    def close(self) -> None:
        """Close it."""
        ...


T = TypeVar("T", bound=Closable)
Work = Callable[[KeptFolder], T | None]


class _Opening(Generic[T]):
    """One file on its way to be open."""

    __slots__ = ("error", "found", "future", "open", "root")

    def __init__(self, root: str, work: Work[T], future: asyncio.Future[T | None]) -> None:
        self.root, self.open, self.future = root, work, future
        self.found: T | None = None
        self.error: BaseException | None = None

    def resolve(self) -> None:
        """Hand it to whoever waits; nobody does who was cancelled meanwhile."""
        if self.future.cancelled():
            self.close()
        elif self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.found)

    def close(self) -> None:
        if self.found is not None:
            self.found.close()
            self.found = None


class Openings(Generic[T]):
    """For one event loop."""

    def __init__(self) -> None:
        """Nothing is open before ``open``."""
        self._turn: list[_Opening[T]] = []

    async def open(self, root: str, work: Work[T]) -> T | None:
        """Run ``work``, which opens a file below ``root``, in a thread; raise what it raises.

        It is given the folder of the file before it.

        The file is the caller's to close; one who is cancelled leaves none open.
        """
        loop = asyncio.get_running_loop()
        opening = _Opening(root, work, loop.create_future())
        if not self._turn:
            loop.call_soon(self._hand_over, loop)
        self._turn.append(opening)
        try:
            return await opening.future
        except asyncio.CancelledError:
            if not opening.future.cancelled():  # it was open already, or failed, and nobody had heard of it
                opening.future.exception()
                opening.close()
            raise

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        turn, self._turn = self._turn, []
        for root in dict.fromkeys(opening.root for opening in turn):
            some = [opening for opening in turn if opening.root == root]
            try:
                working = loop.run_in_executor(None, _open_all, some)
            except RuntimeError as error:  # the process ends, and takes on no more work
                for opening in some:
                    opening.error = error
                    opening.resolve()
            else:
                working.add_done_callback(partial(_resolve_all, some))


def _open_all(some: Sequence[_Opening[T]]) -> None:
    with KeptFolder() as folder:
        for opening in some:
            try:
                opening.found = opening.open(folder)
            except BaseException as error:  # noqa: BLE001 - handed to whoever waits, in its own task
                opening.error = error


def _resolve_all(some: Sequence[_Opening[T]], _: asyncio.Future[None]) -> None:
    for opening in some:
        opening.resolve()
