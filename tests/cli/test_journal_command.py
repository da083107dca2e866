"""``sidecar journal``, as a process."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.support.journals import open_journal, ready

from .conftest import sidecar


async def test_a_journal_is_copied_and_checked_in_words_and_in_json(tmp_path: Path) -> None:
    """The exit status says it, too."""
    journal = open_journal(tmp_path)
    ready(journal, "A")
    at, copy = ("--journal", str(journal.db.path)), str(tmp_path / "copy.db")
    ran = await sidecar("journal", "backup", *at, copy, "--json")
    assert (ran.status, ran.err) == (0, "")
    assert (ran.json()["path"], ran.json()["journal_id"]) == (copy, journal.db.journal_id)
    again = await sidecar("journal", "backup", *at, copy)
    assert (again.status, "never written over" in again.err) == (1, True)
    checked = await sidecar("journal", "check", *at)
    assert (checked.status, "is whole: 1 transfers" in checked.out) == (0, True)
    journal.close()


async def test_a_broken_journal_fails_the_check(tmp_path: Path) -> None:
    """With the rule and what breaks it."""
    journal = open_journal(tmp_path)
    ready(journal, "A")
    journal.close()
    with closing(sqlite3.connect(journal.db.path)) as db, db:
        db.execute("UPDATE files SET transfer = 999")
    ran = await sidecar("journal", "check", "--json", SIDECAR_JOURNAL__PATH=str(journal.db.path), **MINIMAL)
    assert ran.status == 1
    [finding] = ran.json()["findings"]
    assert (finding["rule"], finding["count"]) == ("a file's transfer is there", 1)
    assert finding["examples"] == ["demo/lesson/s1/chunk_001.mp4"]
    assert not ran.json()["ok"]


MINIMAL = {
    "SIDECAR_WATCH__0__ROOT": "/renders",
    "SIDECAR_S3__BUCKET": "lessons",
    "SIDECAR_CONVEX__SYNC": "off",
}


async def test_the_journal_of_a_configuration_that_watches_nothing_is_found(tmp_path: Path) -> None:
    """A program's, which uses the library."""
    journal = open_journal(tmp_path)
    journal.close()
    config = tmp_path / "library.yaml"
    told = {
        "s3": {"bucket": "lessons"},
        "convex": {"sync": "off"},
        "journal": {"path": str(journal.db.path)},
    }
    config.write_text(json.dumps(told))
    checked = await sidecar("journal", "check", "-c", str(config))
    assert (checked.status, checked.err) == (0, "")


async def test_no_journal_is_a_sentence(tmp_path: Path) -> None:
    """No traceback."""
    ran = await sidecar("journal", "check", "--journal", str(tmp_path / "none.db"))
    assert (ran.status, ran.out) == (1, "")
    assert ran.err == f"sidecar: there is no journal {tmp_path / 'none.db'}\n"
