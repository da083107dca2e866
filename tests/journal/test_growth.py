"""What a listing asks of the journal costs no more with very many files in it: SQLite's steps are counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sidecar.journal.journal import Journal
from sidecar.journal.read.reader import JournalReader
from sidecar.local.bench.filling import FILES, MachineClock, fill, path
from tests.support.journals import ROOT, TAG, identity, instructions

FEW, MANY = FILES, 10 * FILES  # all of them there, but for three of the first folder
ABSENT = [path(n) for n in range(3)]


def filled(folder: Path, files: int) -> Journal:
    """Return a journal that knows so many synced files; two listings missed three of them."""
    journal = Journal(folder / "journal.db", tag=TAG, bucket="lessons", clock=MachineClock())
    fill(journal, ROOT, ((n, identity(n + 1)) for n in range(files)))
    for _ in range(2):
        journal.files.missing(ROOT, ABSENT)
    return journal


def steps(journal: Journal, work: Callable[[Journal], object]) -> int:
    """Return how many instructions SQLite's machine takes for some work, in tens."""
    return instructions(journal, lambda: work(journal)) // 10


def confirm(journal: Journal) -> None:
    """Begin another look."""
    assert not journal.removals.confirm_absence(ROOT)


def decide(journal: Journal) -> None:
    """Decide what was confirmed."""
    mass = journal.removals.mass_removal(ROOT, anew=False)
    assert (mass.gone, mass.present) == (
        3,
        journal.db.execute("SELECT count(*) FROM files").fetchone()[0] - 3,
    )
    assert journal.removals.has_absences(ROOT)
    page = journal.removals.evaluate_absences(ROOT, after="", ask=True, delete_object=False)
    assert page.asked == 3


def spare(journal: Journal) -> None:
    """Spare what is absent from the root."""
    journal.removals.forgive_absence(ROOT, [""])


@pytest.fixture
def journals(tmp_path_factory: pytest.TempPathFactory) -> tuple[Journal, Journal]:
    """Return a small one and a large one, which the steps below take through an absence's life."""
    return filled(tmp_path_factory.mktemp("few"), FEW), filled(tmp_path_factory.mktemp("many"), MANY)


def test_what_is_absent_is_found_without_a_look_at_what_is_there(journals: tuple[Journal, Journal]) -> None:
    """Each step of an absence's life begins where the one before has ended."""
    for work in (confirm, decide, spare):
        few, many = (steps(journal, work) for journal in journals)
        assert many <= 1.5 * few + 10, work.__name__


def test_remembered_folders_are_found_without_a_look_at_their_files(tmp_path: Path) -> None:
    """From each to the next is one seek: ten tens of instructions, whatever lies in it."""
    journal = filled(tmp_path, 3 * FILES)
    found = list[str]()
    taken = steps(journal, lambda it: found.extend(it.files.folders(ROOT, after="", limit=1000)))
    assert found == [f"demo/lesson-00000/scene_00000{n}/video" for n in range(3)]
    assert taken < 30


def test_a_start_finds_what_is_under_way_without_a_look_at_what_is_delivered(
    journals: tuple[Journal, Journal],
) -> None:
    """Each question that it asks has an index of its own, however many files were synced before."""
    asked: tuple[Callable[[Journal], object], ...] = (
        lambda journal: journal.upload_claims.void_leases(),
        lambda journal: journal.settings_change.redirect_to_bucket(),
        lambda journal: journal.settings_change.unwatched_transfers(watched=[], after=0),
        lambda journal: journal.completion.candidates(),
        lambda journal: journal.stream_pieces.parked(),
    )
    for work in asked:
        few, many = (steps(journal, work) for journal in journals)
        assert many <= few + 10, work.__code__.co_names


def test_the_account_of_what_is_open_is_made_without_a_look_at_what_is_delivered(
    journals: tuple[Journal, Journal],
) -> None:
    """``/status`` asks for it."""
    taken = list[int]()
    for journal in journals:
        reader = JournalReader(journal.db.path, clock=MachineClock())
        reader._db.close()
        reader._db = journal.db.conn  # whose instructions are counted
        taken.append(instructions(journal, reader.standing) // 10)
    few, many = taken
    assert many <= few + 10
