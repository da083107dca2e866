"""One life over a program's journal: the daemon's, without watchers, endpoint and local deletion.

Its work comes from the program itself (``Submissions.submit``), or lies there from a process that ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from sidecar.core.clock import Clock
from sidecar.core.errors import FatalError, SidecarError
from sidecar.core.inconsistencies import InconsistencyType, Repair, RepairRow
from sidecar.core.model import State, Transfer
from sidecar.core.ops import CurrentAsset
from sidecar.journal.db.connection import Transition
from sidecar.journal.read.comparison import Seen
from sidecar.journal.read.reader import JournalReader
from sidecar.journal.stores.submissions import Submissions
from sidecar.journal.stores.takedowns import AskedTakedown
from sidecar.journal.stores.transfers import Transfers
from sidecar.metrics import Metrics
from sidecar.settings import Settings, TokenFileAuth
from sidecar.sync.query import ask
from sidecar.sync.takedown import Takedown
from sidecar.upload.limits import UploadLimits
from sidecar.watch.ownership.fence import Fence

from .composition import Life, open_life
from .library_journals import settings_for
from .library_spool import Spool
from .pruning import Pruner
from .scene_completion import SceneCompletion
from .settings_change import apply_settings_change
from .stages import build_reconciler

LOOK_SECONDS = 0.03
ASK_SECONDS = 5.0
PATIENCE = 3  # times convex.timeout, in which an outage may pass
FORGET_SECONDS, FORGET_AT_ONCE = 600.0, 100
log = structlog.get_logger()


Removed = Callable[[AskedTakedown], Awaitable[None]]


async def nobody(_: AskedTakedown) -> None:
    """Tell nobody of what is taken down."""


class NoStreams:
    """A program has no playlists."""

    def needed_playlists(self) -> Collection[tuple[str, str]] | None:
        """Say that nobody can tell: none is forgotten."""
        return None

    def forget_playlists(self, streams: Iterable[tuple[str, str]]) -> None:
        """Hold nothing: there is none."""


class LibraryLife:
    """An open journal of a program, and what works on it."""

    def __init__(self, life: Life, *, settings: Settings, clock: Clock, removed: Removed) -> None:
        """``settings`` are the life's own; ``removed`` hears of each asset that is taken down."""
        self.life, self.path = life, settings.journal.path
        self.journal = life.opened.journal
        self._syncing = life.stages.sync is not None
        self._pruner = Pruner(
            journal=self.journal,
            clock=clock,
            keep_seconds=settings.journal.keep,
            events_seconds=settings.retention.events,
            skew_seconds=life.opened.remotes.skews["s3"],
            streams=NoStreams(),
        )
        convex = life.opened.remotes
        self.takedown = (
            None
            if convex.backend is None
            else Takedown(
                backend=convex.backend,
                gate=convex.gates["convex"],
                journal=self.journal,
                patience_seconds=PATIENCE * settings.convex.timeout,
                removed=removed,
            )
        )
        self._reconciler = build_reconciler(
            life.shared,
            convex,
            life.stages.sync,
            journal_path=self.path,
            bucket=settings.s3.bucket,
            retention=settings.retention,
            every_seconds=settings.reconcile.every,
            apply=False,
        )
        self._patience_seconds = PATIENCE * settings.convex.timeout
        self._scene_completion = SceneCompletion(
            journal=self.journal, clock=clock, complete_after_seconds=settings.entities.complete_after
        )

    def work(self) -> list[Coroutine[Any, Any, None]]:
        """Return what runs side by side, for ever."""
        return [
            *(gate.run() for gate in self.life.opened.remotes.gates.values()),
            *self.life.stages.work(),
            *self.life.stages.signs_of_life(),
            self._scene_completion.run(),
            self._pruner.run(),
            self._forget_delivered(),
            *([self.takedown.work()] if self.takedown else []),
        ]

    async def is_outdated(self, transfer: Transfer) -> bool:
        """Tell whether Convex shows anything but this synced transfer in its slot, or does not tell.

        Another program may have removed or replaced it. Sent anew, the same bytes make no version.
        """
        remotes = self.life.opened.remotes
        if transfer.state is not State.SYNCED or remotes.metadata is None:
            return False
        question = partial(remotes.metadata.current_assets, [transfer.route.slot])
        try:
            async with asyncio.timeout(ASK_SECONDS):
                (shown,) = await ask(remotes.gates["convex"], "current", question)
        except (TimeoutError, SidecarError) as error:
            log.warning("convex_not_asked", asset=transfer.route.slot.digest, error=str(error))
            return True
        return shown is None or not _is_content_of(transfer, shown)

    async def reconcile(self, kind: InconsistencyType, *, entity_id: str) -> bool:
        """Compare what this journal brought with S3 and Convex, as the daemon does, and mend it.

        Tells whether a session, or a scene as ``{session_id}/{scene_id}``, has none of ``kind`` in the end.
        Raises SidecarError, ReconcileBusyError.
        """
        sync = self.life.stages.sync
        if self._reconciler is None or sync is None:
            return True
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience_seconds):
                await sync.registered.wait()

        async def about(seen: Seen, row: RepairRow) -> bool:
            found = None if seen.row is None else await self.journal.do(Transfers.find, seen.row)
            slot = found.route.slot if found is not None else seen.slot
            if row.repair is Repair.UPLOAD and not await asyncio.to_thread(_is_as_it_was, found):
                return False
            return slot is None or entity_id in {slot.session_id, f"{slot.session_id}/{slot.entity_id}"}

        first = await self._reconciler.reconcile(frozenset({kind}), about=about)
        if not first.found[kind]:
            return True
        if first.repaired[kind] < first.found[kind]:
            return False
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience_seconds):
                await self._until(lambda reader: not (self._on_the_way(reader) or self._calls(reader)))
        again = await self._reconciler.reconcile(frozenset(), about=about)
        return not again.found[kind]

    async def _forget_delivered(self) -> None:
        """Let what is delivered age, so that a program that lives for months does not keep it all."""
        while True:
            await asyncio.sleep(FORGET_SECONDS)
            while await self.journal.do(Submissions.forget_delivered, limit=FORGET_AT_ONCE):  # noqa: ASYNC110 - whoever has work for the journal goes first
                await asyncio.sleep(LOOK_SECONDS)

    async def settle(self) -> None:
        """Return once nothing is on its way, and the scenes that were brought are reported as complete."""
        await self._until(lambda reader: not self._on_the_way(reader))
        await apply_settings_change(self.journal, roots=())  # what changed on the way is let go
        await self._scene_completion.finish()
        await self._until(lambda reader: not (self._on_the_way(reader) or self._calls(reader)))

    async def cleaned(self) -> None:
        """Return once S3 is owed no second look either, which takes minutes where an object was deleted."""
        await self._until(lambda reader: not reader.cleanup_left())

    async def _until(self, over: Callable[[JournalReader], bool]) -> None:
        while not await asyncio.to_thread(over, self.life.opened.reader):  # noqa: ASYNC110 - the question goes to the journal's disk
            await asyncio.sleep(LOOK_SECONDS)

    def _on_the_way(self, reader: JournalReader) -> int:
        return reader.backlog()[0]

    def _calls(self, reader: JournalReader) -> int:
        if not self._syncing:
            return reader.pending_cleanup()
        told = reader.unsettled_ops() + reader.unmarked_expiries() + reader.takedowns()
        return reader.pending_cleanup() + told


