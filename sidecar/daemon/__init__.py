"""The daemon: ``main`` runs it until it is told to stop; a reload is a new life in the same process."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import structlog
import uvloop
from pydantic import BaseModel

from sidecar import logs
from sidecar.core.clock import SystemClock
from sidecar.core.errors import FatalError, JournalLostError
from sidecar.log_lines import LineWriter
from sidecar.settings import Secret, Settings, load
from sidecar.signals import Inbox
from sidecar.threads import Threads
from sidecar.watch.started import StartTime

from .process_memory import forbid_dumps, keep_heaps_small
from .run import DaemonRun, Reload, Signals

log = structlog.get_logger()
FAILED = 1
GC_OBJECTS = 10_000  # new ones between two looks for cycles; a listing makes a million that are in none
LOSSES_MAX = 3  # of journals in one process: a disk that spoils more of them cannot be trusted


def main(config: Path | None, *, inbox: Inbox | None = None, lines: LineWriter | None = None) -> int:
    """Run the daemon; return its exit status: 0, 1, 75 or 78.

    ``inbox`` has what signals said so far, and ``lines`` takes the log.
    Raises SettingsError for a bad configuration, which the command line prints.
    """
    forbid_dumps()
    keep_heaps_small()
    settings = load(config, environ=os.environ)
    _log_as(settings, lines)
    for warning in settings.warnings:
        log.warning("settings", warning=warning)
    gc.freeze()  # what is imported by now lives as long as the process
    gc.set_threshold(GC_OBJECTS, 10, 10)
    gc.enable()  # the command line may have put it off until here
    try:
        return uvloop.run(_lives(settings, config, inbox or Inbox(), lines))
    except (Exception, BaseExceptionGroup) as error:
        fatal = _fatal_in(error)
        if fatal is None:
            log.critical("bug", exc_info=True)  # the interpreter's own traceback would mask no secret
            return FAILED
    log.critical("fatal", error=str(fatal))
    print(f"sidecar: {fatal}", file=sys.stderr)  # noqa: T201 - the sentence for whoever started it
    return fatal.exit_status


async def _lives(settings: Settings, config: Path | None, inbox: Inbox, lines: LineWriter | None) -> int:
    asyncio.get_running_loop().set_default_executor(Threads())
    signals = Signals(inbox)
    try:
        return await _one_after_another(settings, config, signals, lines)
    finally:
        inbox.close()  # before the loop ends that they are told to


async def _one_after_another(
    settings: Settings, config: Path | None, signals: Signals, lines: LineWriter | None
) -> int:
    lost, losses, start_time = None, 0, StartTime(SystemClock())
    while True:
        life = DaemonRun(
            settings=settings,
            read_again=lambda: load(config, environ=os.environ),
            signals=signals,
            lines=lines,
            lost=lost,
            start_time=start_time,
        )
        try:
            outcome = await life.run()
        except (JournalLostError, BaseExceptionGroup) as error:
            lost, losses = _lost_in(error), losses + 1
            if lost is None:
                raise
            if losses > LOSSES_MAX:
                raise FatalError(str(lost), exit_status=FAILED, hint="look at the disk below it") from error
            continue
        lost = None
        if not isinstance(outcome, Reload):
            return outcome
        settings = outcome.settings
        _log_as(settings, lines)


def _log_as(settings: Settings, lines: LineWriter | None) -> None:
    secrets = list(_secrets(settings))
    logs.configure(
        log_format=settings.logging.format,
        level=settings.logging.level,
        secrets=lambda: [value for secret in secrets if (value := secret.peek())],
        lines=lines,
    )


def _secrets(section: BaseModel) -> Iterator[Secret]:
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Secret):
            yield value
        elif isinstance(value, BaseModel):
            yield from _secrets(value)


def _lost_in(error: BaseException) -> JournalLostError | None:
    """Return the loss of the journal among the errors that ended a life; the rest followed from it."""
    if isinstance(error, BaseExceptionGroup):
        return next(filter(None, map(_lost_in, error.exceptions)), None)
    return error if isinstance(error, JournalLostError) else None


def _fatal_in(error: BaseException) -> FatalError | None:
    """Return the FatalError that ended a TaskGroup, if nothing but such ended it: the rest are bugs."""
    if isinstance(error, FatalError):
        return error
    if not isinstance(error, BaseExceptionGroup):
        return None
    found = [_fatal_in(inner) for inner in error.exceptions]
    return found[0] if None not in found else None
