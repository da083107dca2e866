"""Runs one life of the daemon, from its settings to its end: signals, one TaskGroup, drain.

SIGHUP restarts the inside. The new settings are loaded and checked first. Then the stages stop as in a
crash, and start with the new settings in the same process; there is no second way to change a setting.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

from sidecar import __version__
from sidecar.core.clock import SystemClock
from sidecar.core.errors import JournalLostError
from sidecar.log_lines import LineWriter
from sidecar.settings import Settings, SettingsError
from sidecar.signals import Inbox, is_again
from sidecar.status.server import serving
from sidecar.upload.factory import limits_of
from sidecar.watch.started import StartTime

from .components import Components
from .composition import assemble
from .drain import Drain, Remaining, build_drain
from .library_adoption import LibraryAdoption

T = TypeVar("T")
log = structlog.get_logger()

DONE, TRY_LATER = 0, 75


@dataclass(frozen=True, slots=True, kw_only=True)
class Reload:
    """The life ended because new settings are to be lived."""

    settings: Settings


class Signals:
    """What the process was told: stop, stop at once, read the settings again."""

    def __init__(self, inbox: Inbox) -> None:
        """Take what the inbox has, and what comes, on the running loop."""
        self.stop, self.stop_now, self.reload = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._stopped_seconds: float | None = None
        loop = asyncio.get_running_loop()
        inbox.deliver(lambda number, at: loop.call_soon_threadsafe(self._on_signal, number, at))

    def _on_signal(self, number: int, at_seconds: float) -> None:
        if number == signal.SIGHUP:
            self.reload.set()
        elif self._stopped_seconds is None:
            self._stopped_seconds = at_seconds
            self.stop.set()
        elif is_again(number, self._stopped_seconds, at_seconds):
            self.stop_now.set()


class DaemonRun:
    """Runs the parts until a signal, or until one of them cannot go on."""

    def __init__(
        self,
        *,
        settings: Settings,
        read_again: Callable[[], Settings],
        signals: Signals,
        lines: LineWriter | None = None,
        lost: JournalLostError | None = None,
        start_time: StartTime | None = None,
    ) -> None:
        """``read_again`` loads the settings anew and raises SettingsError for bad ones.

        ``lines`` takes the log. ``lost`` ended the life before this one: the journal is moved aside first.
        ``start_time`` is as old as the process.
        """
        self._settings, self._read_again, self._signals = settings, read_again, signals
        self._lines, self._lost, self._start_time = lines, lost, start_time
        self._limits = limits_of(settings.upload, clock=SystemClock())

    async def run(self) -> int | Reload:
        """Return the exit status, or the settings of the next life.

        Raises FatalError or JournalLostError, alone or in a group.
        """
        async with AsyncExitStack() as opened:
            assembling = assemble(
                self._settings,
                clock=SystemClock(),
                lines=self._lines,
                lost=self._lost,
                start_time=self._start_time,
                limits=self._limits,
            )
            components = await self._unless_stopped(opened.enter_async_context(assembling))
            if components is None:
                why = "the start came to no end within the grace"
                log.warning("stopped", why=why)
                _write_last_words(why, ())
                return TRY_LATER
            status = self._settings.status
            async with serving(
                source=components.source,
                metrics=components.metrics,
                listen=status.listen,
                socket_path=status.socket,
                public_listen=status.public_listen,
                token=status.token,
            ) as port:
                log.info(
                    "started", version=__version__, sidecar_id=components.source.sidecar_id, status_port=port
                )
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(work) for work in self._work(components)]
                    outcome = await self._until_signalled(components)
                    for task in tasks:
                        task.cancel()
        return outcome

    async def _unless_stopped(self, start: Coroutine[Any, Any, T]) -> T | None:
        """Wait for a start, None if it is to be given up: for room on a disk it may wait for ever."""
        starting, over = asyncio.ensure_future(start), asyncio.ensure_future(self._grace_is_over())
        try:
            await asyncio.wait({starting, over}, return_when=asyncio.FIRST_COMPLETED)
            starting.cancel()  # no effect on one that is done
            await asyncio.wait({starting})
            return None if starting.cancelled() else starting.result()
        finally:
            starting.cancel()
            over.cancel()

    async def _grace_is_over(self) -> None:
        await self._signals.stop.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.shutdown.grace):
                await self._signals.stop_now.wait()

    def _work(self, components: Components) -> list[Coroutine[Any, Any, None]]:
        reconciler = [components.reconciler.run()] if components.reconciler else []
        return [
            components.heartbeat.run(),
            self._announce(components),
            *(gate.run() for gate in components.gates.values()),
            components.watch.run(),
            *components.stages.work(),
            *components.stages.signs_of_life(),
            *reconciler,
            components.scene_completion.run(),
            components.pieces.run(),
            components.housekeeping.run(),
            components.attention.run(),
            LibraryAdoption(self._settings, clock=SystemClock(), limits=self._limits).run(),
        ]

    async def _announce(self, components: Components) -> None:
        await components.watch.ready.wait()
        await components.stages.lookup.end()
        log.info("ready")
        components.heartbeat.notify("READY=1")
        if (sync := components.stages.sync) is not None:
            await components.watch.seen.wait()
            sync.scene_recovery.begin()

    async def _until_signalled(self, components: Components) -> int | Reload:
        while True:
            await _first(self._signals.stop, self._signals.reload)
            if self._signals.stop.is_set():
                return await self._drain(components)
            self._signals.reload.clear()
            try:
                settings = await asyncio.to_thread(self._read_again)
            except SettingsError as error:
                components.source.reload_problem = f"the settings were not reloaded: {error}"
                log.error("reload_refused", error=str(error))  # noqa: TRY400 - a sentence, no traceback
                continue
            log.info("reloading")
            return Reload(settings=settings)

    async def _drain(self, components: Components) -> int:
        components.source.is_draining = True
        components.heartbeat.notify("STOPPING=1")
        log.info("draining", grace_seconds=self._settings.shutdown.grace)
        drain = build_drain(
            components.stages,
            source=components.source,
            quiet=components.scene_completion,
            pieces=components.pieces,
            grace_seconds=self._settings.shutdown.grace,
        )
        running = asyncio.ensure_future(drain.run())
        at_once = asyncio.ensure_future(self._signals.stop_now.wait())
        await asyncio.wait({running, at_once}, return_when=asyncio.FIRST_COMPLETED)
        at_once.cancel()
        remaining = running.result() if running.done() else await self._give_up(running, drain)
        components.attention.look(at_once=True)
        return _stopped(remaining)

    async def _give_up(self, running: asyncio.Future[Remaining], drain: Drain) -> Remaining:
        running.cancel()
        return await drain.remaining()


def _stopped(remaining: Remaining) -> int:
    """Say how it ended, to the log and to whoever reads a container's last words; return the exit status."""
    files = remaining.files + remaining.unsent
    if remaining.is_clean:
        log.info("stopped", owed_files=0, owed_ops=0, paths=[])
        return DONE
    log.warning(
        "stopped", owed_files=files, owed_ops=remaining.ops, away=remaining.away, paths=list(remaining.paths)
    )
    _write_last_words(
        f"{files} files, {remaining.away} roots and {remaining.ops} calls are owed", remaining.paths
    )
    return TRY_LATER


def _write_last_words(why: str, paths: Iterable[str]) -> None:
    """Tell whoever runs the container; a start loads nothing for it."""
    from .termination_message import write_termination_message  # noqa: PLC0415 - not every life needs it

    write_termination_message(why, paths)


async def _first(*events: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