def _is_as_it_was(transfer: Transfer | None) -> bool:
    """Tell whether a source lies there as it was sent: no listing has told since. Blocking."""
    if transfer is None:
        return False
    try:
        found = (Path(transfer.root) / transfer.path).lstat()
    except OSError:
        return False
    looked = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    was = transfer.identity
    return was is not None and looked == (was.inode, was.size_bytes, was.mtime_ns, was.ctime_ns)


def _is_content_of(transfer: Transfer, shown: CurrentAsset) -> bool:
    return (shown.bucket, shown.key, shown.transfer_id, shown.version, shown.checksum) == (
        transfer.bucket,
        transfer.key,
        transfer.transfer_id,
        transfer.version,
        transfer.checksum,
    )


@asynccontextmanager
async def open_library_life(
    settings: Settings,
    journal: Path,
    *,
    clock: Clock,
    metrics: Metrics | None = None,
    heard: Callable[[Transition], None] = lambda _: None,
    limits: UploadLimits | None = None,
    removed: Removed = nobody,
) -> AsyncIterator[LibraryLife]:
    """Open a program's journal, new or left, for this process alone; nothing runs before ``work``.

    ``settings`` are the program's, or the daemon's. ``limits`` are shared with whoever else sends.
    Raises FatalError, JournalLostError.
    """
    if settings.convex.sync == "on" and isinstance(settings.convex.auth, TokenFileAuth):
        raise FatalError(
            "convex.auth has mode: token_file, whose tokens name one sidecar; each program is another",
            exit_status=78,
            hint="give programs mode: jwt, whose tokens are made for each, or a deploy key",
        )
    own = settings_for(settings, journal)
    spool = Spool(journal, syncing=settings.convex.sync == "on")

    def observe(transition: Transition) -> None:
        heard(transition)
        spool.heard(transition)

    opening = open_life(own, clock=clock, fence=Fence(), metrics=metrics, heard=observe, limits=limits)
    async with opening as life:
        await asyncio.to_thread(lambda: spool.sweep(life.opened.reader.unfinished_paths()))
        await life.stages.lookup.end()  # what comes is new: nothing was found lying there
        yield LibraryLife(life, settings=own, clock=clock, removed=removed)
