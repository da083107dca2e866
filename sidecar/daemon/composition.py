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
from sidecar.gate import RemoteGate
from sidecar.journal.db.reserve import Reserve
from sidecar.journal.journal import Journal, Transition
from sidecar.journal.read.reader import JournalReader
from sidecar.journal.writer import JournalWriter
from sidecar.log_lines import LineWriter
from sidecar.metrics import Metrics
from sidecar.obstacles import Obstacles
from sidecar.settings import Settings, build_router
from sidecar.sync.convex import open_store as open_convex
from sidecar.sync.lookup import LookupStage
from sidecar.sync.stage import SyncStage
from sidecar.sync.store import MetadataStore
from sidecar.upload.checksum_negotiation import open_negotiation
from sidecar.upload.factory import build_stage as build_upload
from sidecar.upload.factory import open_s3
from sidecar.upload.s3.endpoint import object_url, s3_config
from sidecar.upload.stage import UploadStage
from sidecar.upload.store import ObjectStore
from sidecar.watch.ownership.fence import Fence
from sidecar.watch.root import RootSettings
from sidecar.watch.stage import WatchStage
from sidecar.watch.started import StartTime

from .admission import Admission
from .attention import Attention
from .fenced_port import fenced
from .heartbeat import Heartbeat
from .housekeeping import Housekeeping
from .identity import identify
from .reconciling import Reconciler
from .scene_completion import SceneCompletion
from .settings_change import apply_settings_change
from .source import DaemonSource
from .stream_pieces import StreamPieceRelease

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """Everything that runs. ``sync`` and ``reconciler`` are None with ``convex.sync: off``."""

    watch: WatchStage
    upload: UploadStage
    sync: SyncStage | None
    lookup: LookupStage
    gates: dict[str, RemoteGate]
    scene_completion: SceneCompletion
    pieces: StreamPieceRelease
    heartbeat: Heartbeat
    housekeeping: Housekeeping
    source: DaemonSource
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
    start_time: StartTime | None = None,
) -> AsyncIterator[Components]:
    """Open journal and clients, build the stages over them. Raises FatalError.

    ``lines`` takes the log. ``lost`` says why the journal that lies there must not be used. ``start_time``
    tells what changed since the process started.
    """
    who = identify(settings.sidecar_id, settings.journal.path)
    name = who.name
    metrics, reserve, fence = Metrics(), Reserve(settings.journal.path), Fence()
    obstacles = Obstacles(clock)
    async with AsyncExitStack() as opened:
        journal = await opened.enter_async_context(_journal(settings, name, clock, metrics, lost, reserve))
        await journal.do(Journal.begin_recovery)
        watched = [] if settings.removal == "keep" else [root.root for root in settings.watch]
        while await journal.do(Journal.drop_undecided_removals, watched=watched):
            pass
        await journal.do(Journal.block_roots, [watch.root for watch in settings.watch])  # until each is ours
        await apply_settings_change(journal, roots=[watch.root for watch in settings.watch])
        reader = JournalReader(settings.journal.path, clock=clock, syncing=settings.convex.sync == "on")
        opened.callback(reader.close)
        config = await asyncio.to_thread(s3_config, settings.s3)
        store = fenced(
            await opened.enter_async_context(
                open_s3(config=config, s3=settings.s3, upload=settings.upload, clock=clock)
            ),
            fence.passable,
            port=ObjectStore,
        )
        checking = await open_negotiation(config, journal)
        skews: dict[str, Callable[[], float | None]] = {"s3": lambda: store.skew_seconds}
        gates = {"s3": _gate("s3", store.probe, settings, clock)}
        sync, reconciler = None, None
        if settings.convex.sync == "on":
            convex = fenced(
                await opened.enter_async_context(
                    open_convex(settings.convex, sidecar_id=name, clock=clock, version=__version__)
                ),
                fence.passable,
                port=MetadataStore,
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
        room = Admission(reserve=reserve, reader=reader, syncing=sync is not None)
        watch = _watch(settings, journal, clock, room, name, fence, obstacles, start_time)
        heartbeat = Heartbeat(journal=journal, clock=clock)
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
        source = DaemonSource(
            sidecar_id=name,
            journal_path=settings.journal.path,
            watch=watch,
            upload=upload,
            sync=sync,
            gates=gates,
            journal=journal,
            reader=reader,
            heartbeat=heartbeat,
            housekeeping=housekeeping,
            clock=clock,
            skews=skews,
            reconciler=reconciler,
            lines=lines,
            obstacles=obstacles,
            checking=checking,
        )
        quiet = SceneCompletion(
            journal=journal, clock=clock, complete_after_seconds=settings.entities.complete_after
        )
        pieces = StreamPieceRelease(
            journal=journal,
            watch=watch,
            clock=clock,
            complete_after_seconds=settings.entities.complete_after,
        )
        yield Components(
            watch=watch,
            upload=upload,
            sync=sync,
            lookup=sync.lookup if sync else LookupStage(journal=journal, is_first=who.is_new),
            gates=gates,
            scene_completion=quiet,
            pieces=pieces,
            heartbeat=heartbeat,
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
    return JournalWriter(journal, observe=observe, reserve=reserve, syncing=settings.convex.sync == "on")


def _gate(remote: str, probe: Callable[[], Awaitable[None]], settings: Settings, clock: Clock) -> RemoteGate:
    retry = settings.retry
    return RemoteGate(
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
    room: Admission,
    name: str,
    fence: Fence,
    obstacles: Obstacles,
    start_time: StartTime | None,
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
        start_time=start_time,
    )
