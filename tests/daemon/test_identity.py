"""Who a sidecar is, and whether S3 can hold anything of it."""

from __future__ import annotations

from pathlib import Path

from sidecar.core.clock import SystemClock
from sidecar.core.model import Recall
from sidecar.daemon.identity import identify
from sidecar.journal.journal import Journal
from sidecar.journal.writer import JournalWriter
from sidecar.sync.recall import RecallStage
from tests.support import journals


def test_an_id_is_new_once(tmp_path: Path) -> None:
    """It stays, whatever becomes of the journal; one that was given may have had a life before."""
    journal = tmp_path / "journal.db"
    first, second = identify(None, journal), identify(None, journal)
    assert (first.is_new, second.is_new, first.name) == (True, False, second.name)
    assert not identify("node-7", journal).is_new


async def test_a_sidecar_that_is_new_searches_for_nothing(tmp_path: Path) -> None:
    """Without Convex S3 is searched, unless nothing of this sidecar can be there."""
    db = Journal(tmp_path / "journal.db", tag=journals.TAG, bucket="lessons", clock=SystemClock())
    async with JournalWriter(db) as writer:
        await writer.do(Journal.begin_recall)
        transfer = await writer.do(lambda journal: journals.ready(journal, "A"))
        for is_first, recall in ((True, None), (False, Recall())):
            stage = RecallStage(journal=writer, is_first=is_first)
            assert await stage._recall([transfer]) == {transfer.id: recall}
