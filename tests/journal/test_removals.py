"""What the journal makes of files that are gone: removals, questions, and what takes either back."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.model import AssetType, Observation, Route, State, Transfer
from sidecar.core.ops import Op, OpOutcome, OpResult
from sidecar.core.removal import RemovalState
from sidecar.journal.journal import Journal
from sidecar.journal.read.reader import JournalReader
from tests.support.clock import ManualClock
from tests.support.journals import (
    ROOT,
    batch,
    claim,
    finish,
    identity,
    open_journal,
    ready,
    route,
    see,
    ship,
    tell,
)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Open an empty one."""
    return open_journal(tmp_path)


def synced(journal: Journal, name: str = "chunk_001.mp4", text: str = "a", n: int = 1) -> Transfer:
    """Bring a file to synced."""
    transfer = ready(journal, text, n, at=route(name))
    ship(journal, transfer)
    tell(journal)
    return journal.transfers.one(transfer.row_id)


def listing(journal: Journal, *missing: str, spared: bool = False) -> None:
    """End a full listing that did not show some files, if they are remembered."""
    known = set(journal.files.known(ROOT, "demo/lesson/s1"))
    journal.files.missing(
        ROOT, [f"demo/lesson/s1/{name}" for name in missing if name in known], spared=spared
    )


def look(journal: Journal, *missing: str, ask: bool | None = None, delete_object: bool = False) -> None:
    """End a full listing as the watch stage does: weigh, then confirm."""
    listing(journal, *missing)
    is_mass = journal.removals.mass_removal(ROOT, anew=False).is_mass
    after: str | None = ""
    while after is not None:
        after = journal.removals.evaluate_absences(
            ROOT, after=after, ask=is_mass if ask is None else ask, delete_object=delete_object
        ).after
    while journal.removals.confirm_absence(ROOT):
        pass


def gone(journal: Journal, *names: str, looks: int = 3, delete_object: bool = False) -> None:
    """Let some files be gone for so many looks: the third one decides."""
    for _ in range(looks):
        look(journal, *names, delete_object=delete_object)


def removals(journal: Journal) -> dict[str, str]:
    """Return state by name of what Convex has not acknowledged."""
    reader = JournalReader(journal.db.path, clock=ManualClock())
    try:
        rows = reader.removals(limit=1000, after=0)
        return {row.path.rpartition("/")[2]: str(row.state) for row in rows}
    finally:
        reader.close()


def sent(journal: Journal) -> list[Op]:
    """Claim what can be sent now."""
    return list(batch(journal).ops)


def answer(journal: Journal, op: Op, outcome: OpOutcome, **more: object) -> None:
    """Settle one op."""
    journal.answers.settle([OpResult(op_id=op.op_id, outcome=outcome, **more)])  # type: ignore[arg-type]  # its fields


def kinds(journal: Journal) -> list[str]:
    """Return the kinds of all ops in the outbox but facts, oldest first."""
    rows = journal.db.execute("SELECT kind FROM outbox WHERE kind <> 'facts' ORDER BY seq")
    return [row["kind"] for row in rows]


def test_two_listings_and_another_look_make_a_removal(journal: Journal) -> None:
    """Before, nothing is told; then one op names the slot, and after its answer the file is forgotten."""
    transfer = synced(journal)
    for _ in range(2):
        look(journal, "chunk_001.mp4")
        assert (removals(journal), kinds(journal)) == ({}, [])
    look(journal)
    assert removals(journal) == {"chunk_001.mp4": RemovalState.OWED}
    [op] = sent(journal)
    assert (op.kind, op.body) == (
        "remove",
        {
            "entityType": "scene",
            "entityId": "s1",
            "assetType": "video_chunk",
            "name": "chunk_001.mp4",
        },
    )
    answer(journal, op, OpOutcome.APPLIED, version=1)
    assert journal.transfers.one(transfer.row_id).is_removed
    assert removals(journal) == {}
    assert journal.db.execute("SELECT * FROM files").fetchall() == []
    assert journal.cleanup.claim_cleanup(limit=9, now=1e9) == []
    assert journal.removal_decisions.expiries(limit=9) == []


