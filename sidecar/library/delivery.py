"""Brings what a program hands over to S3 and Convex, through a journal of this process's own.

The journal is opened with the first file and closed with the platform. What ends in between is told to
whoever waits; what does not end in time, or is cut off, is finished by the next program or the daemon.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from hashlib import sha256
from pathlib import Path

import structlog

from sidecar.core.checksums import UNVERIFIED
from sidecar.core.clock import SystemClock
from sidecar.core.errors import FatalError, JournalLostError
from sidecar.core.inconsistencies import InconsistencyType
from sidecar.core.model import Fingerprint, Observation, Route, State, StatIdentity, Transfer
from sidecar.daemon.library_adoption import TRY_LATER, while_working
from sidecar.daemon.library_journals import new_journal, retire, spool_of
from sidecar.daemon.library_life import LOOK_SECONDS, LibraryLife, open_library_life
from sidecar.daemon.library_spool import discard
from sidecar.daemon.reconciling import ReconcileBusyError
from sidecar.journal.db.connection import Transition
from sidecar.journal.stores.cleanup import ANNOUNCED, Cleanup
from sidecar.journal.stores.submissions import Submissions
from sidecar.journal.stores.takedowns import AskedTakedown
from sidecar.metrics import Metrics
from sidecar.settings import Settings
from sidecar.sync.takedown import TakenDown
from sidecar.upload.limits import UploadLimits
from sidecar.upload.store import ObjectHead

from .asset_news import AssetNews
from .endings import Endings, not_yet
from .errors import ClosedError, LibraryError, RefusedError, SourceError
from .gathered_reads import GatheredReads
from .source import SourceRead, SourceReader
from .url_cache import AssetLookup

_OVER = frozenset({State.SYNCED, State.DEAD, State.SUPERSEDED, State.GONE})
_NEWER_MAX = 100
OPENINGS_MAX = 3
READERS = 2  # files at once: of small ones six threads fought for the interpreter, a quarter of the CPU
COPIERS = 6  # a copy waits for the disk, and those that wait together share its turn
TAKEN_BACK_SECONDS, DELETED_SECONDS = 5.0, 30.0
log = structlog.get_logger()


class Delivery:
    """Takes files, and tells what became of them."""

    def __init__(
        self,
        settings: Settings,
        *,
        metrics: Metrics,
        limits: UploadLimits,
        lookup: AssetLookup | None = None,
    ) -> None:
        """``settings`` are the program's; ``metrics`` count what goes; ``limits`` bound it.

        ``lookup`` hears what is replaced.
        """
        self._news = AssetNews(lookup)
        self._settings, self._metrics, self._limits = settings, metrics, limits
        self._over = _OVER if settings.convex.sync == "on" else _OVER | {State.UPLOADED}
        self._reader = SourceReader(part_bytes=settings.s3.part_size)
        self._readers, self._copiers = asyncio.Semaphore(READERS), asyncio.Semaphore(COPIERS)
        self._closing = asyncio.Event()
        self._living: asyncio.Task[None] | None = None
        self._started: asyncio.Future[LibraryLife] | None = None  # of what lives now, or lived last
        self._alive: LibraryLife | None = None
        self._endings = Endings(self._over)
        self._reads: tuple[LibraryLife, GatheredReads] | None = None

    async def deliver(self, source: Path, route: Route, *, wait: bool) -> Transfer:
        """Take a file in; return once that is durable, or with ``wait`` once Convex has it.

        With ``convex.sync: off`` S3 is the end.

        Raises SourceError, RefusedError; FatalError for settings that cannot work, JournalLostError.
        """
        life = await self._opened()
        found = await self._found(life, source, route, wait=wait)
        with self._endings.about_to_wait() as ended:
            submitting = self._submitted(life, source, route, found, is_copy=not wait)
            # A transaction that was begun is made whoever is cancelled: its outcome tells whose a copy is.
            transfer = await asyncio.shield(submitting)
            if not wait or transfer.state in self._over:
                return transfer
            ends = self._end_of(life, transfer.transfer_id, ended)
        return await self._delivered(life, source, transfer, ends)

    async def announce(self, route: Route, head: ObjectHead, *, checksum: str, url: str) -> Transfer:
        """Tell Convex of an object that is in S3; return once it has it. Raises as ``deliver``."""
        life = await self._opened()
        stored = head.stored
        seen = Observation(
            root=f"{ANNOUNCED}{stored.bucket}",
            path=stored.key,
            identity=_identity(head, checksum),
            route=route,
        )
        fingerprint = Fingerprint(identity=seen.identity, checksum=checksum)
        outdated = await _outdated(life, seen, fingerprint)
        with self._endings.about_to_wait() as ended:
            found = await life.journal.do(
                Submissions.announce, seen, fingerprint, stored, url=url, outdated=outdated
            )
            if found.transfer is None:
                raise LibraryError(f"{stored.key} is not told: {found.refused}")
            self._news.expect(found.transfer)
            if found.transfer.state in self._over:
                return found.transfer
            ends = self._end_of(life, found.transfer.transfer_id, ended)
        return await self._delivered(life, Path(stored.key), found.transfer, ends)

    async def take_down(self, asked: Sequence[AskedTakedown]) -> list[TakenDown]:
        """Remove assets of one project, as ``Takedown.take_down`` does. Raises SidecarError, FatalError."""
        takedown = (await self._opened()).takedown
        if takedown is None:
            raise LibraryError(
                "convex.sync is off, and only Convex knows assets: give convex.url and convex.auth"
            )
        found = await takedown.take_down(asked)
        await _deleted(await self._opened(), within_seconds=DELETED_SECONDS)
        return found

    async def reconcile(self, kind: InconsistencyType, *, entity_id: str) -> bool:
        """Compare and mend what this program brought, as ``LibraryLife.reconcile`` says.

        Raises LibraryError while it cannot be compared; SidecarError, FatalError.
        """
        life = await self._opened()
        try:
            return await life.reconcile(kind, entity_id=entity_id)
        except ReconcileBusyError as error:
            raise LibraryError(f"nothing can be compared now: {error}") from None

    async def close(self) -> None:
        """Ship what is under way, for ``shutdown.grace`` at most; the rest stays in the journal."""
        self._closing.set()
        living = self._living
        if living is None:
            return
        await asyncio.wait({living}, timeout=self._settings.shutdown.grace)
        await self._news.told()
        living.cancel()
        with suppress(asyncio.CancelledError, Exception, BaseExceptionGroup):  # who waited was told
            await living

    # -- one file ----------------------------------------------------------------------------------

    async def _found(self, life: LibraryLife, source: Path, route: Route, *, wait: bool) -> SourceRead:
        """Read a file, or copy it; a cancelled caller's copy goes once it is made."""
        if wait:
            return await self._read(life.path, source, route, wait=True)
        copying = asyncio.ensure_future(self._read(life.path, source, route, wait=False))
        try:
            return await asyncio.shield(copying)
        except asyncio.CancelledError:
            copying.add_done_callback(partial(_discard_copy, spool_of(life.path)))
            raise

    async def _submitted(
        self, life: LibraryLife, source: Path, route: Route, found: SourceRead, *, is_copy: bool
    ) -> Transfer:
        seen = Observation(
            root=found.root,
            path=found.path,
            identity=found.fingerprint.identity,
            route=route,
            home=found.home,
        )
        submission = await life.journal.do(Submissions.submit, seen, found.fingerprint)
        if (before := submission.delivered) is not None:
            outdated = before.row_id if await life.is_outdated(before) else None
            submission = await life.journal.do(
                Submissions.submit_delivered, seen, found.fingerprint, outdated=outdated
            )
        transfer = submission.transfer
        if transfer is not None:
            self._news.expect(transfer)
        if is_copy and (transfer is None or transfer.path != found.path):  # refused, or on their way already
            await asyncio.to_thread(discard, spool_of(life.path), found.path)
        if transfer is None:
            raise LibraryError(f"{source} is not stored: {submission.refused}")
        return transfer

    async def _read(self, journal: Path, source: Path, route: Route, *, wait: bool) -> SourceRead:
        check = route.check_structure
        if wait:
            async with self._readers:
                return await asyncio.to_thread(self._reader.read, source, check_structure=check)
        spool = spool_of(journal)
        async with self._copiers:
            return await asyncio.to_thread(self._reader.spool, source, spool, check_structure=check)

    async def _delivered(
        self, life: LibraryLife, source: Path, transfer: Transfer, ends: asyncio.Future[State | None]
    ) -> Transfer:
        """Wait for the end of a transfer, or of what took its place."""
        for _ in range(_NEWER_MAX):
            state = await ends
            if state is not State.SUPERSEDED:
                break
            with self._endings.about_to_wait() as ended:
                newer = await life.journal.do(Submissions.drop_changed, transfer.row_id)
                if newer is None:
                    raise SourceError(f"{source} is not stored: it changed before it was sent")
                transfer = newer
                if transfer.state in self._over:
                    break
                ends = self._end_of(life, transfer.transfer_id, ended)
        # By its row: it takes another's id where Convex keeps another object of the same bytes.
        found = await self._reads_of(life).one(transfer.row_id)
        if found.state is State.DEAD:
            await _deleted(life, within_seconds=TAKEN_BACK_SECONDS)  # if it is taken back
        return _told(found, source)

    def _reads_of(self, life: LibraryLife) -> GatheredReads:
        if self._reads is None or self._reads[0] is not life:
            self._reads = life, GatheredReads(life.journal)
        return self._reads[1]

    def _end_of(
        self, life: LibraryLife, transfer_id: str, ended: Mapping[str, State | None]
    ) -> asyncio.Future[State | None]:
        """Return what is done with the end of a transfer. Raises ClosedError where its life is over."""
        if life is not self._alive:
            raise not_yet()
        return self._endings.end_of(transfer_id, ended)

    def _heard(self, transition: Transition) -> None:
        if self._endings.heard(transition):
            self._news.heard(transition)

    # -- the life ----------------------------------------------------------------------------------

    async def _opened(self) -> LibraryLife:
        if self._closing.is_set():
            raise ClosedError("the platform is closed: use it within its `with` block")
        if self._started is None or self._living is None or self._living.done():
            self._started = asyncio.get_running_loop().create_future()
            self._living = asyncio.create_task(self._live(self._started), name="sidecar library")
        return await asyncio.shield(self._started)  # whoever is cancelled here leaves it to all others

    async def _live(self, started: asyncio.Future[LibraryLife]) -> None:
        try:
            journal = await self._lived(started)
        except asyncio.CancelledError:
            self._end(started, not_yet())
            raise
        except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 - told to everybody who waits
            self._end(started, _first(error))
        else:
            self._over_with(not_yet())
            await asyncio.to_thread(retire, journal)

    async def _lived(self, started: asyncio.Future[LibraryLife]) -> Path:
        """Live over a journal of our own, until the platform closes; return its path."""
        for tries_left in reversed(range(OPENINGS_MAX)):
            journal = new_journal(self._settings.journal.path)
            opening = open_library_life(
                self._settings,
                journal,
                clock=SystemClock(),
                metrics=self._metrics,
                heard=self._heard,
                limits=self._limits,
                removed=self._news.removed,
            )
            try:
                async with opening as life:
                    self._alive = life
                    started.set_result(life)
                    await while_working(life.work(), self._until_closed(life))
                    return journal
            except FatalError as error:
                # Who looks for what was left may hold a new lock for a moment: another journal has another.
                if started.done() or error.exit_status != TRY_LATER or not tries_left:
                    raise
        raise AssertionError("the last try returns or raises")

    async def _until_closed(self, life: LibraryLife) -> None:
        await self._closing.wait()
        for gate in life.life.opened.remotes.gates.values():
            gate.hurry(1.0)
        await life.settle()

    def _end(self, started: asyncio.Future[LibraryLife], error: BaseException) -> None:
        """Tell everybody who waits that this life is over; what was handed over stays in its journal."""
        self._over_with(error, started)
        log.warning("library_life_ended", error=str(error))

    def _over_with(self, error: BaseException, *more: asyncio.Future[LibraryLife]) -> None:
        self._alive = None
        self._endings.fail(error, *more)


