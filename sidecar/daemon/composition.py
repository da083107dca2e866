"""The composition root: all that runs is built here from the settings, step by step."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass

from sidecar.core.clock import Clock
from sidecar.core.errors import JournalLostError
from sidecar.journal.db.connection import Transition
from sidecar.journal.db.reserve import Reserve
from sidecar.journal.read.reader import JournalReader
from sidecar.log_lines import LineWriter
from sidecar.metrics import Metrics
from sidecar.obstacles import Obstacles
from sidecar.settings import Settings, build_router
from sidecar.upload.checksum_negotiation import ChecksumNegotiation, open_negotiation
from sidecar.upload.factory import concurrency
from sidecar.upload.limits import UploadLimits
from sidecar.upload.s3.endpoint import object_urls, require_https, s3_config
from sidecar.watch.ownership.fence import Fence
from sidecar.watch.root import RootSettings
from sidecar.watch.stage import WatchStage
from sidecar.watch.started import StartTime

from .admission import Admission
from .components import Components, Opened, build_components
from .identity import identify
from .journal_start import open_journal, take_up
from .remotes import Remotes, open_remotes
from .scheduling import Scheduling
from .stages import Shared, Stages, build_stages


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """The stages over an open journal, wherever their work comes from."""

    shared: Shared
    opened: Opened
    stages: Stages


@asynccontextmanager
async def assemble(
    settings: Settings,
    *,
    clock: Clock,
    lines: LineWriter | None = None,
    lost: JournalLostError | None = None,
    start_time: StartTime | None = None,
    limits: UploadLimits | None = None,
) -> AsyncIterator[Components]:
    """Open journal and clients, build the stages over them. Raises FatalError.

    ``lines`` takes the log. ``lost`` says why the journal that lies there must not be used. ``start_time``
    tells what changed since the process started. ``limits`` are shared with whoever else sends.
    """
    fence = Fence()
    async with open_life(settings, clock=clock, fence=fence, lost=lost, limits=limits) as life:
        opened, shared = life.opened, life.shared
        room = Admission(reserve=opened.reserve, reader=opened.reader, syncing=life.stages.sync is not None)
        watch = _watch(settings, shared, room, fence, start_time)
        life.stages.upload.on_crowd = Scheduling().crowd
        yield build_components(settings, shared, opened, life.stages, watch, lines)


@asynccontextmanager
async def open_life(
    settings: Settings,
    *,
    clock: Clock,
    fence: Fence,
    lost: JournalLostError | None = None,
    metrics: Metrics | None = None,
    heard: Callable[[Transition], None] | None = None,
    limits: UploadLimits | None = None,
) -> AsyncIterator[Life]:
    """Open journal and clients, build the stages over them: all but where work comes from. Raises FatalError.

    ``heard`` is told of each committed transition; the rest is as ``assemble`` says.
    """
    who = identify(settings.sidecar_id, settings.journal.path)
    metrics, reserve = metrics or Metrics(), Reserve(settings.journal.path)
    async with AsyncExitStack() as opened:
        writer = open_journal(
            settings,
            sidecar_id=who.name,
            clock=clock,
            metrics=metrics,
            reserve=reserve,
            lost=lost,
            heard=heard,
        )
        journal = await opened.enter_async_context(writer)
        await take_up(journal, settings)
        reader = opened.enter_context(closing(_reader(settings, clock)))
        config = await asyncio.to_thread(s3_config, settings.s3)
        if settings.https_only:
            require_https(config)
        opening = open_remotes(
            settings, config=config, sidecar_id=who.name, fence=fence, clock=clock, limits=limits
        )
        remotes = await opened.enter_async_context(opening)
        checking = await open_negotiation(config, journal)
        shared = Shared(
            journal=journal,
            clock=clock,
            metrics=metrics,
            sidecar_id=who.name,
            is_first=who.is_new,
            obstacles=Obstacles(clock),
            url=object_urls(config),
        )
        yield Life(
            shared=shared,
            opened=Opened(
                journal=journal, reserve=reserve, reader=reader, remotes=remotes, checking=checking
            ),
            stages=_stages(settings, shared, remotes, checking),
        )


def _reader(settings: Settings, clock: Clock) -> JournalReader:
    return JournalReader(settings.journal.path, clock=clock, syncing=settings.convex.sync == "on")


def _stages(settings: Settings, shared: Shared, remotes: Remotes, checking: ChecksumNegotiation) -> Stages:
    return build_stages(
        shared,
        remotes,
        batch=settings.convex.batch,
        part_bytes=settings.s3.part_size,
        concurrency=concurrency(settings.upload),
        sweep_seconds=settings.reconcile.every,
        takes_back=settings.convex.on_refused == "delete",
        checking=checking,
    )


def _watch(
    settings: Settings, shared: Shared, room: Admission, fence: Fence, start_time: StartTime | None
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
        journal=shared.journal,
        clock=shared.clock,
        abandon_after_seconds=settings.entities.abandon_after,
        room=room.wait,
        sidecar_id=shared.sidecar_id,
        fence=fence,
        obstacles=shared.obstacles,
        start_time=start_time,
        part_bytes=settings.s3.part_size,
    )
