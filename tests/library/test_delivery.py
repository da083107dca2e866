"""Who hands a file over may be cancelled, refused or overtaken: others go on, and no copy is left lying."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import sidecar
from sidecar import AssetType, ClosedError, Platform, SourceError
from sidecar.core.clock import SystemClock
from sidecar.core.model import State
from sidecar.daemon import library_adoption
from sidecar.daemon.library_life import open_library_life
from sidecar.journal.db.connection import Transition
from sidecar.journal.stores.submissions import Submission, Submissions
from sidecar.journal.stores.transfers import Transfers
from sidecar.library import delivery, source
from sidecar.library.delivery import Delivery
from sidecar.library.endings import Endings
from sidecar.library.errors import LibraryError
from sidecar.metrics import Metrics
from sidecar.settings import from_mapping
from sidecar.upload.factory import limits_of
from tests.support.patience import DEADLINE_SECONDS

SESSION = "algebra/lesson-7"


@pytest.fixture
def away(tmp_path: Path) -> dict[str, Any]:
    """S3 answers nobody: what is handed over stays in the journal."""
    keys = {"access_key_id": "a", "secret_access_key": "b"}
    return {
        "s3": {"bucket": "lessons", "endpoint_url": "http://127.0.0.1:9", **keys},
        "convex": {"sync": "off"},
        "journal": {"path": str(tmp_path / "journal.db")},
        "shutdown": {"grace": "100ms"},
    }


async def until(condition: Callable[[], object]) -> None:
    """Poll."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


def handed_over(platform: Platform, path: Path) -> Any:
    """Return the coroutine that hands a file over."""
    return platform.assets.store_scene_asset(
        "intro", AssetType.SOURCE_CODE, path, session_id=SESSION, wait=False
    )


def copies(tmp_path: Path) -> list[str]:
    """Return the names of all spooled files and their folders' number."""
    return sorted(path.name for path in tmp_path.glob("journal.db.lib/*.spool/*/*"))


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """A complete file."""
    path = tmp_path / "scene.py"
    path.write_text("print()")
    return path


