"""What the journal weighs."""

from __future__ import annotations

from pathlib import Path

from sidecar.status.disks import DiskGauge
from tests.support.journals import open_journal, ready


async def test_the_journal_weighs_all_that_sqlite_keeps_of_it(tmp_path: Path) -> None:
    """Its log is most of a young one."""
    journal = open_journal(tmp_path)
    ready(journal, "A")
    sizes = {path.suffix: path.stat().st_size for path in tmp_path.glob("journal.db*")}
    assert sizes[".db-wal"] > sizes[".db"] > 0
    measured = await DiskGauge(journal.db.path).measure([])
    assert measured.journal_bytes == sizes[".db"] + sizes[".db-wal"] + sizes[".db-shm"]
    journal.close()
    assert (await DiskGauge(journal.db.path).measure([])).journal_bytes == journal.db.path.stat().st_size
