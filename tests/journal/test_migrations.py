"""Journals are brought up to date by sqlite-utils, which a journal that is up to date does not load."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import pytest
from sqlite_utils import Database

from sidecar.core.model import Observation, State
from sidecar.journal.db.migration_names import MIGRATION_NAMES
from sidecar.journal.db.migrations import migrations
from sidecar.journal.db.open import open_database
from tests.support.journals import ROOT, finish, identity, open_journal, route, see, ship, tell

_OWED = """
INSERT INTO transfers (transfer, root, folder, name, slot, session_id, entity_id, asset_type, priority, route,
  state, bucket, key, discovered_ms, ready_ms)
VALUES ('t', 1, 'f', 'n', 's', 'i', 'e', 'video_chunk', 0, '{}', 'ready', 'b', 'k', 1, 2)
"""
_OP = """
INSERT INTO outbox (op_id, kind, state, project_id, session_id, slot, body)
VALUES ('o', 'put', 'lost', 'p', 'i', 's', '{}')
"""
OPENED = """
import sys
from pathlib import Path
from sidecar.journal.db.open import open_database
database, _ = open_database(Path(sys.argv[1]))
database.close()
print("sqlite_utils" in sys.modules)
"""


def test_the_names_are_those_of_the_migrations() -> None:
    """Or a newer journal would be refused, or a migration never be applied."""
    assert {step.name for step in migrations.pending(Database(memory=True))} == MIGRATION_NAMES


def test_a_journal_that_is_up_to_date_loads_nothing_for_it(tmp_path: Path) -> None:
    """sqlite-utils takes a tenth of a start to import."""
    path = tmp_path / "journal.db"
    database, _ = open_database(path)
    database.close()
    ran = subprocess.run([sys.executable, "-c", OPENED, path], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


def test_the_tables_of_a_journal_from_before_are_as_in_a_new_one(tmp_path: Path) -> None:
    """Its rows are in the new indexes, and a state that is none is refused as ever."""
    new, _ = open_database(tmp_path / "new.db")
    with closing(sqlite3.connect(tmp_path / "old.db")) as old:
        migrations.apply(Database(old), stop_before="states_one_by_one")
        old.execute(_OWED)
        assert "state IN" in _tables(old)["transfers"]
        old.commit()
    database, _ = open_database(tmp_path / "old.db")
    assert _tables(database) == _tables(new)
    assert database.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    with pytest.raises(sqlite3.IntegrityError):
        database.execute("UPDATE transfers SET state = 'lost'")
    with pytest.raises(sqlite3.IntegrityError):
        database.execute(_OP)
    database.close()
    new.close()


def test_files_of_a_journal_from_before_keep_their_slots(tmp_path: Path) -> None:
    """They are found by their transfers from then on."""
    journal = open_journal(tmp_path)
    assert see(journal, path="a.mp4") is not None
    tables = _tables(journal.db.conn)
    journal.db.execute("DROP INDEX files_by_transfer")
    journal.db.execute("CREATE INDEX files_by_slot ON files (slot)")
    journal.db.execute("DELETE FROM _sqlite_migrations WHERE name = 'files_by_transfer'")
    journal.close()
    journal = open_journal(tmp_path)
    assert _tables(journal.db.conn) == tables
    seen = Observation(root=ROOT, path="b.mp4", identity=identity(2), route=route())
    refused = journal.files.observe([seen])[0].refused
    assert refused == "its slot belongs to /renders/a.mp4"
    journal.close()


def _tables(database: sqlite3.Connection) -> dict[str, str]:
    found = database.execute("SELECT name, sql FROM sqlite_master WHERE sql NOT NULL")
    return dict[str, str](map(tuple, found))


def test_what_is_on_its_way_in_a_journal_from_before_goes_on(tmp_path: Path) -> None:
    """Its routes are objects, and stay so."""
    journal = open_journal(tmp_path)
    candidate = see(journal)
    assert candidate is not None
    finish(journal, candidate, "a")
    journal.db.execute("UPDATE transfers SET route = ?", [json.dumps(asdict(candidate.route))])
    journal.db.execute("DELETE FROM _sqlite_migrations WHERE name = 'states_one_by_one'")
    journal.close()
    journal = open_journal(tmp_path)
    found = journal.transfers.one(candidate.row_id)
    assert found.route == route()
    ship(journal, found)
    tell(journal)
    assert journal.transfers.one(candidate.row_id).state is State.SYNCED
    journal.close()
