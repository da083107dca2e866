"""What there is seldom any of is not asked for again and again, and is found once there is one."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.model import Part
from sidecar.journal.db.connection import Rare
from sidecar.journal.journal import Journal
from sidecar.journal.stores.upload_claims import Claim
from tests.support.journals import open_journal, ready, route, ship

SLOW = SidecarError(ErrorKind.THROTTLED, "slow down", operation="PutObject", target="k")


def claim(journal: Journal, *, limit: int = 9, now: float = 10.0) -> Claim:
    """Claim what is due."""
    return journal.upload_claims.claim_uploads(limit=limit, now=now)


def failed(journal: Journal) -> int:
    """Let a file's upload fail until 20, after a claim that found no such thing."""
    transfer = ready(journal, "a")
    assert claim(journal).next_due is None
    assert Rare.DELAYED_UPLOADS in journal.db.none_of
    journal.upload_claims.fail_upload(transfer.row_id, SLOW, due=20.0, spent=False)
    return transfer.row_id


def test_an_upload_that_failed_is_waited_for(tmp_path: Path) -> None:
    """Although none was a moment ago."""
    journal = open_journal(tmp_path)
    failed(journal)
    assert claim(journal).next_due == 20.0


def test_what_a_transaction_found_is_forgotten_where_it_fails(tmp_path: Path) -> None:
    """What it changed is as it was."""
    journal = open_journal(tmp_path)
    row_id = failed(journal)

    def hastened_for_nothing() -> None:
        with journal.db.atomic():
            journal.db.execute("UPDATE transfers SET due = 0 WHERE id = ?", [row_id])
            assert claim(journal).next_due is None
            raise LookupError

    with pytest.raises(LookupError):
        hastened_for_nothing()
    assert claim(journal).next_due == 20.0


def test_an_upload_that_is_begun_goes_first(tmp_path: Path) -> None:
    """Although none was open a moment ago: its parts are at S3."""
    journal = open_journal(tmp_path)
    ship(journal, ready(journal, "a", at=route("a.mp4")))
    first, second = (ready(journal, name, at=route(f"{name}.mp4")) for name in "bc")
    assert len(claim(journal).transfers) == 2
    assert Rare.OPEN_UPLOADS in journal.db.none_of
    journal.multipart.begin_multipart(second.row_id, part_bytes=5)
    journal.multipart.part_stored(second.row_id, Part(number=1, size_bytes=5, etag="e", checksum="c"))
    for one in (first, second):
        journal.upload_claims.release(one.row_id)
    found = claim(journal, limit=1)
    assert found.begun == {second.row_id}
