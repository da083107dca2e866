"""Deletes files that S3 holds and Convex knows after ``delete_after`` (``after_sync: delete``)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sidecar.core.clock import Clock, is_near
from sidecar.core.model import Transfer
from sidecar.journal.stores.local_deletion import LocalDeletion
from sidecar.journal.writer import AsyncJournal

from .unlink import UnlinkOutcome, delete, restore

PAGE_IDS = 1_000
PAUSE_SECONDS = (0.2, 10.0)
_WRONG = "no local file is deleted while the clocks disagree"


class LocalFileSweeper:
    """Goes through the journal page by page, for ever."""

    def __init__(
        self,
        *,
        journal: AsyncJournal,
        clock: Clock,
        delete_after_seconds: float,
        skew_seconds: Callable[[], float | None],
        is_watched: Callable[[str], bool],
    ) -> None:
        """``skew_seconds`` is our wall clock minus S3's, None while unknown: then nothing is deleted.

        ``is_watched`` tells whether we hold a root: what lies in others is not ours to touch.
        """
        self._journal, self._clock, self._is_watched = journal, clock, is_watched
        self._after_seconds, self._skew_seconds = delete_after_seconds, skew_seconds
        self._clock_trouble: str | None = None
        self._file_trouble: str | None = None

    @property
    def trouble(self) -> str | None:
        """Why files stay that should go."""
        return self._clock_trouble or self._file_trouble

    async def run(self) -> None:
        """Delete what is due, until cancelled."""
        after: int | None = None
        least, most = PAUSE_SECONDS
        unfinished = True
        while True:
            if unfinished:
                unfinished = not await self._finish()
            now_ms = self._clock.wall_ms()  # before the question: a jump in between is seen
            if self._may_trust_clock():
                after = await self._sweep_page(after or 0, now_ms=now_ms)
            await asyncio.sleep(min(max(self._after_seconds / 100, least), most))

    async def _sweep_page(self, after: int, *, now_ms: int) -> int | None:
        """Delete what is due on one page of the journal; return where the next begins, None at the end."""
        before_ms = now_ms - int(self._after_seconds * 1000)
        spent, further = await self._journal.do(
            LocalDeletion.deletable, after=after, before_ms=before_ms, limit=PAGE_IDS
        )
        for transfer in spent:
            if self._is_watched(transfer.root):
                await self._delete(transfer)
        return further

    def _may_trust_clock(self) -> bool:
        skew = self._skew_seconds()
        self._clock_trouble = None if skew is None or is_near(skew) else _WRONG
        return is_near(skew)

    async def _delete(self, transfer: Transfer) -> None:
        """Journal the intent, delete, journal the fact."""
        identity = transfer.identity
        if identity is None or not await self._journal.do(LocalDeletion.begin_deletion, transfer.row_id):
            return
        try:
            outcome = await asyncio.to_thread(
                delete, transfer.root, transfer.path, expected=identity, transfer_id=transfer.transfer_id
            )
        except OSError as error:
            self._file_trouble = f"{transfer.display} cannot be deleted: {error.strerror}"
            outcome = UnlinkOutcome.KEPT
        else:
            self._file_trouble = None
        done = LocalDeletion.deleted if outcome is UnlinkOutcome.DELETED else LocalDeletion.kept
        await self._journal.do(done, transfer.row_id)

    async def _finish(self) -> bool:
        """Finish what the last process had begun: put a file back, or know it deleted; False: not all yet."""
        is_done = True
        for transfer in await self._journal.do(LocalDeletion.deletions_begun):
            try:
                is_there = await asyncio.to_thread(
                    restore, transfer.root, transfer.path, transfer_id=transfer.transfer_id
                )
            except OSError as error:  # its volume is away, or fails: later
                self._file_trouble, is_done = f"{transfer.display} cannot be seen: {error.strerror}", False
                continue
            await self._journal.do(LocalDeletion.kept if is_there else LocalDeletion.deleted, transfer.row_id)
        return is_done
