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

from sidecar.upload.openings import Openings


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


async def test_files_of_one_turn_are_opened_by_one_thread_a_root(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hand-over costs more than opening a file."""
    loop, handed = asyncio.get_running_loop(), list[Any]()
    run = loop.run_in_executor

    def counted(executor: Any, work: Callable[..., Any], *args: Any) -> Any:
        handed.append(work)
        return run(executor, work, *args)

    monkeypatch.setattr(loop, "run_in_executor", counted)
    openings = Openings[Found]()
    wanted = [openings.open(root, partial(opened, file)) for root in ("/a", "/b") for _ in range(10)]
    found = [one for one in await asyncio.gather(*wanted) if one is not None]
    assert len({one.fd for one in found}) == 20
    assert len(handed) == 2
    for one in found:
        os.close(one.fd)


async def test_a_file_that_cannot_be_opened_fails_alone(file: Path) -> None:
    """Its neighbours are open, and one that is gone is None."""
    openings = Openings[Found]()
    bad, gone, good = await asyncio.gather(
        openings.open("/a", partial(opened, file / "below")),
        openings.open("/a", lambda _: None),
        openings.open("/a", partial(opened, file)),
        return_exceptions=True,
    )
    assert isinstance(bad, NotADirectoryError)
    assert gone is None
    assert isinstance(good, Found)
    os.close(good.fd)


@pytest.mark.parametrize("late", [False, True])
async def test_who_is_cancelled_leaves_no_file_open(file: Path, *, late: bool) -> None:
    """While the thread works, and when the file is open and nobody has heard of it."""
    may_go, fds = threading.Event(), list[int]()

    def slowly(kept: object) -> Found:
        assert may_go.wait(10)
        found = opened(file, kept)
        fds.append(found.fd)
        return found

    openings = Openings[Found]()
    before = asyncio.ensure_future(openings.open("/a", lambda _: None))
    cancelled = asyncio.ensure_future(openings.open("/a", slowly))
    await asyncio.sleep(0)
    if late:  # both are open then, and it is the other's turn
        openings._turn[0].future.add_done_callback(lambda _: cancelled.cancel())
    else:
        await asyncio.sleep(0)
        cancelled.cancel()
    may_go.set()
    await before
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert len(fds) == 1
    assert not is_open(fds[0])
