"""Journals are brought up to date by sqlite-utils, which a journal that is up to date does not load."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sqlite_utils import Database

from sidecar.journal.db.migration_names import MIGRATION_NAMES
from sidecar.journal.db.migrations import migrations
from sidecar.journal.db.open import open_database

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
