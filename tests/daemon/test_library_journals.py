"""Journals of programs: an empty one goes, one that owes or is in use stays, a kill in between is mended."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sidecar.core.errors import FatalError
from sidecar.core.model import Fingerprint, Observation
from sidecar.daemon.library_journals import (
    folder_of,
    left_journals,
    new_journal,
    retire,
    settings_for,
    spool_of,
    sweep,
)
from sidecar.journal.db.open import lock, lock_path
from sidecar.journal.journal import Journal
from sidecar.settings import from_mapping
from tests.support.clock import ManualClock
from tests.support.journals import TAG, identity, route


@pytest.fixture
def main(tmp_path: Path) -> Path:
    """The daemon's own journal, which is not there."""
    return tmp_path / "journal.db"


def made(main: Path, *, owing: bool = False) -> Path:
    """Make a closed journal of a program, with all that lies beside it."""
    path = new_journal(main)
    path.parent.mkdir(exist_ok=True)
    journal = Journal(path, tag=TAG, bucket="lessons", clock=ManualClock())
    if owing:
        seen = Observation(root="/", path="a.mp4", identity=identity(), route=route())
        journal.submissions.submit(seen, Fingerprint(identity=identity(), checksum="crc64nvme:A"))
    journal.close()
    Path(f"{path}.id").write_text("sidecar-1\n")
    (spool_of(path) / "x").mkdir(parents=True)
    return path


def test_an_empty_journal_goes_with_all_that_lies_beside_it(main: Path) -> None:
    path = made(main)
    assert left_journals(main) == [path]
    assert retire(path)
    assert list(folder_of(main).iterdir()) == []


def test_a_journal_that_owes_stays_whole(main: Path) -> None:
    path = made(main, owing=True)
    before = {one.name for one in folder_of(main).iterdir()}
    assert not retire(path)
    assert {one.name for one in folder_of(main).iterdir()} >= before


def test_a_journal_that_somebody_has_open_stays(main: Path) -> None:
    path = made(main)
    fd = lock(path)
    assert not retire(path)
    os.close(fd)
    assert path.exists()


def test_what_a_kill_in_the_middle_of_it_left_goes_with_the_next_look(main: Path) -> None:
    path, owing = made(main), made(main, owing=True)
    path.unlink()
    sweep(main)
    assert {one.name.partition(".db")[0] for one in folder_of(main).iterdir()} == {owing.stem}
    assert spool_of(owing).exists()


def test_what_was_handed_over_to_a_journal_that_is_damaged_is_kept(main: Path) -> None:
    """The empty one in its place owes nothing, and knows nothing: these may be the only copies."""
    path = made(main, owing=True)
    copy = spool_of(path) / "x" / "scene.py"
    copy.write_text("the only copy")
    path.write_bytes(b"damage" * 1000)
    Journal(path, tag=TAG, bucket="lessons", clock=ManualClock()).close()
    with capture_logs() as said:
        assert retire(path)
    sweep(main)
    assert not path.exists()
    assert copy.read_text() == "the only copy"
    assert Path(f"{path}.id").read_text() == "sidecar-1\n"
    assert [(one["log_level"], one["files"]) for one in said] == [("error", 1)]


def test_a_journal_that_is_being_made_keeps_its_id(main: Path) -> None:
    """The id is there before the lock: a kill from then on leaves the same sidecar."""
    path = new_journal(main)
    path.parent.mkdir()
    Path(f"{path}.id").write_text("sidecar-1\n")
    sweep(main)
    assert Path(f"{path}.id").exists()


def test_no_lock_is_taken_whose_file_was_removed_meanwhile(
    main: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who opened the lock's file just before it went would hold what keeps nobody out."""
    path = made(main)
    really = os.open

    def removed_then(name: str | Path, *arguments: int) -> int:
        fd = really(name, *arguments)
        lock_path(path).unlink(missing_ok=True)
        return fd

    monkeypatch.setattr("sidecar.journal.db.open.os.open", removed_then)
    with pytest.raises(FatalError) as refused:
        lock(path)
    assert refused.value.exit_status == 75


def test_a_program_watches_nothing_and_is_a_sidecar_of_its_own() -> None:
    settings = from_mapping(
        {
            "sidecar_id": "render-7",
            "watch": [{"root": "/renders"}],
            "removal": "keep",
            "s3": {"bucket": "lessons"},
            "convex": {"sync": "off"},
        }
    )
    own = settings_for(settings, Path("/j.lib/1.db"))
    assert (own.sidecar_id, own.watch, own.journal.path) == (None, (), Path("/j.lib/1.db"))
    assert own.journal.keep == settings.journal.keep
