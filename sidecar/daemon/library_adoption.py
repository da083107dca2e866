"""Finishes what programs left in journals of their own: those whose lock is free, each under its own id.

A journal that owes nothing any more goes, and its sidecar falls silent for ever, which Convex notices and
collects. One that holds a dead letter stays for whoever asks why.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from sidecar.core.clock import Clock
from sidecar.core.errors import FatalError
from sidecar.journal.db.open import lock
from sidecar.journal.read.owed import owes
from sidecar.settings import Settings
from sidecar.upload.factory import concurrency
from sidecar.upload.limits import UploadLimits

from .library_journals import left_journals, retire, sweep
from .library_life import open_library_life

LOOK_SECONDS = 30.0
PAUSE_SECONDS_MAX = 3600.0  # between two tries of a journal that fails
AT_ONCE = 4  # that send
LIVES_MAX = 16  # that are open: most of their time they only wait for S3's last looks
TRY_LATER = 75
log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class _GivenUp:
    """A journal that was left as it was at ``changed_ns``, until ``due`` (monotonic seconds)."""

    changed_ns: int
    failures: int
    due: float


class LibraryAdoption:
    """Looks for what was left, and finishes it. Nothing that fails there ends whoever looks."""

    def __init__(self, settings: Settings, *, clock: Clock, limits: UploadLimits) -> None:
        """``settings`` name the daemon's own journal, beside which the others lie.

        ``limits`` are the process's own: what is finished here takes nothing beyond them.
        """
        self._settings, self._clock, self._limits = settings, clock, limits
        self._places, self._lives = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(LIVES_MAX)
        self._given_up: dict[Path, _GivenUp] = {}
        self._unseen: str | None = None  # why nobody could look, as it was said last

    async def run(self) -> None:
        """Look now and again, until cancelled."""
        async with asyncio.TaskGroup() as group:
            busy = set[Path]()
            while True:
                for journal in await asyncio.to_thread(self._left):
                    if journal not in busy:
                        busy.add(journal)
                        task = group.create_task(self._adopted(journal))
                        task.add_done_callback(partial(_done, busy, journal))
                await asyncio.sleep(LOOK_SECONDS)

    async def once(self) -> None:
        """Finish what is left now."""
        async with asyncio.TaskGroup() as group:
            for journal in await asyncio.to_thread(self._left):
                group.create_task(self._adopted(journal))

    def _left(self) -> list[Path]:
        """Return journals whose lock is free and whose turn it is."""
        try:
            sweep(self._settings.journal.path)
            found = left_journals(self._settings.journal.path)
        except OSError as error:
            self._say_unseen(str(error))
            return []
        self._unseen = None
        return [one for one in found if self._is_due(one) and _is_free(one)]

    def _is_due(self, journal: Path) -> bool:
        """Tell whether a journal is to be tried: it is new, somebody changed it, or its pause is over."""
        left = self._given_up.get(journal)
        return left is None or left.changed_ns != _changed_ns(journal) or self._clock.monotonic() >= left.due

    def _say_unseen(self, why: str) -> None:
        if why != self._unseen:
            hint = "let this user read and write the folder beside journal.path"
            log.error("library_journals_unseen", why=why, hint=hint)
        self._unseen = why

    async def _adopted(self, journal: Path) -> None:
        try:
            if await asyncio.to_thread(owes, journal):
                async with self._lives:
                    await self._finish(journal)
            if not await asyncio.to_thread(retire, journal):
                self._give_up(journal, "it holds dead letters, which wait for somebody")
        except Exception as error:  # noqa: BLE001 - what one journal fails of, in a group or not, ends nobody else
            if not (isinstance(error, FatalError) and error.exit_status == TRY_LATER):
                self._give_up(journal, "; ".join(_leaves(error)), is_error=True)

    async def _finish(self, journal: Path) -> None:
        opening = open_library_life(_shared(self._settings), journal, clock=self._clock, limits=self._limits)
        async with AsyncExitStack() as sending:
            await sending.enter_async_context(self._places)
            async with opening as life:
                identity = life.life.shared.sidecar_id
                log.info("library_journal_adopted", journal=str(journal), sidecar_id=identity)

                async def settled() -> None:
                    await life.settle()
                    await sending.aclose()  # the next one may send meanwhile
                    await life.cleaned()

                await while_working(life.work(), settled())

    def _give_up(self, journal: Path, why: str, *, is_error: bool = False) -> None:
        """Leave a journal: a dead letter for somebody, what failed for a pause that doubles each time."""
        failures = (left.failures if (left := self._given_up.get(journal)) else 0) + is_error
        pause = min(LOOK_SECONDS * 2**failures, PAUSE_SECONDS_MAX) if is_error else float("inf")
        due = self._clock.monotonic() + pause
        self._given_up[journal] = _GivenUp(changed_ns=_changed_ns(journal), failures=failures, due=due)
        hint = "mend what it names, or look into it by `sidecar journal check --journal`"
        level = logging.ERROR if is_error else logging.WARNING
        log.log(level, "library_journal_left", journal=str(journal), why=why, hint=hint)


def _shared(settings: Settings) -> Settings:
    """Return settings by which all that is finished at once sends as many files at once as they say."""
    at_once = max(1, concurrency(settings.upload) // AT_ONCE)
    return settings.model_copy(update={"upload": settings.upload.model_copy(update={"concurrency": at_once})})


async def while_working(work: Sequence[Coroutine[Any, Any, None]], goal: Awaitable[None]) -> None:
    """Run ``work`` beside ``goal``, whose end ends it."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one) for one in work]
        await goal
        for task in tasks:
            task.cancel()


def _leaves(error: Exception) -> list[str]:
    """Return what went wrong in sentences: of a group, each once."""
    if not isinstance(error, ExceptionGroup):
        return [str(error) or type(error).__name__]
    return list(dict.fromkeys(leaf for one in error.exceptions for leaf in _leaves(one)))


def _done(busy: set[Path], journal: Path, _: asyncio.Task[None]) -> None:
    busy.discard(journal)


def _changed_ns(journal: Path) -> int:
    try:
        return journal.stat().st_mtime_ns
    except OSError:
        return 0


def _is_free(journal: Path) -> bool:
    try:
        os.close(lock(journal))
    except FatalError:
        return False
    return True
