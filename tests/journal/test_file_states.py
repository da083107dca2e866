"""The journal moves files as the table says (core/file_states.py), and asks for them in its words."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.core.file_states import TRANSITIONS, UNDECIDED, FileEvent, FileState, step
from sidecar.core.model import Transfer
from sidecar.core.states import IllegalTransitionError
from sidecar.journal.db.file_conditions import IS_PRESENT, IS_UNDECIDED, is_among, knows, state_after
from sidecar.journal.journal import Journal
from tests.support.journals import ROOT, open_journal, ready, route, see, ship, tell

FOLDER = "demo/lesson/s1"
NUMBERS = itertools.count()


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Open an empty one."""
    return open_journal(tmp_path)


def delivered(journal: Journal, name: str = "chunk_001.mp4") -> Transfer:
    """Bring a file to where Convex knows it."""
    transfer = ready(journal, name, at=route(name))
    ship(journal, transfer)
    tell(journal)
    return transfer


def state_of(journal: Journal, name: str = "chunk_001.mp4") -> FileState | None:
    """Return a file's state, None where it is not remembered."""
    row = journal.db.execute("SELECT absent FROM files WHERE name = ?", [name]).fetchone()
    return FileState(row["absent"]) if row else None


def see_again(journal: Journal, file: Transfer) -> None:
    """Show it as it was."""
    assert see(journal, 1, at=file.route) is None


def dismiss(journal: Journal, file: Transfer) -> None:
    """Keep its asset, of which Convex has refused the removal, if none was asked about."""
    place = [file.route.slot.digest, file.row_id, journal.db.root_id(ROOT), FOLDER, file.route.slot.name]
    journal.db.execute(
        "INSERT OR IGNORE INTO removals"
        " (slot, transfer, root, folder, name, state, delete_object, noticed_ms)"
        " VALUES (?, ?, ?, ?, ?, 'refused', 0, 0)",
        place,
    )
    journal.removal_decisions.dismiss_removals()


def decide(journal: Journal) -> None:
    """Ask about all of which it is due."""
    journal.removals.evaluate_absences(ROOT, after="", ask=True, delete_object=False)


HAPPENINGS: dict[FileEvent, Callable[[Journal, Transfer], object]] = {
    FileEvent.SEEN: see_again,
    FileEvent.NOT_LISTED: lambda journal, file: journal.files.missing(ROOT, [file.path]),
    FileEvent.CONFIRMED: lambda journal, _: journal.removals.confirm_absence(ROOT),
    FileEvent.DECIDED: lambda journal, _: decide(journal),
    FileEvent.DISMISSED: dismiss,
    FileEvent.DELETION_BEGUN: lambda journal, file: journal.local_deletion.begin_deletion(file.row_id),
    FileEvent.DELETED: lambda journal, file: journal.local_deletion.deleted(file.row_id),
    FileEvent.KEPT: lambda journal, file: journal.local_deletion.kept(file.row_id),
}


@pytest.mark.parametrize("event", HAPPENINGS)
def test_what_happens_is_a_step_of_the_table_or_none(journal: Journal, event: FileEvent) -> None:
    """From every state."""
    for state in FileState:
        file = delivered(journal, f"chunk_{state}.mp4")
        journal.db.execute("UPDATE files SET absent = ? WHERE name = ?", [state, file.route.slot.name])
        HAPPENINGS[event](journal, file)
        assert state_of(journal, file.route.slot.name) is TRANSITIONS[state].get(event, state), state


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(st.sampled_from(list(HAPPENINGS)), max_size=25))
def test_the_journal_moves_files_as_the_table_says(journal: Journal, events: list[FileEvent]) -> None:
    """Whatever happens in whatever order: a step that the table knows is taken, all else changes nothing."""
    name = f"chunk_{next(NUMBERS)}.mp4"
    file = delivered(journal, name)
    for event in events:
        before = state_of(journal, name)
        assert before is not None
        HAPPENINGS[event](journal, file)
        assert state_of(journal, name) is TRANSITIONS[before].get(event, before), (before, event)
    journal.db.execute("DELETE FROM files")
    journal.db.execute("DELETE FROM removals")


