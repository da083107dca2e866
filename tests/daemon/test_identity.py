"""Who a sidecar is, and whether S3 can hold anything of it."""

from __future__ import annotations

from pathlib import Path

from sidecar.core.clock import SystemClock
from sidecar.core.model import KnownContent
from sidecar.daemon.identity import identify
from sidecar.journal.journal import Journal
from sidecar.journal.stores.lookups import Lookups
from sidecar.journal.stores.recovery import Recovery
from sidecar.journal.writer import JournalWriter
from sidecar.sync.lookup import LookupStage
from sidecar.sync.registration import Registrar
from tests.support import journals
from tests.support.gates import convex_gate
from tests.support.memory_metadata import MemoryMetadata


def test_an_id_is_new_once(tmp_path: Path) -> None:
    """It stays, whatever becomes of the journal; one that was given may have had a life before."""
    journal = tmp_path / "journal.db"
    first, second = identify(None, journal), identify(None, journal)
    assert (first.is_new, second.is_new, first.name) == (True, False, second.name)
    assert identify("node-7", journal).is_new is None


async def test_a_sidecar_that_is_new_searches_for_nothing(tmp_path: Path) -> None:
    """Without Convex S3 is searched, unless nothing of this sidecar can be there."""
    db = Journal(tmp_path / "journal.db", tag=journals.TAG, bucket="lessons", clock=SystemClock())
    async with JournalWriter(db) as writer:
        await writer.do(Recovery.begin_recovery)
        await writer.run(lambda journal: journals.ready(journal, "A"))
        [transfer] = await writer.do(Lookups.awaiting_lookup, limit=9)
        for is_first, recall in ((True, None), (False, KnownContent())):
            stage = LookupStage(journal=writer, is_first=is_first)
            assert await stage._look_up([transfer]) == ({transfer.row_id: recall}, False)


async def test_a_journal_that_convex_was_never_told_of_is_no_reason_to_forget_it(tmp_path: Path) -> None:
    """The first one ends before Convex answers, and is lost: the second one is Convex's first."""
    db = Journal(tmp_path / "journal.db", tag=journals.TAG, bucket="lessons", clock=SystemClock())
    metadata = MemoryMetadata()
    async with JournalWriter(db) as writer:
        await writer.do(Recovery.begin_recovery)
        await writer.run(lambda journal: journals.ready(journal, "A"))
        [transfer] = await writer.do(Lookups.awaiting_lookup, limit=9)
        for is_first, recall in ((None, None), (False, KnownContent())):
            gate = convex_gate(metadata.probe, SystemClock())
            registrar = Registrar(store=metadata, journal=writer, gate=gate, sidecar_id="s")
            await registrar.register()
            stage = LookupStage(
                journal=writer, store=metadata, gate=gate, registrar=registrar, is_first=is_first
            )
            assert await stage._look_up([transfer]) == ({transfer.row_id: recall}, True)
