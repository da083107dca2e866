"""Opens the journal, and brings what it holds from before in line with this life."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from sidecar.core.clock import Clock
from sidecar.core.errors import JournalLostError
from sidecar.core.ids import sidecar_tag
from sidecar.core.states import Event
from sidecar.journal.db.connection import Transition
from sidecar.journal.db.reserve import Reserve
from sidecar.journal.journal import Journal
from sidecar.journal.stores.recovery import Recovery
from sidecar.journal.stores.removal_decisions import RemovalDecisions
from sidecar.journal.stores.roots import Roots
from sidecar.journal.writer import AsyncJournal, JournalWriter
from sidecar.metrics import Metrics
from sidecar.settings import Settings

from .settings_change import apply_settings_change

log = structlog.get_logger()


def open_journal(
    settings: Settings,
    *,
    sidecar_id: str,
    clock: Clock,
    metrics: Metrics,
    reserve: Reserve,
    lost: JournalLostError | None,
    heard: Callable[[Transition], None] | None = None,
) -> JournalWriter:
    """Open the file, or a new one where it is ``lost``; enter the writer, and its thread begins.

    ``heard`` is told of each committed transition.
    """

    def observe(transitions: Sequence[Transition]) -> None:
        for step in transitions:
            if heard is not None:
                heard(step)
            if step.event == Event.ACKNOWLEDGED and step.seconds_since_ready is not None:
                metrics.close_to_synced_seconds.observe(step.seconds_since_ready)

    reserve.make_way()
    journal = Journal(
        settings.journal.path, tag=sidecar_tag(sidecar_id), bucket=settings.s3.bucket, clock=clock, lost=lost
    )
    if journal.db.quarantined is not None:
        log.error("journal_quarantined", why=journal.db.quarantined)
    return JournalWriter(journal, observe=observe, reserve=reserve, syncing=settings.convex.sync == "on")


async def take_up(journal: AsyncJournal, settings: Settings) -> None:
    """Begin with what is there. Every root is blocked until it is known to be ours."""
    roots = [watch.root for watch in settings.watch]
    await begin_recovery(journal, watched=[] if settings.removal == "keep" else roots)
    await journal.do(Roots.block_roots, roots)
    await apply_settings_change(journal, roots=roots)


async def begin_recovery(journal: AsyncJournal, *, watched: Sequence[str]) -> None:
    """Begin a new journal's recovery, and forget what nobody decided of roots that are not ``watched``."""
    await journal.do(Recovery.begin_recovery)
    while await journal.do(RemovalDecisions.drop_undecided_removals, watched=watched):
        pass
