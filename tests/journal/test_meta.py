"""The journal's own facts: the rows of ``meta`` as versions before this one wrote them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sidecar.core.errors import JournalLostError
from sidecar.core.ids import TIME_LENGTH
from sidecar.core.ops import Registration
from sidecar.journal.db import meta
from sidecar.journal.db.meta import Fact, Mark
from sidecar.journal.journal import Journal
from tests.support.clock import ManualClock
from tests.support.journals import open_journal, ready, ship, tell

PACKAGE = Path(__file__).parents[2] / "sidecar"
DECLARED = {name: value for name, value in vars(meta).items() if isinstance(value, Fact | Mark)}


def rows(journal: Journal) -> dict[str, str]:
    """Return what is stored, without what says who uses the file."""
    found = journal.db.execute("SELECT key, value FROM meta WHERE key <> 'in use'").fetchall()
    return {row["key"]: row["value"] for row in found}


def test_what_is_stored_is_what_every_version_reads(tmp_path: Path) -> None:
    """A key or a value that is written otherwise is a fact lost at the update, or at the way back."""
    clock = ManualClock()
    journal = open_journal(tmp_path, clock)
    named = {"journal_id": journal.db.journal_id}
    assert rows(journal) == named
    journal.recovery.begin_recovery()
    assert rows(journal) == {**named, "recalling": "1"}
    journal.recovery.end_recovery()
    assert rows(journal) == {**named, "scanned": "1", "unfinished": "unasked"}
    journal.recovery.recover_scenes([], is_last=True)
    journal.batches.registered(Registration(epoch=3, last_seq=0, contract_version=1))
    journal.uploads.keep_checksums('{"a": 1}')
    known = {**named, "scanned": "1", "epoch": "3", "checksums": '{"a": 1}'}
    assert rows(journal) == {**known, "told_seq": "0"}
    first = ready(journal, "a")
    ship(journal, first)
    tell(journal)
    ship(journal, ready(journal, "b", 2))
    tell(journal)
    (last,) = journal.db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
    assert rows(journal) == {**known, "told_seq": str(last)}
    clock.advance(1.0)
    journal.pruning.prune_transfers(now_ms=clock.wall, keep_ms=0)
    pruned = first.transfer_id[:TIME_LENGTH]
    assert rows(journal) == {**known, "told_seq": str(last), "pruned": pruned}


def test_a_journal_from_before_is_understood(tmp_path: Path) -> None:
    """As is one that is opened again."""
    journal = open_journal(tmp_path)
    before = {"journal_id": "J", "epoch": "7", "told_seq": "5", "recalling": "1", "unfinished": "unasked"}
    for key, value in {**before, "checksums": "{}"}.items():
        journal.db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", [key, value])
    journal.close()
    journal = open_journal(tmp_path)
    assert (journal.db.journal_id, journal.db.epoch, journal.db.has_forerunner) == ("J", 7, True)
    assert (journal.db.is_new, journal.db.is_recovering, journal.recovery.has_scenes_to_recover()) == (
        True,
        True,
        True,
    )
    assert journal.uploads.checksums() == "{}"
    journal.recovery.end_recovery()
    journal.close()
    journal = open_journal(tmp_path)
    assert (journal.db.is_new, journal.db.is_recovering, journal.recovery.has_scenes_to_recover()) == (
        False,
        False,
        True,
    )
    with pytest.raises(JournalLostError, match="no later one than 5"):
        journal.batches.registered(Registration(epoch=7, last_seq=6, contract_version=1))


@pytest.mark.parametrize("name", DECLARED)
def test_a_fact_is_kept_until_it_is_forgotten(tmp_path: Path, name: str) -> None:
    """Each by itself, and in its type."""
    journal = open_journal(tmp_path)
    journal.db.execute("DELETE FROM meta")
    fact = DECLARED[name]
    if isinstance(fact, Mark):
        assert not fact.is_set(journal.db.conn)
        fact.set(journal.db.conn)
        assert [other for other in DECLARED if is_known(journal, other)] == [name]
        fact.clear(journal.db.conn)
    else:
        value = fact.parse("12")
        assert fact.read(journal.db.conn) is None
        assert fact.write(journal.db.conn, value) == value == fact.read(journal.db.conn)
        assert [other for other in DECLARED if is_known(journal, other)] == [name]
        fact.forget(journal.db.conn)
    assert [other for other in DECLARED if is_known(journal, other)] == []


def is_known(journal: Journal, name: str) -> bool:
    """Tell whether a fact is so, or has a value."""
    fact = DECLARED[name]
    return fact.is_set(journal.db.conn) if isinstance(fact, Mark) else fact.read(journal.db.conn) is not None


def test_every_key_is_declared_once_and_nowhere_else() -> None:
    """Whoever reads ``meta`` by a string of their own reads what nobody writes, one day."""
    keys = [fact.key for fact in DECLARED.values()]
    assert len(set(keys)) == len(keys) == 9
    said = re.compile(r"(SELECT value FROM|INTO|DELETE FROM|UPDATE) (\w+\.)?meta\b(?! WHERE key = '\{)")
    found = [path.name for path in PACKAGE.rglob("*.py") if said.search(path.read_text())]
    assert found == ["meta.py"]
