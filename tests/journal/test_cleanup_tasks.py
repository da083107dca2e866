"""What S3 is owed, and when: clean-up tasks that fall due, and those that only another look settles."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from sidecar.journal.journal import Journal
from sidecar.journal.read.reader import JournalReader
from sidecar.journal.stores.cleanup import CleanupTask
from tests.support.clock import ManualClock
from tests.support.journals import open_journal, ready

NEVER = 1e18  # monotonic seconds that no machine lives to see


def owed(journal: Journal) -> int:
    """Return what `/status` says is owed."""
    with closing(JournalReader(journal.db.path, clock=ManualClock())) as reader:
        return reader.pending_cleanup()


def test_what_only_a_look_settles_never_falls_due_in_this_life(tmp_path: Path) -> None:
    """However long it runs, nor because it is to stop; nobody waits for it. The next start has it first."""
    journal = open_journal(tmp_path)
    given_up = ready(journal, "a")
    journal.multipart.begin_multipart(given_up.row_id, part_bytes=5)
    recheck = journal.cleanup.add_recheck(given_up.row_id)
    journal.cleanup.add_key_cleanup("looked-for", transfer_id=given_up.transfer_id)
    [other] = journal.cleanup.claim_cleanup(limit=9, now=NEVER)
    assert owed(journal) == 1
    journal.cleanup.leave_to_rechecks(other.id)
    journal.cleanup.hasten_cleanup()
    assert journal.cleanup.claim_cleanup(limit=9, now=NEVER) == []
    assert owed(journal) == 0
    journal.close()
    journal = open_journal(tmp_path)
    assert journal.cleanup.claim_cleanup(limit=9, now=0.0) == [recheck, other]


def test_another_create_begins_its_recheck_anew(tmp_path: Path) -> None:
    """Given up in this life, or in flight when the last one ended: the first one's minute proves nothing."""
    journal = open_journal(tmp_path)
    given_up = ready(journal, "a")
    journal.multipart.begin_multipart(given_up.row_id, part_bytes=5)
    begun_ms = _looked_ms(journal.cleanup.add_recheck(given_up.row_id))
    _an_hour_passes(journal)
    assert _looked_ms(journal.cleanup.add_recheck(given_up.row_id)) >= begun_ms
    _an_hour_passes(journal)
    assert [_looked_ms(one) >= begun_ms for one in journal.cleanup.rechecks()] == [True]


def _an_hour_passes(journal: Journal) -> None:
    journal.db.execute("UPDATE debts SET looked_ms = looked_ms - 3600000")


def _looked_ms(task: CleanupTask) -> int:
    assert task.looked_ms is not None
    return task.looked_ms


def test_what_waits_for_its_time_is_hastened_by_a_drain(tmp_path: Path) -> None:
    """It is owed all the while."""
    journal = open_journal(tmp_path)
    journal.cleanup.add_key_cleanup("later", transfer_id="01J")
    [task] = journal.cleanup.claim_cleanup(limit=9, now=0.0)
    journal.cleanup.postpone_cleanup(task.id, due=60.0)
    assert (journal.cleanup.claim_cleanup(limit=9, now=59.0), owed(journal)) == ([], 1)
    journal.cleanup.hasten_cleanup()
    assert journal.cleanup.claim_cleanup(limit=9, now=0.0) == [task]
