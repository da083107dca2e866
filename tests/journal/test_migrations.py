"""Journals are brought up to date by sqlite-utils, which a journal that is up to date does not load."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from sqlite_utils import Database

from sidecar.core.model import State
from sidecar.journal.db.migration_names import MIGRATION_NAMES
from sidecar.journal.db.migrations import migrations
from sidecar.journal.db.open import open_database
from tests.support.journals import finish, open_journal, route, see, ship, tell

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


def test_what_is_on_its_way_in_a_journal_from_before_goes_on(tmp_path: Path) -> None:
    """Its routes are objects, and stay so."""
    journal = open_journal(tmp_path)
    candidate = see(journal)
    assert candidate is not None
    finish(journal, candidate, "a")
    journal.db.execute("UPDATE transfers SET route = ?", [json.dumps(asdict(candidate.route))])
    journal.db.execute("DELETE FROM _sqlite_migrations WHERE name = 'routes_without_names'")
    journal.close()
    journal = open_journal(tmp_path)
    found = journal.transfers.one(candidate.row_id)
    assert found.route == route()
    ship(journal, found)
    tell(journal)
    assert journal.transfers.one(candidate.row_id).state is State.SYNCED
    journal.close()