def test_a_file_that_returns_between_the_looks_was_never_removed(journal: Journal) -> None:
    """Its count begins anew."""
    synced(journal)
    gone(journal, "chunk_001.mp4", looks=2)
    assert see(journal, 1) is None
    gone(journal, "chunk_001.mp4", looks=2)
    assert removals(journal) == {}
    look(journal)
    assert removals(journal) == {"chunk_001.mp4": RemovalState.OWED}


@pytest.mark.parametrize("times", [1, 2])
def test_a_file_that_returns_before_its_op_was_sent_withdraws_it(journal: Journal, times: int) -> None:
    """As it was (its content is still the slot's), or changed (a version of its own)."""
    transfer = synced(journal)
    gone(journal, "chunk_001.mp4")
    candidate = see(journal, times)
    assert (removals(journal), kinds(journal)) == ({}, [])
    assert journal.transfers.one(transfer.row_id).state is State.SYNCED
    if candidate is not None:
        assert finish(journal, candidate, "a", times) is None


def test_a_file_that_returns_after_its_op_was_sent_is_new(journal: Journal) -> None:
    """Also with the same bytes and looks: Convex may have removed them already. Its put comes after."""
    first = synced(journal)
    gone(journal, "chunk_001.mp4")
    [op] = sent(journal)
    candidate = see(journal, 1)
    assert candidate is not None
    assert finish(journal, candidate, "a") is State.READY
    ship(journal, candidate)
    assert claim(journal) is None
    answer(journal, op, OpOutcome.APPLIED, version=1)
    assert journal.transfers.one(first.row_id).is_removed
    assert [op.kind for op in sent(journal)] == ["put"]


def test_the_same_content_after_a_removal_is_new(journal: Journal) -> None:
    """Neither the removed version nor older ones stand in for it."""
    synced(journal, text="old", n=1)
    synced(journal, text="new", n=2)
    gone(journal, "chunk_001.mp4")
    tell(journal)
    for n, text in ((3, "old"), (4, "new")):
        candidate = see(journal, n)
        assert candidate is not None
        assert finish(journal, candidate, text, n) is State.READY


def test_what_is_owed_is_removed_once_it_is_told(journal: Journal) -> None:
    """Its op goes first, whatever becomes of it."""
    transfer = ready(journal, "a")
    gone(journal, "chunk_001.mp4", looks=5)
    assert removals(journal) == {}
    ship(journal, transfer)
    look(journal)
    assert removals(journal) == {}
    tell(journal)
    look(journal)
    assert removals(journal) == {"chunk_001.mp4": RemovalState.OWED}


def test_newer_content_that_vanished_unread_leaves_the_older_to_be_removed(journal: Journal) -> None:
    """Convex goes on showing the first version: that is what the absence is about."""
    first = synced(journal)
    second = see(journal, 2)
    assert second is not None
    journal.completion.vanish(second.row_id)
    assert journal.transfers.one(second.row_id).state is State.GONE
    gone(journal, "chunk_001.mp4")
    assert removals(journal) == {"chunk_001.mp4": RemovalState.OWED}
    tell(journal)
    assert journal.transfers.one(first.row_id).is_removed


def test_what_the_sidecar_deleted_is_no_removal_even_after_newer_content(journal: Journal) -> None:
    """Nor where a newer file came and went before it could be read."""
    first = synced(journal)
    assert journal.local_deletion.begin_deletion(first.row_id)
    journal.local_deletion.deleted(first.row_id)
    gone(journal, "chunk_001.mp4", looks=5)
    second = see(journal, 2)
    assert second is not None
    journal.completion.vanish(second.row_id)
    gone(journal, "chunk_001.mp4", looks=5)
    assert (removals(journal), kinds(journal)) == ({}, [])


