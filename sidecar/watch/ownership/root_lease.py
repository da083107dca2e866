"""Claims and keeps the lease file of a root on a shared volume, by the rules of ``core/lease_record.py``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeVar

from sidecar.core.clock import Clock
from sidecar.core.errors import FatalError
from sidecar.core.lease_record import (
    LeaseRecord,
    LeaseTiming,
    LockDomain,
    UnchangedCount,
    is_holder_dead,
    parse,
)

from .lease_file import BeatOutcome, LeaseFile

T = TypeVar("T")
REMOVED = "its lease file was removed while this process stood still"
CLAIMING = "making sure that no other sidecar watches this folder"


class RunBlocking(Protocol):
    """Runs a piece of blocking work somewhere."""

    async def __call__(self, work: Callable[[], T], /) -> T:
        """Return what it returns."""
        ...


class RootLease:
    """The lease file of one root while it is ours. ``holds`` is asked before anything is shipped."""

    def __init__(
        self,
        *,
        root: str,
        file: LeaseFile,
        record: LeaseRecord,
        until: float,
        run_blocking: RunBlocking,
        timing: LeaseTiming,
        clock: Clock,
    ) -> None:
        """``until``: monotonic seconds."""
        self._root, self._file, self._record, self._until = root, file, record, until
        self._run_blocking, self._timing, self._clock = run_blocking, timing, clock
        self._error: str | None = None  # of the newest beat

    @property
    def holds(self) -> bool:
        """Whether nobody else can hold it at this moment."""
        return self._clock.monotonic() < self._until

    @property
    def trouble(self) -> str | None:
        """What is wrong with it, as a sentence."""
        if not self.holds:
            why = f" ({self._error})" if self._error else ""
            return f"its lease file could not be read in time{why}: nothing is shipped until it can be"
        return f"its lease file fails: {self._error}" if self._error else None

    async def keep(self) -> None:
        """Beat, for ever. Raises FatalError once it is another's, as after a long stop of this process."""
        while True:
            await asyncio.sleep(self._timing.beat)
            try:
                await self._beat()
            except OSError as error:
                self._error = error.strerror or str(error)
            else:
                self._error = None

    async def release(self) -> None:
        """Leave nothing behind."""
        for content in self._ours():
            await self._run_blocking(partial(self._file.remove, content))

    async def _beat(self) -> None:
        began, after = self._clock.monotonic(), self._record.next()
        met = await self._run_blocking(lambda: self._file.beat(self._ours(), after.bytes()))
        if met is BeatOutcome.NOTHING:
            created = await self._run_blocking(lambda: self._file.create(after.bytes()))
            if created and not self.holds:  # another one may have come and gone
                raise self._fenced(REMOVED)
            met = BeatOutcome.DONE if created else BeatOutcome.OTHER
        if met is BeatOutcome.OTHER:
            raise self._fenced(f"{_holder_of(await self._run_blocking(self._file.read))} watches it now")
        self._record, self._until = after, began + self._timing.term

    def _ours(self) -> tuple[bytes, bytes]:
        """Return the newest beat and the next one, since a beat that failed may have been written."""
        return self._record.bytes(), self._record.next().bytes()

    def _fenced(self, why: str) -> FatalError:
        return FatalError(
            f"the folder {self._root} is not this sidecar's any more: {why}",
            exit_status=1,
            hint="it was stopped, or cut off from the volume, for longer than another one waits",
        )


class LeaseAcquirer:
    """Waits until a folder is ours."""

    def __init__(
        self,
        *,
        root: str,
        file: LeaseFile,
        record: LeaseRecord,
        domain: LockDomain | None,
        run_blocking: RunBlocking,
        timing: LeaseTiming,
        clock: Clock,
        waiting: Callable[[str], None],
    ) -> None:
        """``domain`` is where we hold a flock, None where we do not.

        ``waiting`` is told for what, again and again.
        """
        self._root, self._file, self._record, self._domain = root, file, record, domain
        self._run_blocking, self._timing, self._clock, self._waiting = run_blocking, timing, clock, waiting
        self._unchanged: UnchangedCount | None = None

    async def acquire(self) -> RootLease:
        """Return once it is ours. Raises OSError where the volume fails or may not be written."""
        try:
            while (until := await self._attempt()) is None:
                pass
            await self._run_blocking(self._file.clear_drafts)
        except BaseException:
            with contextlib.suppress(OSError, TimeoutError):  # what ended the claim is what there is to tell
                async with asyncio.timeout(self._timing.claim):
                    await self._run_blocking(partial(self._file.remove, self._record.bytes()))
            raise
        return RootLease(
            root=self._root,
            file=self._file,
            record=self._record,
            until=until,
            run_blocking=self._run_blocking,
            timing=self._timing,
            clock=self._clock,
        )

    async def _attempt(self) -> float | None:
        """Look once; return until when it is ours (monotonic seconds), None if it is not."""
        began = self._clock.monotonic()
        found = await self._run_blocking(self._file.read)
        if found is None:
            created = await self._run_blocking(partial(self._file.create, self._record.bytes()))
            if created:
                return await self._confirmed()
            found = b""  # another one was faster
        if self._domain is not None and is_holder_dead(found, self._domain):
            await self._run_blocking(partial(self._file.replace, self._record.bytes()))
            until = began + self._timing.term
            # Nobody else may act before the end of a claim that began after our look.
            return until if self._clock.monotonic() < until else await self._confirmed()
        self._unchanged = self._unchanged.seen(found) if self._unchanged else UnchangedCount(content=found)
        if self._unchanged.looks < self._timing.still:
            self._waiting(f"{_holder_of(found)} watches this folder; waiting for it to end")
            await asyncio.sleep(self._timing.beat)
            return None
        await self._run_blocking(partial(self._file.replace, self._record.bytes()))
        return await self._confirmed()

    async def _confirmed(self) -> float | None:
        self._unchanged = None
        self._waiting(CLAIMING)
        await asyncio.sleep(self._timing.claim)
        began = self._clock.monotonic()
        is_ours = await self._run_blocking(self._file.read) == self._record.bytes()
        return began + self._timing.term if is_ours else None


def _holder_of(content: bytes | None) -> str:
    record = parse(content or b"")
    return "another sidecar" if record is None else f"another sidecar ({record.display()})"
