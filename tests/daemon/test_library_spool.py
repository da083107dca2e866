"""Spooled copies: what is delivered or nobody's goes, whoever finishes the journal; the rest stays."""

from __future__ import annotations

import asyncio
from pathlib import Path

from sidecar.core.clock import SystemClock
from sidecar.core.model import Fingerprint, Observation
from sidecar.daemon.library_journals import new_journal, spool_of
from sidecar.daemon.library_life import open_library_life
from sidecar.journal.journal import Journal
from sidecar.journal.stores.submissions import Submissions
from sidecar.settings import Settings, from_mapping
from tests.support.clock import ManualClock
from tests.support.journals import TAG, identity, route


def settings_of(main: Path) -> Settings:
    """Return settings of a program whose S3 answers nobody."""
    s3 = {
        "bucket": "lessons",
        "endpoint_url": "http://127.0.0.1:9",
        "access_key_id": "a",
        "secret_access_key": "b",
    }
    journal = {"path": str(main)}
    return from_mapping({"s3": s3, "convex": {"sync": "off"}, "journal": journal}, watching=False)


def spooled(journal: Path, path: str) -> Path:
    """Make a copy."""
    copy = spool_of(journal) / path
    copy.parent.mkdir(parents=True)
    copy.write_text(path)
    return copy


def handed(journal: Path, path: str, n: int = 1) -> tuple[Observation, Fingerprint]:
    """Return what is submitted of a copy."""
    seen = Observation(root=str(spool_of(journal)), path=path, identity=identity(n), route=route())
    return seen, Fingerprint(identity=identity(n), checksum=f"crc64nvme:{n}")


def left(main: Path) -> Path:
    """Make the journal of a program that ended, with one file on its way."""
    path = new_journal(main)
    path.parent.mkdir()
    journal = Journal(path, tag=TAG, bucket="lessons", clock=ManualClock())
    journal.submissions.submit(*handed(path, "aa/a.mp4"))
    journal.close()
    return path


async def test_who_finishes_a_journal_removes_copies_without_an_open_row(tmp_path: Path) -> None:
    """A killed program had not handed them in, or not removed them yet."""
    main = tmp_path / "journal.db"
    journal = left(main)
    wanted, nobodys = spooled(journal, "aa/a.mp4"), spooled(journal, "bb/a.mp4")
    (spool_of(journal) / "cc").mkdir()
    async with open_library_life(settings_of(main), journal, clock=SystemClock()):
        assert wanted.exists()
        assert not nobodys.exists()
        assert [one.name for one in spool_of(journal).iterdir()] == ["aa"]


async def test_who_finishes_a_journal_removes_copies_as_they_come_to_their_end(tmp_path: Path) -> None:
    """Not with the journal alone, which a dead letter keeps for ever."""
    main = tmp_path / "journal.db"
    journal = left(main)
    old, new = spooled(journal, "aa/a.mp4"), None
    async with open_library_life(settings_of(main), journal, clock=SystemClock()) as life:
        new = spooled(journal, "bb/a.mp4")
        await life.journal.do(Submissions.submit, *handed(journal, "bb/a.mp4", 2))
        async with asyncio.timeout(10):
            while old.exists():
                await asyncio.sleep(0.01)
        assert new.exists()


async def test_beside_a_journal_that_was_moved_aside_every_copy_stays(tmp_path: Path) -> None:
    """The empty one in its place wants none of them."""
    main = tmp_path / "journal.db"
    journal = left(main)
    copy = spooled(journal, "aa/a.mp4")
    journal.write_bytes(b"damage" * 1000)
    async with open_library_life(settings_of(main), journal, clock=SystemClock()):
        assert copy.exists()
