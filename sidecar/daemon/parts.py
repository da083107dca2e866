"""The composition root: every part is built here, from the settings, with keyword dependencies."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import structlog

from sidecar import __version__
from sidecar.core.breaker import BreakerPolicy
from sidecar.core.clock import Clock
from sidecar.core.errors import JournalLostError
from sidecar.core.ids import sidecar_tag
from sidecar.core.retry import RetryPolicy
from sidecar.core.states import Event
from sidecar.gate import Gate
from sidecar.journal.journal import Journal, Transition
from sidecar.journal.reading import JournalReader
from sidecar.journal.reserve import Reserve
from sidecar.journal.writer import JournalWriter
from sidecar.log_lines import LineWriter
from sidecar.metrics import Metrics
from sidecar.obstacles import Obstacles
from sidecar.settings import Settings, build_router
from sidecar.sync.convex import open_store as open_convex
from sidecar.sync.recall import RecallStage
from sidecar.sync.stage import SyncStage
from sidecar.upload.checking import open_checking
from sidecar.upload.endpoint import object_url, s3_config
from sidecar.upload.open import build_stage as build_upload
from sidecar.upload.open import open_s3
from sidecar.upload.stage import UploadStage
from sidecar.watch.fence import Fence
from sidecar.watch.newness import Newness
from sidecar.watch.root import RootSettings
from sidecar.watch.stage import WatchStage

from .attention import Attention
from .fenced import METADATA_EFFECTS, OBJECT_EFFECTS, fenced
from .heart import Heart
from .housekeeping import Housekeeping
from .identity import identify
from .pieces import Pieces
from .quiet import QuietScenes
from .reconciling import Reconciler
from .resettling import resettle
from .room import Room
from .source import Source

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Everything that runs. ``sync`` and ``reconciler`` are None with ``convex.sync: off``."""

    watch: WatchStage
    upload: UploadStage
    sync: SyncStage | None
    recall: RecallStage
    gates: dict[str, Gate]
    quiet: QuietScenes
    pieces: Pieces
    heart: Heart
    housekeeping: Housekeeping
    source: Source
    reconciler: Reconciler | None
    metrics: Metrics
    attention: Attention


