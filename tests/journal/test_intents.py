"""A small file's claim notes the intent to send it: no call is made between the claim and the PUT."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.core.model import State, StoredObject, Transfer
from sidecar.journal.journal import Journal
from sidecar.journal.stores.upload_claims import Claim
from tests.support.journals import finish, open_journal, ready, route, see

SMALL_BYTES = 100


def claim(journal: Journal) -> Claim:
    """Claim what is there, small ones with their intents."""
    return journal.upload_claims.claim_uploads(limit=9, now=1e9, intend_below_bytes=SMALL_BYTES)


def may_exist(journal: Journal, transfer: Transfer) -> bool:
    """Tell what the journal says of its object."""
    return journal.transfers.one(transfer.row_id).may_object


def test_an_intent_that_came_with_its_claim_outlives_the_process(tmp_path: Path) -> None:
    """The next one looks for the object, as after any PUT whose answer was lost."""
    journal = open_journal(tmp_path)
    ready(journal, "a")
    first = claim(journal)
    (claimed,) = first.transfers
    assert first.intended == {claimed.row_id}
    assert not claimed.may_object  # there is nothing to look for yet
    journal.close()
    journal = open_journal(tmp_path)
    again = claim(journal)
    assert not again.intended
    assert again.transfers == (replace(claimed, may_object=True),)


def test_an_upload_ends_without_another_intent(tmp_path: Path) -> None:
    """PUT follows the claim."""
    journal = open_journal(tmp_path)
    ready(journal, "a")
    (claimed,) = claim(journal).transfers
    stored = StoredObject(bucket="lessons", key=claimed.key, etag="e")
    assert journal.uploads.uploaded(claimed, stored, "https://cdn/a") is State.UPLOADED
    assert may_exist(journal, claimed)


def test_what_is_large_is_claimed_as_before(tmp_path: Path) -> None:
    """It waits for its turn to be read; its intent is noted then."""
    journal = open_journal(tmp_path)
    at = route("large.mp4")
    large = see(journal, at=at, size=SMALL_BYTES)
    assert large is not None
    finish(journal, large, "a", size=SMALL_BYTES)
    small = ready(journal, "b", at=route("small.mp4"))
    found = claim(journal)
    assert [one.row_id for one in found.transfers] == [large.row_id, small.row_id]
    assert found.intended == {small.row_id}
    assert (may_exist(journal, large), may_exist(journal, small)) == (False, True)


@pytest.mark.parametrize(
    "known",
    [
        "UPDATE transfers SET may_object = 1",
        "UPDATE transfers SET may_upload = 1",
        """UPDATE transfers SET recall = '{"key": "k"}'""",
    ],
)
def test_what_may_be_at_s3_is_looked_for_first(tmp_path: Path, known: str) -> None:
    """It is claimed without an intent, and is as it was."""
    journal = open_journal(tmp_path)
    waits = ready(journal, "a")
    journal.db.execute(known)
    before = journal.transfers.one(waits.row_id)
    found = claim(journal)
    assert found.transfers == (before,)
    assert not found.intended
    assert journal.transfers.one(waits.row_id) == before


@pytest.mark.parametrize("is_released", [True, False])
def test_an_intent_of_which_nothing_came_is_taken_back(tmp_path: Path, *, is_released: bool) -> None:
    """Nobody looks for an object, or deletes one, that nobody has sent."""
    journal = open_journal(tmp_path)
    waits = ready(journal, "a")
    claim(journal)
    if is_released:
        journal.upload_claims.release(waits.row_id, never_asked=True)
    else:
        journal.upload_claims.take_back_intent(waits.row_id)
        assert not claim(journal).transfers  # the lease is another matter
    assert not may_exist(journal, waits)


@pytest.mark.parametrize(
    ("sizes", "claimed", "is_full"),
    [
        ("lllll", 4, True),  # no more than so many at once
        ("lll", 3, False),
        ("lllF", 3, True),  # the film is due, and waits for a place
        ("lFll", 2, True),
        ("FFFF", 2, True),
        ("lF", 2, True),
    ],
)
def test_more_are_claimed_while_all_are_light(
    tmp_path: Path, sizes: str, claimed: int, is_full: bool
) -> None:
    """Two places, four for light ones: a crowd of small files ends before the first film."""
    journal = open_journal(tmp_path)
    for n, size in enumerate(sizes, 1):
        candidate = see(journal, n, at=route(f"c{n}.mp4"))
        assert candidate is not None
        finish(journal, candidate, f"{n}", n, size=10 if size == "l" else SMALL_BYTES)
    found = journal.upload_claims.claim_uploads(
        limit=2, light_limit=4, now=1e9, intend_below_bytes=SMALL_BYTES
    )
    assert len(found.transfers) == claimed
    assert found.is_full is is_full
    assert found.intended == {one.row_id for one in found.transfers if one.size_bytes < SMALL_BYTES}
    slots = [one.route.slot for one in found.transfers]
    assert [slot.digest for slot in slots] == [replace(slot).digest for slot in slots]  # read; made anew