@pytest.mark.parametrize("is_read_first", [False, True])
def test_another_file_that_has_the_slot_prevents_it(journal: Journal, is_read_first: bool) -> None:
    """A moved file: the new place was refused until the old one was free, and takes over."""
    synced(journal)
    gone(journal, "chunk_001.mp4", looks=2)
    moved = see(journal, 1, path="demo/lesson/s1/elsewhere/chunk_001.mp4")
    assert moved is not None
    if is_read_first:
        finish(journal, moved, "a")
    look(journal)
    assert removals(journal) == {}
    if not is_read_first:
        finish(journal, moved, "a")
    gone(journal, looks=3)
    assert removals(journal) == {}


def test_a_moved_file_is_removed_from_its_new_place(journal: Journal) -> None:
    """Once, although two paths led to its content."""
    transfer = synced(journal)
    gone(journal, "chunk_001.mp4", looks=2)
    path = "demo/lesson/s1/elsewhere/chunk_001.mp4"
    moved = see(journal, 1, path=path)
    assert moved is not None
    finish(journal, moved, "a")
    for _ in range(3):
        journal.files.missing(ROOT, [path])
        look(journal)
    assert kinds(journal) == ["remove"]
    tell(journal)
    assert journal.transfers.one(transfer.row_id).is_removed
    assert see(journal, 9, path=path) is not None


def test_a_second_source_withdraws_a_removal(journal: Journal) -> None:
    """It takes the slot over."""
    synced(journal)
    gone(journal, "chunk_001.mp4")
    assert see(journal, 7, path="demo/lesson/s1/elsewhere/chunk_001.mp4") is not None
    assert (removals(journal), kinds(journal)) == ({}, [])


def test_what_is_missing_from_another_place_is_no_removal(journal: Journal) -> None:
    """Until it was seen here; one listing in doubt is enough."""
    synced(journal)
    listing(journal, "chunk_001.mp4", spared=True)
    gone(journal, "chunk_001.mp4", looks=4)
    assert removals(journal) == {}
    assert see(journal, 1) is None
    gone(journal, "chunk_001.mp4")
    assert removals(journal) == {"chunk_001.mp4": RemovalState.OWED}


@pytest.mark.parametrize("folder", ["", "demo", "demo/lesson/s1"])
def test_a_folder_that_changed_meanwhile_spares_what_was_counted(journal: Journal, folder: str) -> None:
    """At every step of the count, in it and below it; the root's own is all of them."""
    synced(journal)
    for looks in (1, 2):
        gone(journal, "chunk_001.mp4", looks=looks)
        journal.removals.forgive_absence(ROOT, ["demo/lesson/s", "demo/lesson/s1/x"])  # others
        journal.removals.forgive_absence(ROOT, [folder])
        gone(journal, "chunk_001.mp4", looks=4)
        assert removals(journal) == {}
        assert see(journal, 1) is None
    gone(journal, "chunk_001.mp4", looks=2)
    journal.removals.forgive_absence(ROOT, ["demo/lesson/s", "demo/lesson/s1/x"])
    look(journal)
    assert removals(journal) == {"chunk_001.mp4": RemovalState.OWED}


def test_the_count_outlives_a_restart(tmp_path: Path) -> None:
    """So does an op that was sent."""
    journal = open_journal(tmp_path)
    transfer = synced(journal)
    for _ in range(3):
        look(journal, "chunk_001.mp4")
        journal.close()
        journal = open_journal(tmp_path)
    assert removals(journal) == {"chunk_001.mp4": RemovalState.OWED}
    [op] = sent(journal)
    journal.close()
    journal = open_journal(tmp_path)
    [again] = sent(journal)
    assert (again.op_id, again.seq) == (op.op_id, op.seq)
    answer(journal, again, OpOutcome.DUPLICATE, version=1)
    assert journal.transfers.one(transfer.row_id).is_removed


# -- many at once --------------------------------------------------------------------------------


