"""A configuration in use: its loop, what brings files to S3 and Convex, what asks them; opened and closed."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, Self

import structlog
from prometheus_client import CollectorRegistry

from sidecar.core.clock import SystemClock
from sidecar.daemon.library_adoption import LibraryAdoption
from sidecar.metrics import Metrics
from sidecar.settings import Settings, from_mapping, load
from sidecar.upload.factory import limits_of

from .blocking import call, loop_thread
from .delivery import Delivery
from .errors import ClosedError, ForkedError, LibraryError, WrongLoopError
from .reading import Reading

log = structlog.get_logger()
Source = Settings | Mapping[str, Any] | str | os.PathLike[str] | None


class Connection:
    """One configuration: what brings files, and what asks. Opened, used, closed, on one event loop."""

    def __init__(self, settings: Settings, *, registry: CollectorRegistry | None = None) -> None:
        """``registry`` takes the metrics; None: one of the platform's own."""
        self.settings = settings
        self.metrics = Metrics(registry)
        self._pid = os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opened = AsyncExitStack()
        self._delivery: Delivery | None = None
        self._reading: Reading | None = None
        self._adopting: asyncio.Task[None] | None = None
        self._opening = threading.Lock()
        self._was_opened = False

    # -- open and closed ---------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Open on the running loop; finishes what other programs left, in the background."""
        if self._loop is not None:
            raise LibraryError("the platform is open already")
        _log_by_standard_library()
        self._pid, self._loop = os.getpid(), asyncio.get_running_loop()
        try:
            self._reading = await self._opened.enter_async_context(Reading(self.settings))
            limits = limits_of(self.settings.upload, clock=SystemClock())
            self._delivery = Delivery(
                self.settings, metrics=self.metrics, limits=limits, lookup=self._reading.lookup
            )
        except BaseException:
            await self._forget()
            raise
        self._was_opened = True
        adoption = LibraryAdoption(self.settings, clock=SystemClock(), limits=limits)
        self._adopting = asyncio.create_task(adoption.once(), name="sidecar adoption")
        self._adopting.add_done_callback(_say_how_it_ended)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Ship what is under way for ``shutdown.grace`` at most; the rest is finished by who comes next.

        Until then who waits for a file may still ask; afterwards everything raises ClosedError.
        """
        delivery = self.delivery
        try:
            if self._adopting is not None:
                self._adopting.cancel()
                with suppress(asyncio.CancelledError, Exception):  # what is left is begun anew
                    await self._adopting
            await delivery.close()
        finally:
            await self._forget()

    async def _forget(self) -> None:
        """Close what asks, and be open no more, whatever fails."""
        try:
            await self._opened.aclose()
        finally:
            self._loop = self._delivery = self._reading = None

    def __enter__(self) -> Self:
        """Open on this process's loop thread."""
        return call(loop_thread(), self.__aenter__)

    def __exit__(self, *_: object) -> None:
        """Close, as ``__aexit__`` does; a forked child leaves it to its parent."""
        if self._loop is None or os.getpid() == self._pid:
            call(self.loop, self.__aexit__)

    # -- for the services --------------------------------------------------------------------------

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop it was opened on. Raises ClosedError, ForkedError."""
        self._require_process()
        if self._loop is None:
            raise ClosedError("the platform is not open: use it within `with sidecar.open(...)`")
        return self._loop

    def lazy_loop(self) -> asyncio.AbstractEventLoop:
        """Return its loop; one that nobody opened opens on the loop thread, and closes with the process.

        One that was closed stays closed. Raises ClosedError, ForkedError.
        """
        self._require_process()
        with self._opening:
            if self._loop is None and not self._was_opened:
                self.__enter__()
                # Before the executors end, which is earlier than what atexit calls.
                threading._register_atexit(  # type: ignore[attr-defined]  # noqa: SLF001 - no public way
                    self._close_at_exit
                )
            return self.loop

    def _close_at_exit(self) -> None:
        if self._loop is not None and os.getpid() == self._pid:
            self.__exit__()

    @property
    def delivery(self) -> Delivery:
        """What brings files to S3 and Convex. Raises ClosedError, ForkedError, WrongLoopError."""
        self._require_process()
        if self._delivery is None:
            raise ClosedError("the platform is not open: use it within `async with sidecar.open(...)`")
        self._require_loop()
        return self._delivery

    @property
    def reading(self) -> Reading:
        """What asks S3 and Convex. Raises ClosedError, ForkedError, WrongLoopError."""
        self._require_process()
        if self._reading is None:
            raise ClosedError("the platform is not open: use it within `async with sidecar.open(...)`")
        self._require_loop()
        return self._reading

    def _require_loop(self) -> None:
        if asyncio.get_running_loop() is not self._loop:
            raise WrongLoopError(
                "this platform was opened on another event loop: call the twin that ends in _sync from a"
                " thread, or open it by `async with` here"
            )

    def _require_process(self) -> None:
        if self._loop is not None and os.getpid() != self._pid:
            raise ForkedError(
                "this platform was opened before the process was forked, and its threads and connections"
                " are the parent's: open one in the child"
            )


def read_settings(source: Source) -> Settings:
    """Return the settings of a file's path, a mapping of its keys, or None: the environment alone.

    No folder has to be watched. Raises SettingsError, TypeError.
    """
    if isinstance(source, Settings):
        return source
    if isinstance(source, Mapping):
        return from_mapping(source, watching=False)
    if source is not None and not isinstance(source, str | os.PathLike):
        raise TypeError(f"settings are a file's path, a mapping or None, not {source!r}")
    return load(None if source is None else Path(source), environ=os.environ, watching=False)


def _say_how_it_ended(adopting: asyncio.Task[None]) -> None:
    if not adopting.cancelled() and (error := adopting.exception()) is not None:
        hint = "what other programs left waits for the next one, or for the daemon"
        log.error("library_adoption_ended", why=str(error), hint=hint, exc_info=error)


def _log_by_standard_library() -> None:
    """Let our log lines go to the standard library's logger ``sidecar``, if nobody has said otherwise."""
    if not structlog.is_configured():
        structlog.configure(
            processors=[
                structlog.stdlib.filter_by_level,
                structlog.processors.KeyValueRenderer(key_order=["event"]),
            ],
            wrapper_class=structlog.stdlib.BoundLogger,
            logger_factory=lambda *_: logging.getLogger("sidecar"),
            cache_logger_on_first_use=False,
        )
