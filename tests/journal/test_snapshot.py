"""A copy and a check of a journal that somebody else may be using."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.journal.journal import Journal
from sidecar.journal.read.check import RULES, check_journal
from sidecar.journal.read.snapshot import JournalUnreadableError, back_up
from sidecar.journal.writer import JournalWriter
from tests.support.journals import finish, open_journal, ready, route, see, ship, spoil, tell

BREAKS = {
    "a file's transfer is there": "UPDATE files SET transfer = 999 WHERE name = 'synced.mp4'",
    "a file has its transfer's slot": "UPDATE files SET slot = 'another' WHERE name = 'synced.mp4'",
    "complete content has a checksum": "UPDATE transfers SET checksum = NULL WHERE name = 'ready.mp4'",
    "what is uploaded has its op": "DELETE FROM outbox WHERE kind = 'put'",
    "an asset's op has its transfer": "UPDATE outbox SET state = 'dead' WHERE kind = 'put'",
    "no op is later than the last one": "UPDATE sqlite_sequence SET seq = 0 WHERE name = 'outbox'",
    "a part's transfer is there": "INSERT INTO parts VALUES (999, 1, 1, 'e', 'c')",
    "what is superseded has left nothing that is not a debt": (
        "UPDATE transfers SET may_object = 1 WHERE state = 'superseded'"
    ),
    "a removal's transfer is there": (
        "INSERT INTO removals (slot, transfer, root, folder, name, state, delete_object, noticed_ms)"
        " VALUES ('s', 999, 1, 'f', 'n', 'asked', 0, 1)"
    ),
    "what is over has its end": "UPDATE transfers SET ended_ms = NULL WHERE state = 'superseded'",
    "the counts are those of the rows": "UPDATE counts SET transfers = transfers + 1 WHERE state = 'ready'",
    "the files that are there are counted": "UPDATE present SET files = files - 1",
    "a scene's lost videos are counted": "UPDATE scenes SET videos_dead = 7",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Have a journal with something of everything."""
    journal = open_journal(tmp_path)
    ship(journal, ready(journal, "S", at=route("synced.mp4")))
    tell(journal)
    dead = ready(journal, "D", at=route("dead.mp4"))
    journal.upload_claims.claim_uploads(limit=9, now=0.0)
    journal.uploads.mark_dead(dead.row_id, SidecarError(ErrorKind.INVALID, "no", operation="put", target="k"))
    ready(journal, "O", 1, at=route("replaced.mp4"))
    ready(journal, "N", 2, at=route("replaced.mp4"))
    ship(journal, ready(journal, "U", at=route("uploaded.mp4")))
    ready(journal, "R", at=route("ready.mp4"))
    torn = see(journal, at=route("torn.mp4"))
    assert torn is not None
    journal.completion.abandon(torn.row_id, "nobody writes it")
    see(journal, at=route("new.mp4"))
    journal.close()
    return tmp_path / "journal.db"


def broken(path: Path) -> list[str]:
    """Return the rules that are."""
    return [finding.rule for finding in check_journal(path).findings]


def test_a_whole_journal_breaks_no_rule_and_is_not_changed(path: Path) -> None:
    """Whether or not anybody has it open."""
    before = path.read_bytes()
    found = check_journal(path)
    assert (found.findings, found.notes) == ((), ())
    assert sum(found.transfers.values()) == 8
    assert path.read_bytes() == before
    journal = open_journal(path.parent)
    assert broken(path) == []
    journal.close()


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_is_found_broken(path: Path, rule: str) -> None:
    """By rows that break it, and by no others."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(BREAKS[rule])
    assert rule in broken(path)


def test_damage_is_found_and_the_rest_not_looked_at(path: Path) -> None:
    """What SQLite says is shown."""
    spoil(path, "events")
    [finding] = check_journal(path).findings
    assert (finding.rule, finding.count > 0) == ("the file is a whole database", True)


def test_a_journal_of_another_version_is_only_checked_as_a_file(tmp_path: Path) -> None:
    """Its rows may mean something else."""
    with closing(sqlite3.connect(tmp_path / "journal.db")) as db:
        db.row_factory = sqlite3.Row
        old = open_journal(tmp_path)
        old.db.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name) VALUES ('render-sidecar', 'later')"
        )
        old.close()
    found = check_journal(tmp_path / "journal.db")
    assert found.findings == ()
    assert "newer version" in found.notes[0]


def test_what_is_no_journal_is_a_sentence(tmp_path: Path) -> None:
    """Nothing there, something else there, a database of somebody else."""
    (tmp_path / "text").write_text("no database" * 1000)
    sqlite3.connect(tmp_path / "other.db").execute("CREATE TABLE t (x)").connection.close()
    for name in ("nothing", "text", "other.db"):
        with pytest.raises(JournalUnreadableError):
            check_journal(tmp_path / name)
    with pytest.raises(JournalUnreadableError):
        back_up(tmp_path / "text", tmp_path / "copy.db")
    assert not list(tmp_path.glob("copy*"))


async def test_a_copy_of_a_journal_at_work_is_one_moment_of_it(path: Path) -> None:
    """Every fact of the daemon's is whole in it or not there; nobody waits for it."""
    async with JournalWriter(open_journal(path.parent)) as writer:
        went_on = asyncio.Event()

        async def work() -> None:
            for n in itertools.count(1):
                await writer.run(_one_file, n)
                went_on.set()

        worker = asyncio.ensure_future(work())
        copies = [path.with_name(f"copy{n}.db") for n in range(5)]
        made = []
        for copy in copies:
            made.append(await asyncio.to_thread(back_up, path, copy))
            went_on.clear()
            await asyncio.wait_for(went_on.wait(), 30)
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
    assert [check_journal(copy).findings for copy in copies] == [()] * len(copies)
    seqs = [one.last_seq for one in made]
    assert seqs == sorted(set(seqs)), "work went on"
    assert {one.journal_id for one in made} == {writer.journal.db.journal_id}
    assert copies[0].stat().st_mode & 0o777 == 0o600


def _one_file(journal: Journal, n: int) -> None:
    candidate = see(journal, at=route(f"work{n}.mp4"))
    assert candidate is not None
    finish(journal, candidate, f"text{n}")
    ship(journal, candidate)


def test_a_copy_is_never_written_over(path: Path) -> None:
    """Nor is the journal itself."""
    copy = path.with_name("copy.db")
    copy.write_bytes(b"precious")
    for target in (copy, path):
        with pytest.raises(JournalUnreadableError, match="never written over"):
            back_up(path, target)
    assert copy.read_bytes() == b"precious"


def test_a_copy_opens_as_a_journal(path: Path) -> None:
    """With everything in it."""
    folder = path.parent / "restored"
    folder.mkdir()
    back_up(path, folder / "journal.db")
    journal = open_journal(folder)
    assert journal.db.quarantined is None
    assert len(journal.completion.candidates()) == 1
    journal.close()