def test_more_than_ten_files_and_ten_percent_ask(journal: Journal) -> None:
    """The eleventh makes a question of all that are not told yet."""
    names = [f"chunk_{n:03}.mp4" for n in range(12)]
    for name in names:
        synced(journal, name, text=name)
    gone(journal, *names[:10])
    assert set(removals(journal).values()) == {RemovalState.OWED}
    tell(journal)
    gone(journal, names[10])
    assert removals(journal) == {names[10]: RemovalState.ASKED}
    assert journal.removals.mass_removal(ROOT, anew=True).gone == 1


def test_ten_percent_of_a_large_root_are_not_many(journal: Journal) -> None:
    """Files that are there count, too."""
    names = [f"chunk_{n:03}.mp4" for n in range(130)]
    for name in names:
        synced(journal, name, text=name)
    gone(journal, *names[:13])
    assert len(removals(journal)) == 13
    assert set(removals(journal).values()) == {RemovalState.OWED}
    gone(journal, names[13])
    assert removals(journal)[names[13]] == RemovalState.ASKED


def test_a_folder_that_is_being_deleted_asks_as_a_whole(journal: Journal) -> None:
    """The listing before caught only its beginning, but the rest is missing by then."""
    names = [f"chunk_{n:03}.mp4" for n in range(20)]
    for name in names:
        synced(journal, name, text=name)
    look(journal, *names[:3])
    look(journal, *names[:3])
    look(journal, *names)
    assert removals(journal) == dict.fromkeys(names[:3], RemovalState.ASKED)
    gone(journal, *names)
    assert removals(journal) == dict.fromkeys(names, RemovalState.ASKED)
    assert kinds(journal) == []


def test_confirmed_files_are_removed_and_dismissed_ones_stay(journal: Journal) -> None:
    """By path or all; what is dismissed stays until its file was there once more, and could be read."""
    names = [f"chunk_{n:03}.mp4" for n in range(20)]
    for name in names:
        synced(journal, name, text=name)
    gone(journal, *names)
    assert len(journal.removal_decisions.confirm_removals(root=ROOT, path=f"demo/lesson/s1/{names[0]}")) == 1
    assert journal.removal_decisions.confirm_removals(root=ROOT, path="demo/lesson/s") == []
    assert removals(journal)[names[0]] == RemovalState.OWED
    assert kinds(journal) == ["remove"]
    assert len(journal.removal_decisions.dismiss_removals(root=ROOT, path="demo/lesson/s1")) == 19
    assert journal.removal_decisions.dismiss_removals() == []
    tell(journal)
    gone(journal, *names, looks=4)
    assert removals(journal) == {}
    assert see(journal, 1, at=route(names[1])) is None
    unread = see(journal, 2, at=route(names[2]))
    assert unread is not None
    journal.completion.vanish(unread.row_id)
    journal.removals.mass_removal(ROOT, anew=True)
    gone(journal, names[1], names[2])
    assert removals(journal) == {names[1]: RemovalState.OWED}


def test_a_question_is_not_forgotten_by_pruning(tmp_path: Path) -> None:
    """However long nobody answers; nor is an object whose version is still to be marked."""
    clock = ManualClock()
    journal = open_journal(tmp_path, clock)
    names = [f"chunk_{n:03}.mp4" for n in range(12)]
    for name in names:
        synced(journal, name, text=name)
    gone(journal, *names, delete_object=True)
    journal.removal_decisions.confirm_removals(path=f"demo/lesson/s1/{names[0]}")
    tell(journal)
    clock.advance(1.0)
    for _ in range(3):
        journal.pruning.prune_transfers(keep_ms=0, now_ms=clock.wall)
        clock.advance(1.0)
    assert dict.fromkeys(names[1:], "asked") == removals(journal)
    assert len(journal.removal_decisions.expiries(limit=9)) == 1


