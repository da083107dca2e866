"""What programs left: a journal that cannot be finished ends nobody who looks for others."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from sidecar.core.clock import Clock, SystemClock
from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.upload_order import Rank
from sidecar.daemon import library_adoption
from sidecar.daemon.library_adoption import AT_ONCE, LOOK_SECONDS, LibraryAdoption
from sidecar.daemon.library_journals import folder_of
from sidecar.daemon.library_life import open_library_life
from sidecar.settings import Settings, from_mapping
from sidecar.upload.factory import concurrency, limits_of
from sidecar.upload.limits import MemoryBudget
from sidecar.upload.s3.object_store import open_store
from tests.support.clock import ManualClock

from .test_library_journals import made

FILM = Rank(priority=3, is_large=True, is_fresh=True, number=0)
FAILURES = [
    sqlite3.OperationalError("disk I/O error"),
    OSError(5, "Input/output error"),
    SidecarError(ErrorKind.INVALID, "it is refused", operation="head", target="a"),
    ZeroDivisionError("a bug"),
]


@pytest.fixture
def main(tmp_path: Path) -> Path:
    """The daemon's own journal, which is not there."""
    return tmp_path / "journal.db"


def settings_of(main: Path) -> Settings:
    """Return settings of a program."""
    s3 = {"bucket": "lessons", "access_key_id": "a", "secret_access_key": "b"}
    journal = {"path": str(main)}
    return from_mapping({"s3": s3, "convex": {"sync": "off"}, "journal": journal}, watching=False)


def adoption_of(main: Path, clock: Clock | None = None) -> LibraryAdoption:
    """Return what looks beside a journal."""
    settings, clock = settings_of(main), clock or SystemClock()
    return LibraryAdoption(settings, clock=clock, limits=limits_of(settings.upload, clock=clock))


class Lives:
    """Lives over journals, of which one fails as soon as it works."""

    def __init__(self, bad: Path, failure: Exception, *, last_looks: asyncio.Barrier | None = None) -> None:
        self._bad, self._failure, self._last_looks = bad, failure, last_looks
        self.finished: list[Path] = []
        self.opened, self.is_mended = 0, False
        self.at_once: list[int] = []

    @asynccontextmanager
    async def open(self, settings: Settings, journal: Path, **__: Any) -> AsyncIterator[Any]:
        """Stand in for ``open_library_life``."""
        self.opened += 1
        self.at_once.append(concurrency(settings.upload))

        async def work() -> None:
            if journal == self._bad and not self.is_mended:
                raise self._failure
            await asyncio.Event().wait()

        async def settle() -> None:
            await asyncio.sleep(0.05)

        async def cleaned() -> None:
            if self._last_looks is not None:
                await self._last_looks.wait()
            self.finished.append(journal)
            with closing(sqlite3.connect(journal)) as db:
                db.executescript("DELETE FROM files; DELETE FROM transfers; DELETE FROM outbox")

        shared = SimpleNamespace(sidecar_id="it")
        life = SimpleNamespace(shared=shared)
        yield SimpleNamespace(life=life, settle=settle, cleaned=cleaned, work=lambda: [work()])


@pytest.mark.parametrize("failure", FAILURES, ids=lambda one: type(one).__name__)
async def test_a_journal_that_fails_is_given_up_and_all_others_are_finished(
    main: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    """Whatever its life ends of comes as a group; who looks goes on, and says so once."""
    bad, good = made(main, owing=True), made(main, owing=True)
    lives = Lives(bad, failure)
    monkeypatch.setattr(library_adoption, "open_library_life", lives.open)
    adoption = adoption_of(main)
    with capture_logs() as said:
        await adoption.once()
        await adoption.once()
    assert lives.finished == [good]
    assert (bad.exists(), good.exists()) == (True, False)
    (left,) = [one for one in said if one["event"] == "library_journal_left"]
    assert (left["log_level"], left["why"]) == ("error", str(failure))


async def test_a_journal_that_failed_is_tried_again_after_a_pause_that_grows(
    main: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that was full for a while ends no program's delivery; a bug does not fill the log."""
    path, clock = made(main, owing=True), ManualClock()
    lives = Lives(path, OSError(28, "No space left on device"))
    monkeypatch.setattr(library_adoption, "open_library_life", lives.open)
    adoption = adoption_of(main, clock)
    for wanted in (1, 2, 3):
        await adoption.once()
        await adoption.once()
        assert lives.opened == wanted
        clock.advance(LOOK_SECONDS * 2**wanted)
    lives.is_mended = True
    await adoption.once()
    assert not path.exists()


async def test_journals_that_are_finished_at_once_share_the_files_at_once(
    main: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them send no more than the settings let one send."""
    for _ in range(AT_ONCE):
        made(main, owing=True)
    lives = Lives(main, OSError())
    monkeypatch.setattr(library_adoption, "open_library_life", lives.open)
    await adoption_of(main).once()
    assert sum(lives.at_once) == concurrency(settings_of(main).upload)


async def test_who_only_waits_for_a_last_look_keeps_no_other_from_sending(
    main: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That takes minutes, and there may be many."""
    left = [made(main, owing=True) for _ in range(2 * AT_ONCE)]
    lives = Lives(main, OSError(), last_looks=asyncio.Barrier(len(left)))
    monkeypatch.setattr(library_adoption, "open_library_life", lives.open)
    async with asyncio.timeout(20):
        await adoption_of(main).once()
    assert sorted(lives.finished) == sorted(left)


async def test_a_folder_that_cannot_be_read_ends_nobody(main: Path) -> None:
    """It is said once, not with every look."""
    folder_of(main).write_text("no folder")
    adoption = adoption_of(main)
    with capture_logs() as said:
        await adoption.once()
        await adoption.once()
    assert [(one["event"], one["log_level"]) for one in said] == [("library_journals_unseen", "error")]


async def test_lives_of_one_process_share_its_memory_and_its_bandwidth(
    main: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one of them claims is missing to the other; each has a line of its own."""
    throttles = list[object]()

    def opening(*arguments: Any, **named: Any) -> Any:
        throttles.append(named["throttle"])
        return open_store(*arguments, **named)

    monkeypatch.setattr("sidecar.upload.factory.open_store", opening)
    settings, clock = settings_of(main), SystemClock()
    limits = limits_of(settings.upload.model_copy(update={"bandwidth": 1_000_000}), clock=clock)
    assert limits.bandwidth is not None
    everything = settings.upload.memory
    first = open_library_life(settings, made(main), clock=clock, limits=limits)
    second = open_library_life(settings, made(main), clock=clock, limits=limits)
    async with first as one, second as other:
        ours, theirs = one.life.opened.remotes, other.life.opened.remotes
        async with ours.budget.claim(everything, FILM):
            assert theirs.budget.claimed_bytes == ours.budget.claimed_bytes > 0
            waiting = asyncio.ensure_future(_claimed(theirs.budget, everything))
            await asyncio.sleep(0)
            assert not waiting.done()
        await asyncio.wait_for(waiting, 10)
    assert throttles == [limits.bandwidth.take] * 2


async def _claimed(budget: MemoryBudget, size_bytes: int) -> None:
    async with budget.claim(size_bytes, FILM):
        pass
