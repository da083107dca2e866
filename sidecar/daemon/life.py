"""Runs one life of the daemon, from its settings to its end: signals, one TaskGroup, drain.

SIGHUP restarts the inside. The new settings are loaded and checked first. Then the stages stop as in a
crash, and start with the new settings in the same process; there is no second way to change a setting.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
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
from sidecar.watch.newness import Newness

from . import last_words
from .drain import Drain, Owed
from .parts import Parts, assemble

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
        inbox.deliver(lambda number, at: loop.call_soon_threadsafe(self._hear, number, at))

    def _hear(self, number: int, at_seconds: float) -> None:
        if number == signal.SIGHUP:
            self.reload.set()
        elif self._stopped_seconds is None:
            self._stopped_seconds = at_seconds
            self.stop.set()
        elif is_again(number, self._stopped_seconds, at_seconds):
            self.stop_now.set()


class Life:
    """Runs the parts until a signal, or until one of them cannot go on."""

    def __init__(
        self,
        *,
        settings: Settings,
        read_again: Callable[[], Settings],
        signals: Signals,
        lines: LineWriter | None = None,
        lost: JournalLostError | None = None,
        newness: Newness | None = None,
    ) -> None:
        """``read_again`` loads the settings anew and raises SettingsError for bad ones.

        ``lines`` takes the log. ``lost`` ended the life before this one: the journal is moved aside first.
        ``newness`` is as old as the process.
        """
        self._settings, self._read_again, self._signals = settings, read_again, signals
        self._lines, self._lost, self._newness = lines, lost, newness

    async def live(self) -> int | Reload:
        """Return the exit status, or the settings of the next life.

        Raises FatalError or JournalLostError, alone or in a group.
        """
        async with AsyncExitStack() as opened:
            assembling = assemble(
                self._settings,
                clock=SystemClock(),
                lines=self._lines,
                lost=self._lost,
                newness=self._newness,
            )
            parts = await self._unless_stopped(opened.enter_async_context(assembling))
            if parts is None:
                why = "the start came to no end within the grace"
                log.warning("stopped", why=why)
                last_words.leave(why, ())
                return TRY_LATER
            status = self._settings.status
            async with serving(
                source=parts.source,
                metrics=parts.metrics,
                listen=status.listen,
                socket_path=status.socket,
                public_listen=status.public_listen,
                token=status.token,
            ) as port:
                log.info("started", version=__version__, sidecar_id=parts.source.sidecar_id, status_port=port)
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(work) for work in self._work(parts)]
                    outcome = await self._until_told(parts)
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

    def _work(self, parts: Parts) -> list[Coroutine[Any, Any, None]]:
        sync = [parts.sync.run(), parts.sync.expiry.run(), parts.sync.unfinished.run()] if parts.sync else []
        gates = [gate.run() for gate in parts.gates.values()]
        reconciler = [parts.reconciler.run()] if parts.reconciler else []
        stages = [parts.watch.run(), parts.recall.run(), parts.upload.run(), *sync]
        return [
            parts.heart.run(),
            self._announce(parts),
            *gates,
            *stages,
            *reconciler,
            parts.quiet.run(),
            parts.pieces.run(),
            parts.housekeeping.run(),
            parts.attention.run(),
        ]

    async def _announce(self, parts: Parts) -> None:
        await parts.watch.ready.wait()
        await parts.recall.end()
        log.info("ready")
        parts.heart.notify("READY=1")
        if parts.sync is not None:
            await parts.watch.seen.wait()
            parts.sync.unfinished.begin()

    async def _until_told(self, parts: Parts) -> int | Reload:
        while True:
            await _first(self._signals.stop, self._signals.reload)
            if self._signals.stop.is_set():
                return await self._drain(parts)
            self._signals.reload.clear()
            try:
                settings = await asyncio.to_thread(self._read_again)
            except SettingsError as error:
                parts.source.reload_problem = f"the settings were not reloaded: {error}"
                log.error("reload_refused", error=str(error))  # noqa: TRY400 - a sentence, no traceback
                continue
            log.info("reloading")
            return Reload(settings=settings)

    async def _drain(self, parts: Parts) -> int:
        parts.source.is_draining = True
        parts.heart.notify("STOPPING=1")
        log.info("draining", grace_seconds=self._settings.shutdown.grace)
        drain = Drain(
            source=parts.source,
            quiet=parts.quiet,
            pieces=parts.pieces,
            cleaner=parts.upload.cleaner,
            grace_seconds=self._settings.shutdown.grace,
            syncing=parts.sync is not None,
            asking=lambda: parts.sync is not None and parts.sync.unfinished.is_asking,
        )
        running = asyncio.ensure_future(drain.run())
        at_once = asyncio.ensure_future(self._signals.stop_now.wait())
        await asyncio.wait({running, at_once}, return_when=asyncio.FIRST_COMPLETED)
        at_once.cancel()
        owed = running.result() if running.done() else await self._give_up(running, drain)
        parts.attention.look(at_once=True)
        return _stopped(owed)

    async def _give_up(self, running: asyncio.Future[Owed], drain: Drain) -> Owed:
        running.cancel()
        return await drain.owed()


def _stopped(owed: Owed) -> int:
    """Say how it ended, to the log and to whoever reads a container's last words; return the exit status."""
    files = owed.files + owed.unsent
    if owed.is_clean:
        log.info("stopped", owed_files=0, owed_ops=0, paths=[])
        return DONE
    log.warning("stopped", owed_files=files, owed_ops=owed.ops, away=owed.away, paths=list(owed.paths))
    last_words.leave(f"{files} files, {owed.away} roots and {owed.ops} calls are owed", owed.paths)
    return TRY_LATER


async def _first(*events: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