def test_a_question_ends_with_the_return_of_its_files(journal: Journal) -> None:
    """The volume was mounted again."""
    names = [f"chunk_{n:03}.mp4" for n in range(20)]
    for name in names:
        synced(journal, name, text=name)
    gone(journal, *names)
    assert len(removals(journal)) == 20
    for name in names:
        assert see(journal, 1, at=route(name)) is None
    assert removals(journal) == {}


def test_what_convex_was_not_told_of_counts_until_it_is(journal: Journal) -> None:
    """An outage of Convex must not let a folder go ten files at a time."""
    names = [f"chunk_{n:03}.mp4" for n in range(12)]
    for name in names:
        synced(journal, name, text=name)
    gone(journal, *names[:10])
    journal.removals.mass_removal(ROOT, anew=True)
    gone(journal, names[10])
    assert removals(journal)[names[10]] == RemovalState.ASKED


def test_a_policy_that_is_keep_by_now_forgets_what_was_not_told(journal: Journal) -> None:
    """What Convex may know of is seen to its end."""
    names = ["chunk_001.mp4", "chunk_002.mp4"]
    for name in names:
        synced(journal, name, text=name)
    gone(journal, names[0])
    [op] = sent(journal)
    gone(journal, names[1])
    assert not journal.removal_decisions.drop_undecided_removals(watched=[ROOT])
    assert len(removals(journal)) == 2
    assert not journal.removal_decisions.drop_undecided_removals(watched=[])
    assert removals(journal) == {names[0]: RemovalState.OWED}
    answer(journal, op, OpOutcome.APPLIED, version=1)
    gone(journal, names[1], looks=4)
    assert removals(journal) == {}


# -- what Convex says ----------------------------------------------------------------------------


def test_a_removal_that_convex_refuses_is_kept_for_people(journal: Journal) -> None:
    """No dead letter: the asset is as it was, and may be confirmed again."""
    transfer = synced(journal)
    gone(journal, "chunk_001.mp4")
    [op] = sent(journal)
    answer(journal, op, OpOutcome.REJECTED, code="SESSION_OF_OTHER_PROJECT", message="not yours")
    assert removals(journal) == {"chunk_001.mp4": RemovalState.REFUSED}
    assert journal.transfers.one(transfer.row_id).state is State.SYNCED
    assert len(journal.removal_decisions.confirm_removals()) == 1
    [op] = sent(journal)
    error = SidecarError(ErrorKind.INVALID, "no", operation="call", target="x")
    journal.answers.mark_ops_dead([op.seq], error)
    assert removals(journal) == {"chunk_001.mp4": RemovalState.REFUSED}
    assert journal.transfers.one(transfer.row_id).state is State.SYNCED


def test_dismissing_a_removal_says_nothing_of_a_file_that_is_back(journal: Journal) -> None:
    """It keeps its slot, and once it is gone again that is a removal like any other."""
    synced(journal)
    gone(journal, "chunk_001.mp4")
    [op] = sent(journal)
    again = see(journal, 1)
    assert again is not None
    finish(journal, again, "a")
    answer(journal, op, OpOutcome.REJECTED, code="SESSION_OF_OTHER_PROJECT", message="not yours")
    assert len(journal.removal_decisions.dismiss_removals()) == 1
    assert set(journal.files.known(ROOT, "demo/lesson/s1")) == {"chunk_001.mp4"}
    assert see(journal, 7, path="demo/lesson/s1/elsewhere/chunk_001.mp4") is None
    ship(journal, again)
    tell(journal)
    gone(journal, "chunk_001.mp4")
    assert removals(journal) == {"chunk_001.mp4": RemovalState.OWED}