async def test_a_first_call_that_is_cancelled_closes_the_platform_to_nobody(
    away: dict[str, Any], scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal was just being opened: it opens all the same, for whoever comes."""
    may_open = asyncio.Event()

    @asynccontextmanager
    async def slowly(*arguments: Any, **named: Any) -> AsyncIterator[Any]:
        await may_open.wait()
        async with open_library_life(*arguments, **named) as life:
            yield life

    monkeypatch.setattr(delivery, "open_library_life", slowly)
    async with sidecar.open(away) as platform:
        first = asyncio.create_task(handed_over(platform, scene))
        await until(lambda: platform.delivery._living is not None)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        may_open.set()
        assert (await handed_over(platform, scene)).name == "scene.py"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
async def test_a_copy_that_fails_leaves_nothing(
    away: dict[str, Any], scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A full disk is not filled by what did not fit."""

    def fails(*_: object) -> None:
        raise OSError(number, "it fails")

    monkeypatch.setattr(source, "_fill", fails)
    async with sidecar.open(away) as platform:
        with pytest.raises(SourceError, match="it fails"):
            await handed_over(platform, scene)
        assert copies(tmp_path) == []
        assert list(tmp_path.glob("journal.db.lib/*.spool/*")) == []


async def test_a_copy_that_cannot_be_read_again_leaves_nothing(
    away: dict[str, Any], scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a disk that fails."""

    def fails(*_: object, **__: object) -> None:
        raise SourceError("it cannot be read")

    monkeypatch.setattr(source.SourceReader, "_read", fails)
    async with sidecar.open(away) as platform:
        with pytest.raises(SourceError, match="cannot be read"):
            await handed_over(platform, scene)
        assert copies(tmp_path) == []


async def test_a_copy_that_is_refused_leaves_nothing(
    away: dict[str, Any], scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal says why."""
    async with sidecar.open(away) as platform:
        life = await platform.delivery._opened()
        really: Any = life.journal.do

        async def refuses(step: object, *arguments: Any, **named: Any) -> Any:
            if step is Submissions.submit:
                return Submission(refused="another file has its place")
            return await really(step, *arguments, **named)

        monkeypatch.setattr(life.journal, "do", refuses)
        with pytest.raises(LibraryError, match="another file has its place"):
            await handed_over(platform, scene)
        monkeypatch.undo()
        assert copies(tmp_path) == []


async def test_a_copy_whose_caller_is_cancelled_goes_once_it_is_made(
    away: dict[str, Any], scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread cannot be cancelled: it comes to its end."""
    is_copying, may_go = threading.Event(), threading.Event()
    really: Callable[[int, int], None] = source._fill

    def slowly(copy: int, fd: int) -> None:
        is_copying.set()
        assert may_go.wait(20)
        really(copy, fd)

    monkeypatch.setattr(source, "_fill", slowly)
    async with sidecar.open(away) as platform:
        call = asyncio.create_task(handed_over(platform, scene))
        await until(is_copying.is_set)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert copies(tmp_path) == ["scene.py"]
        may_go.set()
        await until(lambda: not copies(tmp_path))


def ended(transfer_id: str, state: State) -> Transition:
    """Return a committed step."""
    return Transition(
        event="it",
        transfer_id=transfer_id,
        path="/a.py",
        state=state,
        detail=None,
        seconds_since_ready=None,
        session=SESSION,
        size_bytes=1,
        version=1,
        upload_seconds=None,
    )


class Overtaken:
    """A life in which newer content arrives before whoever waits has heard of it."""

    def __init__(self, told: Callable[[Transition], None]) -> None:
        self._told, self.journal, self.path = told, self, Path("/none.db")
        self.newer = SimpleNamespace(transfer_id="newer", state=State.READY, row_id=2)

    async def do(self, step: object, _: object) -> Any:
        """Say what took the old one's place; it is synced by then."""
        if step is Submissions.drop_changed:
            self._told(ended("newer", State.SYNCED))
        return {2: self.newer} if step is Transfers.some else self.newer


def delivery_of(settings: dict[str, Any]) -> Delivery:
    """Return what has no life yet."""
    read = from_mapping(settings, watching=False)
    return Delivery(read, metrics=Metrics(), limits=limits_of(read.upload, clock=SystemClock()))


async def waited(delivering: Delivery, life: Any) -> Any:
    """Wait for an old transfer that newer content replaced."""
    ends: asyncio.Future[State | None] = asyncio.get_running_loop().create_future()
    ends.set_result(State.SUPERSEDED)
    old: Any = SimpleNamespace(transfer_id="old", state=State.READY, row_id=1)
    return await asyncio.wait_for(delivering._delivered(life, Path("a.py"), old, ends), 5)


async def test_who_is_overtaken_by_what_arrives_at_once_hears_of_it(away: dict[str, Any]) -> None:
    """And nothing is remembered once nobody is about to wait."""
    delivering = delivery_of(away)
    life: Any = Overtaken(delivering._heard)
    delivering._alive = life
    assert (await waited(delivering, life)).transfer_id == "newer"
    assert [(one.users, one.ended) for one in delivering._endings._memories] == [(0, {})]
    assert dict(delivering._endings._waiting) == {}


def test_memories_of_what_ended_go_with_those_who_need_them() -> None:
    """However many are about to wait all the time, and each finds what ended since it came."""
    endings = Endings({State.SYNCED})
    before = endings.about_to_wait()
    for first in range(0, 2000, 100):
        now = endings.about_to_wait()
        told = now.__enter__()
        for number in range(first, first + 100):
            endings.heard(ended(str(number), State.SYNCED))
        assert {str(number) for number in range(first, first + 100)} <= told.keys()
        if first:
            before.__exit__(None, None, None)
        before = now
    assert len(endings._memories) <= 3
    assert sum(len(one.ended) for one in endings._memories) < 1000
    before.__exit__(None, None, None)
    assert [(one.users, one.ended) for one in endings._memories] == [(0, {})]


async def test_who_would_wait_in_a_life_that_is_over_is_told(away: dict[str, Any]) -> None:
    """Nothing comes to an end there any more."""
    delivering = delivery_of(away)
    life: Any = Overtaken(lambda _: None)
    with pytest.raises(ClosedError, match="before this was delivered"):
        await waited(delivering, life)


async def test_what_others_left_is_finished_within_the_limits_of_the_program(
    away: dict[str, Any], scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One memory and one bandwidth for all journals that a process works on."""
    async with sidecar.open(away) as first:
        await handed_over(first, scene)
    bounded = list[object]()

    def opening(*arguments: Any, **named: Any) -> Any:
        bounded.append(named["limits"])
        return open_library_life(*arguments, **named)

    for module in (delivery, library_adoption):
        monkeypatch.setattr(module, "open_library_life", opening)
    async with sidecar.open(away) as second:
        await handed_over(second, scene)
        await until(lambda: len(bounded) == 2)
    assert bounded[0] is bounded[1]
