"""When a journal's file is checked before it is used, when beside the work, and what a check finds."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sidecar.core.errors import JournalLostError
from sidecar.daemon.housekeeping import check_integrity
from sidecar.journal.db import integrity
from sidecar.journal.db.integrity import IntegrityCheck
from sidecar.journal.read.snapshot import JournalUnreadableError, open_snapshot
from tests.support.journals import open_journal, ready, spoil

ROWS = 200


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have a journal that ended well, on a machine where every journal is a big one."""
    monkeypatch.setattr(integrity, "AT_ONCE_BYTES", 8192)
    boot = tmp_path / "boot_id"
    boot.write_text("this boot\n")
    monkeypatch.setattr(integrity, "_BOOT_ID", boot)
    journal = open_journal(tmp_path)
    for n in range(1, ROWS + 1):
        ready(journal, f"text{n}", n)
    journal.close()
    return tmp_path


def killed(folder: Path) -> None:
    """Have a process begin to use the journal and end as by SIGKILL: what is in the files stays as it is."""
    journal = open_journal(folder)
    kept = {path: path.read_bytes() for path in folder.glob("journal.db*") if path.suffix != ".lock"}
    journal.close()
    for path, content in kept.items():
        with path.open("r+b" if path.exists() else "wb") as file:  # in place: it is the same file
            file.write(content)


def is_checked(folder: Path) -> bool:
    """Open it, and tell."""
    journal = open_journal(folder)
    journal.close()
    return journal.db.is_checked


def test_after_an_end_that_was_one_a_big_journal_is_believed(folder: Path) -> None:
    """Every time."""
    assert [is_checked(folder) for _ in range(2)] == [False, False]


def test_after_a_kill_it_is_believed_and_after_a_power_cut_it_is_not(folder: Path) -> None:
    """A kill takes nothing that SQLite has written; what a power cut takes depends on the disk's word."""
    killed(folder)
    assert not is_checked(folder)
    killed(folder)
    (folder / "boot_id").write_text("the next boot\n")
    assert is_checked(folder)
    assert not is_checked(folder), "it has ended well since"


def test_a_copy_of_a_journal_in_use_is_checked(folder: Path) -> None:
    """It may be torn: the file is another one."""
    killed(folder)
    (folder / "copied").write_bytes((folder / "journal.db").read_bytes())
    (folder / "copied").rename(folder / "journal.db")
    assert is_checked(folder)


def test_where_the_boot_is_not_known_only_a_good_end_is_believed(folder: Path) -> None:
    """No /proc: any boot may be another one."""
    (folder / "boot_id").unlink()
    killed(folder)
    assert is_checked(folder)
    assert not is_checked(folder)


def test_a_small_journal_is_always_checked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes no time."""
    monkeypatch.setattr(integrity, "AT_ONCE_BYTES", 1 << 26)
    assert is_checked(folder)
    spoil(folder / "journal.db", "events")
    journal = open_journal(folder)
    assert journal.db.quarantined is not None
    assert journal.db.is_checked


def test_a_schema_that_rotted_to_bytes_that_are_no_text_is_damage(folder: Path) -> None:
    """SQLite quotes them in its sentence, which Python cannot decode then."""
    path = folder / "journal.db"
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE transfers", b"CREATE TA\xe8\xe8E transfers"))
    with pytest.raises(JournalUnreadableError):
        open_snapshot(path)
    journal = open_journal(folder)
    assert journal.db.quarantined is not None
    journal.close()


async def test_the_check_beside_the_work_finds_what_rotted(folder: Path) -> None:
    """As the check at the opening would have: the journal is lost."""
    ready_to = asyncio.Event()
    ready_to.set()
    await check_integrity(folder / "journal.db", after=ready_to)
    spoil(folder / "journal.db", "events")
    journal = open_journal(folder)
    assert journal.db.quarantined is None
    with pytest.raises(JournalLostError, match="damaged"):
        await check_integrity(folder / "journal.db", after=ready_to)
    journal.close()


def test_a_check_that_is_stopped_says_nothing(folder: Path) -> None:
    """The daemon ends, or begins anew: nobody waits for it."""
    spoil(folder / "journal.db", "events")
    inspection = IntegrityCheck(folder / "journal.db")
    inspection.stop()
    inspection.run()