def _discard_copy(spool: Path, copying: asyncio.Future[SourceRead]) -> None:
    if not copying.cancelled() and copying.exception() is None:
        copying.get_loop().run_in_executor(None, discard, spool, copying.result().path)


async def _outdated(life: LibraryLife, seen: Observation, found: Fingerprint) -> int | None:
    """Return the row that delivered this very content before, unless Convex shows it still."""
    delivered = await life.journal.do(Submissions.delivered, seen, found)
    return delivered.row_id if delivered and await life.is_outdated(delivered) else None


async def _deleted(life: LibraryLife, *, within_seconds: float) -> None:
    """Wait until the objects are gone that are to go, but not out an outage of S3."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within_seconds):
            while await life.journal.do(Cleanup.is_deleting):  # noqa: ASYNC110 - as ``settle`` asks
                await asyncio.sleep(LOOK_SECONDS)


def _identity(head: ObjectHead, checksum: str) -> StatIdentity:
    """Return what tells one content under a key from another: its opaque ETag, and whether it was read."""
    told = head.stored.etag + (UNVERIFIED if checksum.startswith(UNVERIFIED) else "")
    mark = int.from_bytes(sha256(told.encode()).digest()[:7])
    return StatIdentity(inode=0, size_bytes=head.size_bytes, mtime_ns=mark, ctime_ns=mark)


def _told(transfer: Transfer, source: Path) -> Transfer:
    match transfer.state:
        case State.DEAD:
            message = transfer.error_message or "it was given up"
            raise RefusedError(f"{source} is not stored: {message}", kind=transfer.error_kind)
        case State.GONE:
            raise SourceError(f"{source} is not stored: it was removed before it was sent")
        case _:
            return transfer


def _first(error: BaseException) -> BaseException:
    """Return what ended a life: of a group its first FatalError or JournalLostError, if there is one."""
    if isinstance(error, BaseExceptionGroup):
        found = error.subgroup((FatalError, JournalLostError))
        return _first((found or error).exceptions[0])
    return error