@pytest.mark.parametrize("state", FileState)
def test_a_removal_that_convex_carried_out_forgets_only_what_is_gone(
    journal: Journal, state: FileState
) -> None:
    """Whatever became of the file while the op was on its way."""
    file = delivered(journal)
    for event in (FileEvent.NOT_LISTED, FileEvent.NOT_LISTED, FileEvent.CONFIRMED):
        HAPPENINGS[event](journal, file)
    journal.removals.evaluate_absences(ROOT, after="", ask=False, delete_object=False)
    journal.db.execute("UPDATE files SET absent = ?", [state])
    tell(journal)
    assert state_of(journal) is TRANSITIONS[state].get(FileEvent.REMOVED, state)


@given(st.sets(st.sampled_from(list(FileState)), min_size=1))
def test_a_condition_holds_for_its_states_alone(states: set[FileState]) -> None:
    """Whichever they are."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE TABLE files (absent INTEGER)")
        db.executemany("INSERT INTO files VALUES (?)", [[state] for state in FileState])
        rows = db.execute(f"SELECT absent FROM files WHERE {is_among(states)}")  # noqa: S608 - our own words
        assert {FileState(number) for (number,) in rows} == states


@pytest.mark.parametrize("event", FileEvent)
def test_an_update_of_many_takes_the_steps_of_the_table(event: FileEvent) -> None:
    """And passes over the files that do not know it."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE TABLE files (was INTEGER, absent INTEGER)")
        db.executemany("INSERT INTO files VALUES (?, ?)", [[state, state] for state in FileState])
        if event in {FileEvent.REMOVED, FileEvent.PRUNED, FileEvent.VANISHED}:
            db.execute(f"DELETE FROM files WHERE {knows(event)}")  # noqa: S608 - our own words
        else:
            db.execute(f"UPDATE files SET absent = {state_after(event)} WHERE {knows(event)}")  # noqa: S608 - the same
        found = {FileState(was): FileState(absent) for was, absent in db.execute("SELECT * FROM files")}
    after = {state: TRANSITIONS[state].get(event, state) for state in FileState}
    assert found == {state: end for state, end in after.items() if end is not None}


def test_the_tables_of_the_journal_mean_the_same_states(journal: Journal) -> None:
    """A migration that has landed holds numbers: its index, and what counts the files that are there."""
    delivered(journal)
    texts = {row["name"]: row["sql"] for row in journal.db.execute("SELECT name, sql FROM sqlite_master")}
    assert texts["files_absent"].endswith(f" WHERE {IS_UNDECIDED.strip('()')}")
    assert "file_came" not in texts  # what comes is counted as present: journal/stores/counts.py
    assert f"WHEN old.{IS_PRESENT} BEGIN" in texts["file_went"]
    assert f"WHEN (old.{IS_PRESENT}) <> (new.{IS_PRESENT}) BEGIN" in texts["file_changed"]
    assert state_of(journal) is FileState.PRESENT


def test_what_is_undecided_is_found_by_its_index(journal: Journal) -> None:
    """Every listing of a million files asks for the few that are gone: the question has the index's words."""
    delivered(journal)
    asked: list[str] = []
    journal.db.conn.set_trace_callback(asked.append)
    journal.removals.has_absences(ROOT)
    journal.removals.mass_removal(ROOT, anew=False)
    journal.removals.forgive_absence(ROOT, [""])
    journal.removals.confirm_absence(ROOT)
    journal.db.conn.set_trace_callback(None)
    asked = [sql for sql in asked if IS_UNDECIDED in sql]
    assert len(asked) == 4
    for sql in asked:
        plan = [row["detail"] for row in journal.db.execute(f"EXPLAIN QUERY PLAN {sql}")]
        assert any("files_absent" in line for line in plan), plan


def test_a_decision_that_is_not_due_changes_nothing(journal: Journal) -> None:
    """Where the row is at hand a step that the table does not know is a bug, and loud."""
    delivered(journal)
    row = journal.db.execute("SELECT * FROM files").fetchone()
    with pytest.raises(IllegalTransitionError, match="present knows no step decided"):
        journal.removals._settle_absence(row)
    assert state_of(journal) is FileState.PRESENT
    assert [step(state, FileEvent.SEEN) for state in UNDECIDED] == [FileState.PRESENT] * 3