@pytest.mark.parametrize(
    ("outcome", "code", "expires"),
    [
        (OpOutcome.APPLIED, None, True),
        (OpOutcome.DUPLICATE, None, True),
        (OpOutcome.UNCHANGED, None, True),
        (OpOutcome.REJECTED, "SCENE_DELETED", True),
        (OpOutcome.REJECTED, "SESSION_DELETED", True),
        (OpOutcome.STALE, None, False),  # another sidecar's content took the slot over
    ],
)
def test_an_object_may_go_only_where_its_asset_went(
    journal: Journal, outcome: OpOutcome, code: str | None, *, expires: bool
) -> None:
    """And only with `removal: delete`."""
    transfer = synced(journal)
    gone(journal, "chunk_001.mp4", delete_object=True)
    [op] = sent(journal)
    answer(journal, op, outcome, code=code)
    assert journal.transfers.one(transfer.row_id).is_removed
    assert [one.version for one in journal.removal_decisions.expiries(limit=9)] == ([1] if expires else [])


def test_an_object_is_a_debt_once_its_version_is_marked(tmp_path: Path) -> None:
    """Also after a crash in between; one that is still shown stays."""
    journal = open_journal(tmp_path)
    transfers = [synced(journal, name, text=name) for name in ("chunk_001.mp4", "chunk_002.mp4")]
    gone(journal, "chunk_001.mp4", "chunk_002.mp4", delete_object=True)
    tell(journal)
    journal.close()
    journal = open_journal(tmp_path)
    assert [one.transfer.row_id for one in journal.removal_decisions.expiries(limit=9)] == [
        one.row_id for one in transfers
    ]
    assert journal.cleanup.claim_cleanup(limit=9, now=1e9) == []
    journal.removal_decisions.settle_expiries({transfers[0].row_id: True, transfers[1].row_id: False})
    assert [(task.key, task.delete_object) for task in journal.cleanup.claim_cleanup(limit=9, now=1e9)] == [
        (transfers[0].key, True)
    ]
    assert journal.removal_decisions.expiries(limit=9) == []


def test_an_object_whose_key_is_used_again_stays(journal: Journal) -> None:
    """A late deletion would take newer content with it."""
    where = route()
    fixed = Route(**{name: getattr(where, name) for name in where.__slots__} | {"key": "demo/fixed.mp4"})
    transfer = ready(journal, "a", at=fixed)
    ship(journal, transfer)
    tell(journal)
    gone(journal, "chunk_001.mp4", delete_object=True)
    tell(journal)
    journal.removal_decisions.settle_expiries({transfer.row_id: True})
    assert journal.cleanup.claim_cleanup(limit=9, now=1e9) == []


# -- scenes --------------------------------------------------------------------------------------


def test_a_removed_video_no_longer_counts_for_its_scene(journal: Journal) -> None:
    """The marker wanted two: what it promised is not there any more."""
    journal_scene = {"project_id": "demo", "session_id": "demo/lesson", "scene_id": "s1"}
    for n in (1, 2):
        synced(journal, "chunk_001.mp4", text=f"{n}", n=n)
    synced(journal, "chunk_002.mp4", text="other")
    journal.scenes.mark_scene(**journal_scene, marker="complete", mtime_ns=10**12, chunks=2)
    assert '"complete": true' in reported(journal)
    gone(journal, "chunk_001.mp4")
    tell(journal)
    assert '"complete": false' in reported(journal)
    again = ready(journal, "2", 3, at=route("chunk_001.mp4"))
    ship(journal, again)
    tell(journal)
    assert '"complete": true' in reported(journal)


def reported(journal: Journal) -> str:
    """Return the facts that entered the outbox last."""
    return str(journal.db.execute("SELECT reported FROM scenes").fetchone()["reported"])


def test_the_assets_of_a_session_are_removed_like_any_other(journal: Journal) -> None:
    """They have no scene."""
    where = route("manifest.json", kind=AssetType.MANIFEST)
    seen = Observation(root=ROOT, path="demo/lesson/manifest.json", identity=identity(1), route=where)
    candidate = journal.files.observe([seen])[0].candidate
    assert candidate is not None
    finish(journal, candidate, "m")
    ship(journal, candidate)
    tell(journal)
    for _ in range(3):
        journal.files.missing(ROOT, ["demo/lesson/manifest.json"])
        look(journal)
    [op] = sent(journal)
    assert (op.kind, op.body["entityType"]) == ("remove", "session")
