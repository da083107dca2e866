"""What a program hands over itself is ready in one transaction; of a slot there is one file, the newest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.model import Fingerprint, Observation, State, Transfer
from sidecar.journal.journal import Journal
from sidecar.journal.read.owed import owes
from sidecar.journal.stores.submissions import Submission
from sidecar.journal.stores.takedowns import AskedTakedown, MarkedObject
from tests.support.journals import batch, identity, open_journal, route, ship, tell

HERE, ELSEWHERE = "tmp/one/chunk_001.mp4", "tmp/two/chunk_001.mp4"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """An empty journal of a program."""
    opened = open_journal(tmp_path)
    yield opened
    opened.close()


def handed(journal: Journal, text: str, n: int = 1, *, path: str = HERE, name: str = "a.mp4") -> Submission:
    """Hand a file over whose content is named by a word."""
    seen = Observation(root="/", path=path, identity=identity(n), route=route(name))
    found = Fingerprint(identity=identity(n), checksum=f"crc64nvme:{text}")
    submission = journal.submissions.submit(seen, found)
    if submission.delivered is None:
        return submission
    return journal.submissions.submit_delivered(seen, found)  # Convex shows it still


def submit(journal: Journal, text: str, n: int = 1, *, path: str = HERE, name: str = "a.mp4") -> Transfer:
    """Hand a file over that is taken."""
    transfer = handed(journal, text, n, path=path, name=name).transfer
    assert transfer is not None
    return transfer


def test_it_is_ready_at_once_and_counted(journal: Journal) -> None:
    assert submit(journal, "A").state is State.READY
    counted = {row["state"]: row["transfers"] for row in journal.db.execute("SELECT * FROM counts")}
    assert {state: number for state, number in counted.items() if number} == {"ready": 1}


def test_the_same_slot_from_another_path_is_its_next_version_and_no_second_source(journal: Journal) -> None:
    first = submit(journal, "A")
    ship(journal, first)
    tell(journal)
    second = submit(journal, "B", 2, path=ELSEWHERE)
    assert (second.state, second.path) == (State.READY, ELSEWHERE)
    assert [row["name"] for row in journal.db.execute("SELECT * FROM files")] == ["chunk_001.mp4"]


def test_newer_content_takes_over_what_was_not_sent(journal: Journal) -> None:
    first = submit(journal, "A")
    submit(journal, "B", 2, path=ELSEWHERE)
    assert journal.transfers.one(first.row_id).state is State.SUPERSEDED


def test_the_same_bytes_are_what_is_on_its_way_already(journal: Journal) -> None:
    first = submit(journal, "A")
    assert submit(journal, "A").row_id == first.row_id
    ship(journal, first)
    tell(journal)
    again = submit(journal, "A", 2, path=ELSEWHERE)
    assert (again.row_id, again.state) == (first.row_id, State.SYNCED)
    assert submit(journal, "A", 2, path=ELSEWHERE).row_id == first.row_id


def test_what_convex_shows_no_more_is_sent_anew_and_only_once(journal: Journal) -> None:
    """Somebody else removed or replaced it; whoever hears so at the same time joins what is on its way."""
    first = submit(journal, "A")
    ship(journal, first)
    tell(journal)
    seen = Observation(root="/", path=HERE, identity=identity(), route=route("a.mp4"))
    same = Fingerprint(identity=identity(), checksum="crc64nvme:A")
    again = journal.submissions.submit_delivered(seen, same, outdated=first.row_id).transfer
    assert again is not None
    assert (again.state, again.row_id != first.row_id) == (State.READY, True)
    assert journal.submissions.submit_delivered(seen, same, outdated=first.row_id).transfer == again
    ship(journal, again)
    tell(journal)
    last = journal.submissions.submit_delivered(seen, same, outdated=first.row_id).transfer
    assert last is not None
    assert (last.state, last.row_id) == (State.SYNCED, again.row_id)
    assert journal.db.execute("SELECT count(*) FROM debts").fetchone()[0] == 0


def test_what_was_delivered_is_told_and_not_taken_in(journal: Journal) -> None:
    first = submit(journal, "A")
    ship(journal, first)
    tell(journal)
    seen = Observation(root="/", path=ELSEWHERE, identity=identity(2), route=route("a.mp4"))
    told = journal.submissions.submit(seen, Fingerprint(identity=identity(2), checksum="crc64nvme:A"))
    assert (told.transfer, told.delivered) == (None, journal.transfers.one(first.row_id))


def test_many_that_come_at_once_are_taken_in_as_one_by_one(tmp_path: Path) -> None:
    """New slots, one of them twice, the same again, one that was delivered, a key that is taken."""
    contents = [("a.mp4", "A"), ("b.mp4", "B"), ("a.mp4", "A2"), ("old.mp4", "O"), ("b.mp4", "B")]
    given = [_submission(n, name, text) for n, (name, text) in enumerate(contents)]
    given += [_submission(8, "c.mp4", "C", key="fixed.mp4"), _submission(9, "d.mp4", "D", key="fixed.mp4")]
    one_by_one = _taken_in(
        tmp_path / "1", lambda journal: [journal.submissions.submit(*one) for one in given]
    )
    at_once = _taken_in(tmp_path / "2", lambda journal: journal.submissions.submit_all(given))
    assert at_once == one_by_one
    assert [is_new for _, _, is_new in at_once[: len(given)]] == [True] * 3 + [False] + [True] * 3


def _submission(n: int, name: str, text: str, *, key: str | None = None) -> tuple[Observation, Fingerprint]:
    path, to = f"tmp/{n}/{name}", route(name)
    seen = Observation(root="/", path=path, identity=identity(n), route=replace(to, key=key or to.key))
    return seen, Fingerprint(identity=identity(n), checksum=f"crc64nvme:{text}")


def _taken_in(folder: Path, take: Callable[[Journal], list[Submission]]) -> list[tuple[Any, ...]]:
    """Return what is told, and what the journal has, of what a program hands over."""
    journal = open_journal(folder)
    ship(journal, submit(journal, "O", name="old.mp4"))
    tell(journal)
    assert journal.submissions.forget_delivered(limit=10) == 1
    told = take(journal)
    found = list[tuple[Any, ...]](
        (one.transfer and (one.transfer.path, one.transfer.checksum), one.refused, one.delivered is None)
        for one in told
    )
    for columns in (
        "name, slot, checksum, size, state FROM transfers ORDER BY slot, checksum",
        "name, slot, size, mtime_ns FROM files ORDER BY slot",
        "* FROM counts ORDER BY state",
    ):
        found += [tuple(row) for row in journal.db.execute(f"SELECT {columns}")]
    journal.close()
    return found


def test_one_file_may_be_two_assets(journal: Journal) -> None:
    first, second = submit(journal, "A"), submit(journal, "A", name="b.mp4")
    assert first.row_id != second.row_id
    assert {journal.transfers.one(one.row_id).state for one in (first, second)} == {State.READY}


def test_a_key_that_another_asset_has_is_refused_by_a_sentence(journal: Journal) -> None:
    found = Submission()
    for name, path in (("a.mp4", HERE), ("b.mp4", ELSEWHERE)):
        at = replace(route(name), key="fixed.mp4")
        seen = Observation(root="/", path=path, identity=identity(), route=at)
        found = journal.submissions.submit(seen, Fingerprint(identity=identity(), checksum="crc64nvme:A"))
    assert found.refused is not None
    assert "object key belongs to" in found.refused


def test_a_dead_letter_goes_once_more_when_it_is_handed_over_again(journal: Journal) -> None:
    first = submit(journal, "A")
    ship(journal, first)
    error = SidecarError(ErrorKind.INVALID, "refused", operation="apply", target="a.mp4")
    journal.answers.mark_ops_dead([op.seq for op in batch(journal).ops if op.kind == "put"], error)
    assert journal.transfers.one(first.row_id).state is State.DEAD
    again = submit(journal, "A", 2, path=ELSEWHERE)
    assert (again.row_id, again.state) == (first.row_id, State.UPLOADED)


def test_a_file_that_changed_on_the_way_is_nobodys_candidate(journal: Journal) -> None:
    first = submit(journal, "A")
    journal.uploads.content_changed(first.row_id, "it changed")
    assert journal.submissions.drop_changed(first.row_id) is None
    assert journal.completion.candidates() == []
    second = submit(journal, "B", 2)
    assert second.state is State.READY
    assert journal.submissions.drop_changed(first.row_id) == second


def test_a_file_that_changed_and_nobody_ended_is_taken_in_again(journal: Journal) -> None:
    first = submit(journal, "A")
    journal.uploads.content_changed(first.row_id, "it changed")
    assert submit(journal, "B", 2, name="other.mp4").state is State.READY
    assert journal.completion.candidates() == []


def test_a_journal_owes_until_convex_has_answered(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    path = tmp_path / "journal.db"
    assert not owes(path)
    first = submit(journal, "A")
    assert owes(path)
    ship(journal, first)
    assert owes(path)
    tell(journal)
    assert not owes(path)
    asked = journal.takedowns.ask([_asked(first)])
    assert owes(path)
    journal.takedowns.settle(asked, marked={asked[0].id: [_object(asked[0])]})
    assert [row["key"] for row in journal.db.execute("SELECT key FROM debts")] == [first.key]
    assert owes(path)
    journal.close()


def _asked(transfer: Transfer) -> AskedTakedown:
    return AskedTakedown(
        project_id="demo",
        slot=transfer.route.slot,
        version=1,
        bucket="lessons",
        key=transfer.key,
        transfer_id=transfer.transfer_id,
    )


def _object(asked: AskedTakedown) -> MarkedObject:
    return MarkedObject(bucket=asked.bucket, key=asked.key, transfer_id=asked.transfer_id)


def test_an_object_that_convex_did_not_mark_is_kept(journal: Journal) -> None:
    first = submit(journal, "A")
    asked = journal.takedowns.ask([_asked(first)])
    assert journal.takedowns.left(limit=10) == asked
    journal.takedowns.settle(asked, marked={})
    assert journal.takedowns.left(limit=10) == []
    assert journal.db.execute("SELECT count(*) FROM debts").fetchone()[0] == 0


def test_what_was_settled_before_is_not_deleted_by_whoever_settles_again(journal: Journal) -> None:
    asked = journal.takedowns.ask([_asked(submit(journal, "A"))])
    journal.takedowns.settle(asked, marked={})
    journal.takedowns.settle(asked, marked={asked[0].id: [_object(asked[0])]})
    assert journal.db.execute("SELECT count(*) FROM debts").fetchone()[0] == 0


def test_what_was_delivered_ages_and_is_pruned_and_is_known_until_then(journal: Journal) -> None:
    """A program that lives for months keeps what it stored for ``journal.keep``, and no longer."""
    first = submit(journal, "A")
    assert journal.submissions.forget_delivered(limit=10) == 0
    ship(journal, first)
    tell(journal)
    assert journal.submissions.forget_delivered(limit=10) == 1
    assert journal.submissions.forget_delivered(limit=10) == 0
    assert submit(journal, "A", 2, path=ELSEWHERE).row_id == first.row_id
    journal.submissions.forget_delivered(limit=10)
    later_ms = journal.db.clock.wall_ms() + 10_000
    assert journal.pruning.prune_transfers(now_ms=later_ms, keep_ms=1000) == 1
    assert submit(journal, "A").row_id != first.row_id
