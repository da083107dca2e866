"""What is counted at the end of a transaction is what its rows are, however much happened in it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.model import State
from sidecar.journal.journal import Journal
from sidecar.journal.read.check import check_journal
from tests.support.journals import finish, identity, open_journal, ready, route, see, ship, tell


def videos(journal: Journal) -> tuple[int, int, int]:
    """Return what the scene counts: there, dead, abandoned."""
    row = journal.db.execute("SELECT videos, videos_dead, videos_abandoned FROM scenes").fetchone()
    return row["videos"], row["videos_dead"], row["videos_abandoned"]


def counts(journal: Journal) -> dict[str, tuple[int, int]]:
    """Return what is counted by state, transfers and bytes, once it is known to be what the rows are."""
    assert check_journal(journal.db.path).findings == ()
    rows = journal.db.execute("SELECT * FROM counts WHERE transfers > 0 OR bytes <> 0")
    return {row["state"]: (row["transfers"], row["bytes"]) for row in rows}


def test_many_steps_of_one_transaction_count_as_what_became_of_them(tmp_path: Path) -> None:
    """A group is up to 256 calls: the same file may come, be replaced and be sent in one."""
    journal = open_journal(tmp_path)
    with journal.db.atomic():
        ready(journal, "A", 1)
        ready(journal, "B", 2)
        ship(journal, ready(journal, "C", at=route("other.mp4")))
        tell(journal)
        dead = ready(journal, "D", at=route("dead.mp4"))
        error = SidecarError(ErrorKind.INVALID, "no", operation="put", target="k")
        journal.uploads.mark_dead(dead.row_id, error)
    assert counts(journal) == {"superseded": (1, 10), "ready": (1, 10), "synced": (1, 10), "dead": (1, 10)}
    assert videos(journal) == (2, 1, 0)


def test_a_video_counts_once_whatever_replaces_it(tmp_path: Path) -> None:
    """In transactions of their own, and in one."""
    journal = open_journal(tmp_path)
    ready(journal, "A", 1)
    assert videos(journal) == (1, 0, 0)
    ship(journal, ready(journal, "B", 2))
    tell(journal)
    ready(journal, "C", 3)
    assert videos(journal) == (1, 0, 0)
    with journal.db.atomic():
        ready(journal, "D", 4)
        ready(journal, "E", 5)
    assert videos(journal) == (1, 0, 0)


def test_what_was_rolled_back_counts_nothing(tmp_path: Path) -> None:
    """Nor does it count in the transaction after it."""
    journal = open_journal(tmp_path)
    with suppress(ValueError), journal.db.atomic():
        ready(journal, "A")
        raise ValueError("at its end")
    see(journal, at=route("other.mp4"))
    assert counts(journal) == {"discovered": (1, 0)}
    assert videos(journal) == (0, 0, 0)


def test_a_candidate_that_is_given_up_counts_with_the_size_that_it_was_seen_with(tmp_path: Path) -> None:
    """Its size is written in the same transaction in which its state changes, as two things."""
    journal = open_journal(tmp_path)
    torn = see(journal)
    assert torn is not None
    journal.completion.abandon(torn.row_id, "nobody writes it", identity(2, size=25))
    assert counts(journal) == {"abandoned": (1, 25)}
    assert videos(journal) == (0, 0, 1)
    see(journal, 3)
    assert counts(journal) == {"discovered": (1, 25)}
    assert finish(journal, torn, "A", 3, size=30) is State.READY
    assert counts(journal) == {"ready": (1, 30)}
    assert videos(journal) == (1, 0, 0)


def test_a_file_that_changes_is_still_one_file(tmp_path: Path) -> None:
    """Whether its row was written before, or by a listing that shows it for the first time."""
    journal = open_journal(tmp_path)
    ship(journal, ready(journal, "A", 1))
    tell(journal)
    ready(journal, "B", 2)
    assert [row["files"] for row in journal.db.execute("SELECT files FROM present")] == [1]
    assert counts(journal) == {"synced": (1, 10), "ready": (1, 10)}
