"""Journals are brought up to date by sqlite-utils, which a journal that is up to date does not load."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sqlite_utils import Database

from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.journal.db.migration_names import MIGRATION_NAMES
from sidecar.journal.db.migrations import migrations
from sidecar.journal.db.open import open_database
from tests.support.journals import ROOT, open_journal, see

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


def test_a_journal_from_before_gives_its_index_of_paths_up(tmp_path: Path) -> None:
    """Nobody asks for it, and it was written for each file; what is in the journal stays."""
    journal = open_journal(tmp_path)
    see(journal)
    journal.db.execute("CREATE INDEX transfers_by_file ON transfers (root, folder, name, id)")
    journal.db.execute("DELETE FROM _sqlite_migrations WHERE name = 'paths_once'")
    journal.close()
    again = open_journal(tmp_path)
    names = again.db.execute("SELECT name FROM sqlite_master WHERE tbl_name = 'transfers'").fetchall()
    assert "transfers_by_file" not in {row["name"] for row in names}
    assert len(again.completion.candidates()) == 1


def test_what_waits_in_a_root_is_found_without_what_is_delivered(tmp_path: Path) -> None:
    """However many files lie there: nothing walks over all transfers."""
    journal, asked = open_journal(tmp_path), list[str]()
    journal.db.root_id(ROOT)
    error = SidecarError(ErrorKind.LOCAL_IO, "away", operation="read", target="a")
    journal.db.conn.set_trace_callback(asked.append)
    journal.withholding.unsent(ROOT, "a")
    journal.upload_delays.waits_for_disk(ROOT, "a")
    journal.upload_delays.delay_uploads_below(ROOT, "a", error, home=None, due=1.0, apart=0.0)
    journal.upload_delays.hasten_readable(ROOT, limit=1)
    journal.roots.move_home(ROOT, home="a", to=None)
    journal.db.conn.set_trace_callback(None)
    of_transfers = [text for text in asked if "transfers" in text]
    plans = [journal.db.execute(f"EXPLAIN QUERY PLAN {text}").fetchall() for text in of_transfers]
    steps = {row["detail"] for plan in plans for row in plan}
    assert len(of_transfers) == 5
    assert steps.isdisjoint({"SCAN t", "SCAN transfers"})
