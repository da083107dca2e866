"""Opening the files of uploads: many at one go, each on its own account, none left open."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sidecar.upload.openings import open_all

from .rig import eventually


@dataclass(frozen=True)
class Found:
    """An open file."""

    fd: int

    def close(self) -> None:
        """Close it."""
        os.close(self.fd)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Have a file."""
    path = tmp_path / "a"
    path.write_bytes(b"a")
    return path


def opened(path: Path, _: object) -> Found:
    """Open it."""
    return Found(os.open(path, os.O_RDONLY))


def is_open(fd: int) -> bool:
    """Tell whether a descriptor is open."""
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


async def test_files_that_begin_together_are_opened_by_one_thread(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hand-over costs more than opening a file."""
    loop, handed = asyncio.get_running_loop(), list[Any]()
    run = loop.run_in_executor

    def counted(executor: Any, work: Callable[..., Any], *args: Any) -> Any:
        handed.append(work)
        return run(executor, work, *args)

    monkeypatch.setattr(loop, "run_in_executor", counted)
    found = [one for one in await open_all([partial(opened, file)] * 10) if isinstance(one, Found)]
    assert len({one.fd for one in found}) == 10
    assert len(handed) == 1
    for one in found:
        one.close()


async def test_a_file_that_cannot_be_opened_fails_alone(file: Path) -> None:
    """Its neighbours are open, and one that is gone is None."""
    works: list[Callable[[object], Found | None]] = [
        partial(opened, file / "below"),
        lambda _: None,
        partial(opened, file),
    ]
    bad, gone, good = await open_all(works)
    assert isinstance(bad, NotADirectoryError)
    assert gone is None
    assert isinstance(good, Found)
    good.close()


@pytest.mark.parametrize("late", [False, True])
async def test_who_is_cancelled_leaves_no_file_open(file: Path, *, late: bool) -> None:
    """While the thread works, and when the files are open and nobody has heard of it."""
    may_go, is_done, fds = threading.Event(), threading.Event(), list[int]()

    def slowly(kept: object) -> Found:
        assert may_go.wait(10)
        found = opened(file, kept)
        fds.append(found.fd)
        return found

    def last(_: object) -> None:
        is_done.set()

    cancelled = asyncio.ensure_future(open_all([slowly, slowly, last]))
    await asyncio.sleep(0.01)
    if late:
        may_go.set()
        assert is_done.wait(10)  # without a turn of the event loop
    cancelled.cancel()
    may_go.set()
    with pytest.raises(asyncio.CancelledError):
        await cancelled

    async def are_closed() -> bool:
        return len(fds) == 2 and not any(is_open(fd) for fd in fds)

    await eventually(are_closed)
