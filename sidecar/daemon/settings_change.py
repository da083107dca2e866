"""Settles what other settings than the last ones mean for what is still owed, and logs it once."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Sequence

import structlog

from sidecar.core.model import State, Transfer
from sidecar.journal.stores.settings_change import SettingsChange
from sidecar.journal.writer import AsyncJournal

NAMES_MAX = 20
log = structlog.get_logger()


async def apply_settings_change(journal: AsyncJournal, *, roots: Sequence[str]) -> None:
    """Send what waits to the settings' bucket; let go what cannot be read below a root that is none any more.

    What is complete and still lies there is shipped all the same.
    """
    aimed = 0
    while number := await journal.do(SettingsChange.redirect_to_bucket):
        aimed += number
    if aimed:
        log.warning(
            "bucket_changed", files=aimed, hint="what was begun in the old bucket is left to its own rule"
        )
    after = 0
    while strays := await journal.do(SettingsChange.unwatched_transfers, watched=roots, after=after):
        after = strays[-1].row_id
        lost = await asyncio.to_thread(_lost, strays)
        if not lost:
            continue
        await journal.do(SettingsChange.forget_unwatched, [one.row_id for one in lost])
        log.warning(
            "files_let_go",
            files=len(lost),
            why="they were not delivered, and their root is no longer in the settings",
            hint="put it back into watch: they are then found as new ones",
            paths=[one.display for one in lost[:NAMES_MAX]],
        )


def _lost(strays: Sequence[Transfer]) -> list[Transfer]:
    return [one for one in strays if not _is_there(one)]


def _is_there(transfer: Transfer) -> bool:
    """Tell whether a complete file can still be shipped."""
    try:
        return transfer.state is State.READY and stat.S_ISREG(os.lstat(transfer.display).st_mode)
    except (OSError, ValueError):
        return False
