"""Checks a big journal after the start, beside the work, where its opening could believe it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import structlog

from sidecar.journal.db.integrity import IntegrityCheck

from .blocking import finished

log = structlog.get_logger()


async def check_integrity(journal: Path, *, after: asyncio.Event) -> None:
    """Check the journal once ``after`` is set. Raises JournalLostError."""
    await after.wait()
    inspection = IntegrityCheck(journal)
    await finished(inspection.run, stop=inspection.stop)
    log.info("journal_checked", journal=str(journal))
