"""Opens the files of uploads that begin together by one thread at one go.

Handing work to a thread and back costs several times what opening a small file does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol, TypeVar

from sidecar.files import KeptFolder


class Closable(Protocol):
    """What may have an open file."""

    def close(self) -> None:
        """Close it."""
        ...


T = TypeVar("T", bound=Closable)
Work = Callable[[KeptFolder], T | None]


async def open_all(works: Iterable[Work[T]]) -> list[T | Exception | None]:
    """Run what opens a file each, in a thread; return what each returns or raises.

    Each is made there, too, and given the folder of the file before it. They are of one root: a disk that
    hangs is to hold up nothing of another one. The files are the caller's to close; one who is cancelled
    leaves none open.
    """
    loop = asyncio.get_running_loop()
    working: asyncio.Future[list[T | Exception | None]] = loop.run_in_executor(
        None, partial(_open_all, works)
    )
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        working.add_done_callback(_close_all)
        raise


def _open_all(works: Iterable[Work[T]]) -> list[T | Exception | None]:
    found = list[T | Exception | None]()
    with KeptFolder() as folder:
        for work in works:
            try:
                found.append(work(folder))
            except Exception as error:  # noqa: BLE001 - handed to whoever sends that file
                found.append(error)
    return found


def _close_all(working: asyncio.Future[list[T | Exception | None]]) -> None:
    if working.cancelled() or working.exception() is not None:
        return
    for one in working.result():
        if one is not None and not isinstance(one, Exception):
            one.close()
