"""A big journal is checked after the start, beside the work, where its opening could believe it."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import structlog

from sidecar.journal.soundness import Inspection

log = structlog.get_logger()


async def inspect(journal: Path, *, after: asyncio.Event) -> None:
    """Check the journal once ``after`` is set. Raises JournalLostError."""
    await after.wait()
    inspection = Inspection(journal)
    checked = asyncio.ensure_future(asyncio.to_thread(inspection.run))
    try:
        await asyncio.shield(checked)
    except asyncio.CancelledError:
        inspection.stop()
        with contextlib.suppress(sqlite3.OperationalError):  # SQLite's word for stopped
            await checked
        raise
    log.info("journal_checked", journal=str(journal))