@asynccontextmanager
async def assemble(
    settings: Settings,
    *,
    clock: Clock,
    lines: LineWriter | None = None,
    lost: JournalLostError | None = None,
    newness: Newness | None = None,
) -> AsyncIterator[Parts]:
    """Open journal and clients, build the stages over them. Raises FatalError.

    ``lines`` takes the log. ``lost`` says why the journal that lies there must not be used. ``newness`` tells
    what changed since the process started.
    """
    who = identify(settings.sidecar_id, settings.journal.path)
    name = who.name
    metrics, reserve, fence = Metrics(), Reserve(settings.journal.path), Fence()
    obstacles = Obstacles(clock)
    async with AsyncExitStack() as opened:
        journal = await opened.enter_async_context(_journal(settings, name, clock, metrics, lost, reserve))
        await journal.do(Journal.begin_recall)
        watched = [] if settings.removal == "keep" else [root.root for root in settings.watch]
        while await journal.do(Journal.forgo_removals, watched=watched):
            pass
        await journal.do(Journal.bar, [watch.root for watch in settings.watch])  # until each is ours
        await resettle(journal, roots=[watch.root for watch in settings.watch])
        reader = JournalReader(settings.journal.path, clock=clock, syncing=settings.convex.sync == "on")
        opened.callback(reader.close)
        config = await asyncio.to_thread(s3_config, settings.s3)
        store = fenced(
            await opened.enter_async_context(
                open_s3(config=config, s3=settings.s3, upload=settings.upload, clock=clock)
            ),
            fence.passable,
            effects=OBJECT_EFFECTS,
        )
        checking = await open_checking(config, journal)
        skews: dict[str, Callable[[], float | None]] = {"s3": lambda: store.skew_seconds}
        gates = {"s3": _gate("s3", store.probe, settings, clock)}
        sync, reconciler = None, None
        if settings.convex.sync == "on":
            convex = fenced(
                await opened.enter_async_context(
                    open_convex(settings.convex, sidecar_id=name, clock=clock, version=__version__)
                ),
                fence.passable,
                effects=METADATA_EFFECTS,
            )
            skews["convex"] = lambda: convex.skew_seconds
            gates["convex"] = _gate("convex", convex.probe, settings, clock)
            sync = SyncStage(
                store=convex,
                journal=journal,
                gate=gates["convex"],
                batch=settings.convex.batch,
                sidecar_id=name,
                clock=clock,
                metrics=metrics,
                is_first=who.is_new,
            )
            reconciler = Reconciler(
                journal=journal,
                journal_path=settings.journal.path,
                bucket=settings.s3.bucket,
                tag=sidecar_tag(name),
                sidecar_id=name,
                objects=store,
                metadata=convex,
                sync=sync,
                gates=list(gates.values()),
                url=partial(object_url, config),
                clock=clock,
                skews=lambda: [store.skew_seconds, convex.skew_seconds],
                retention=settings.retention,
                every_seconds=settings.reconcile.every,
                apply=settings.reconcile.apply,
            )
        upload = build_upload(
            store=store,
            journal=journal,
            gate=gates["s3"],
            config=config,
            s3=settings.s3,
            upload=settings.upload,
            clock=clock,
            metrics=metrics,
            sidecar_id=name,
            trusted=sync.registered if sync else None,
            sweep_seconds=settings.reconcile.every,
            obstacles=obstacles,
            checking=checking,
        )
        room = Room(reserve=reserve, reader=reader, syncing=sync is not None)
        watch = _watch(settings, journal, clock, room, name, fence, obstacles, newness)
        heart = Heart(journal=journal, clock=clock)
        housekeeping = Housekeeping.of(
            settings,
            journal=journal,
            is_checked=journal.journal.is_checked,
            reader=reader,
            reserve=reserve,
            watch=watch,
            clock=clock,
            skew=skews["s3"],
        )
        source = Source(
            sidecar_id=name,
            journal_path=settings.journal.path,
            watch=watch,
            upload=upload,
            sync=sync,
            gates=gates,
            journal=journal,
            reader=reader,
            heart=heart,
            housekeeping=housekeeping,
            clock=clock,
            skews=skews,
            reconciler=reconciler,
            lines=lines,
            obstacles=obstacles,
            checking=checking,
        )
        quiet = QuietScenes(
            journal=journal, clock=clock, complete_after_seconds=settings.entities.complete_after
        )
        pieces = Pieces(
            journal=journal,
            watch=watch,
            clock=clock,
            complete_after_seconds=settings.entities.complete_after,
        )
        yield Parts(
            watch=watch,
            upload=upload,
            sync=sync,
            recall=sync.recall if sync else RecallStage(journal=journal, is_first=who.is_new),
            gates=gates,
            quiet=quiet,
            pieces=pieces,
            heart=heart,
            housekeeping=housekeeping,
            source=source,
            reconciler=reconciler,
            metrics=metrics,
            attention=Attention(watch=watch, clock=clock),
        )


def _journal(
    settings: Settings,
    name: str,
    clock: Clock,
    metrics: Metrics,
    lost: JournalLostError | None,
    reserve: Reserve,
) -> JournalWriter:
    def observe(transition: Transition) -> None:
        if transition.event == Event.ACKNOWLEDGED and transition.seconds_since_ready is not None:
            metrics.close_to_synced_seconds.observe(transition.seconds_since_ready)

    reserve.make_way()
    journal = Journal(
        settings.journal.path, tag=sidecar_tag(name), bucket=settings.s3.bucket, clock=clock, lost=lost
    )
    if journal.quarantined is not None:
        log.error("journal_quarantined", why=journal.quarantined)
    return JournalWriter(journal, observe=observe, reserve=reserve, told=settings.convex.sync == "on")


def _gate(remote: str, probe: Callable[[], Awaitable[None]], settings: Settings, clock: Clock) -> Gate:
    retry = settings.retry
    return Gate(
        remote=remote,
        probe=probe,
        retry=RetryPolicy(initial_seconds=retry.initial, max_seconds=retry.max, attempts=retry.attempts),
        breaker=BreakerPolicy(failures=retry.breaker_failures, reset_seconds=retry.breaker_reset),
        clock=clock,
        jitter=random.random,
        sleep=asyncio.sleep,
    )


def _watch(
    settings: Settings,
    journal: JournalWriter,
    clock: Clock,
    room: Room,
    name: str,
    fence: Fence,
    obstacles: Obstacles,
    newness: Newness | None,
) -> WatchStage:
    roots = [
        RootSettings(
            path=watch.root,
            events=watch.events,
            settle_seconds=watch.settle,
            rescan_seconds=watch.rescan,
            removal=settings.removal,
            unmatched=watch.unmatched,
        )
        for watch in settings.watch
    ]
    return WatchStage(
        roots=roots,
        router=build_router(settings),
        journal=journal,
        clock=clock,
        abandon_after_seconds=settings.entities.abandon_after,
        room=room.wait,
        sidecar_id=name,
        fence=fence,
        obstacles=obstacles,
        newness=newness,
    )
