"""What is done for many transfers at once is what would be done for each, and one that fails fails alone."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from sidecar.core.model import Fingerprint, Route, State, StoredObject, Transfer
from sidecar.core.ops import OpOutcome, OpResult
from sidecar.core.states import IllegalTransitionError
from sidecar.journal.db import rows
from sidecar.journal.journal import Journal
from sidecar.journal.stores.uploads import Uploads
from sidecar.journal.writer import JournalWriter
from tests.support.journals import batch, identity, open_journal, ready, route, see, ship, tell


def begun(journal: Journal, *where: Route) -> list[Transfer]:
    """See many files."""
    return [candidate for at in where if (candidate := see(journal, at=at)) is not None]


def read(transfer: Transfer, text: str = "a", n: int = 1) -> tuple[int, Fingerprint]:
    """Return what was read of a candidate."""
    return transfer.row_id, Fingerprint(identity=identity(n), checksum=f"crc64nvme:{text}")


def stored(transfer: Transfer) -> StoredObject:
    """Return what S3 said of it."""
    return StoredObject(bucket="lessons", key=transfer.key, etag="e")


def test_of_files_that_are_complete_at_once_each_is_what_it_would_be_alone(tmp_path: Path) -> None:
    """New content, the same bytes again, newer content, and a file that its scene gave up."""
    journal = open_journal(tmp_path)
    same, newer, given_up = route("same.mp4"), route("newer.mp4"), route("given_up.mp4", scene="s2")
    synced = ready(journal, "a", at=same)
    ship(journal, synced)
    tell(journal)
    waits = ready(journal, "a", at=newer)
    again, changed = see(journal, 2, at=same), see(journal, 2, at=newer)
    new, cancelled = begun(journal, route("new.mp4"), given_up)
    assert again is not None
    assert changed is not None
    journal.completion.abandon(cancelled.row_id, "its scene was cancelled")
    found = [read(again, "a", 2), read(changed, "b", 2), read(new), read(cancelled)]
    states = journal.completion.complete_all(found)
    assert states == [None, State.READY, State.READY, State.ABANDONED]
    assert journal.transfers.one(waits.row_id).state is State.SUPERSEDED
    complete = journal.transfers.one(new.row_id)
    assert (complete.checksum, complete.identity, complete.ready_ms) == (
        "crc64nvme:a",
        identity(1),
        journal.db.clock.wall_ms(),
    )
    assert journal.files.known("/renders", "demo/lesson/s1")["new.mp4"].identity == identity(1)


async def test_calls_that_meet_are_made_as_one_and_one_that_fails_fails_alone(tmp_path: Path) -> None:
    """A row that nobody has claimed takes none of its neighbours along, and each has its op."""
    journal, orders = open_journal(tmp_path), list[str]()
    transfers = [ready(journal, "a", at=route(f"{n}.mp4")) for n in range(5)]
    claimed = journal.upload_claims.claim_uploads(limit=9, now=1e9).transfers
    assert [one.row_id for one in claimed] == [one.row_id for one in transfers]
    dead = see(journal, at=route("dead.mp4"))
    assert dead is not None
    async with JournalWriter(journal) as writer:
        journal.db.conn.set_trace_callback(orders.append)
        calls = [
            writer.do(Uploads.uploaded, one, stored(one), f"https://cdn/{one.key}") for one in claimed[:3]
        ]
        assert await asyncio.gather(*calls) == [State.UPLOADED] * 3
        assert sum("'uploaded'" in order for order in orders if "\nUPDATE" in order) == 1
        bad = writer.do(Uploads.uploaded, dead, stored(dead), "https://cdn/dead")
        good = [
            writer.do(Uploads.uploaded, one, stored(one), f"https://cdn/{one.key}") for one in claimed[3:]
        ]
        found = await asyncio.gather(good[0], bad, good[1], return_exceptions=True)
        journal.db.conn.set_trace_callback(None)
        assert [found[0], found[2]] == [State.UPLOADED] * 2
        assert isinstance(found[1], IllegalTransitionError)
        told = [op.text for op in await writer.run(lambda journal: batch(journal).ops) if op.kind == "put"]
        assert [f"https://cdn/{one.key}" in text for one, text in zip(claimed, told, strict=True)] == [
            True
        ] * 5


@pytest.mark.parametrize("outcome", [OpOutcome.APPLIED, OpOutcome.UNCHANGED, OpOutcome.STALE])
def test_of_ops_that_are_answered_at_once_each_transfer_has_its_own_end(
    tmp_path: Path, outcome: OpOutcome
) -> None:
    """Versions are not mixed up, and what is replaced is over."""
    journal = open_journal(tmp_path)
    older = ready(journal, "a", at=route("0.mp4"))
    ship(journal, older)
    tell(journal)
    transfers = [ready(journal, "b", 2, at=route(f"{n}.mp4")) for n in range(3)]
    for one in transfers:
        ship(journal, one, places=1)
    puts = [op for op in batch(journal).ops if op.kind == "put"]
    journal.answers.settle(
        [OpResult(op_id=op.op_id, outcome=outcome, version=7 + n) for n, op in enumerate(puts)]
    )
    ended = [journal.transfers.one(one.row_id) for one in transfers]
    is_stale = outcome is OpOutcome.STALE
    assert [one.state for one in ended] == [State.SUPERSEDED if is_stale else State.SYNCED] * 3
    assert [one.version for one in ended] == ([None] * 3 if is_stale else [7, 8, 9])
    row = journal.db.execute("SELECT ended_ms FROM transfers WHERE id = ?", [older.row_id]).fetchone()
    assert (row["ended_ms"] is not None) is not is_stale


def test_routes_that_were_read_are_kept_up_to_a_limit() -> None:
    """However many files there are, memory holds the newest alone; what is read again is equal."""
    many = rows.ROUTES_KEPT_MAX + 9
    assert many < 1_000
    texts = [rows.route_json(route(f"{n}.mp4")) for n in range(many)]
    assert [rows.route_from(text).slot.name for text in texts] == [f"{n}.mp4" for n in range(many)]
    assert rows.route_from.cache_info().currsize == rows.ROUTES_KEPT_MAX
    assert rows.route_from(texts[0]) == route("0.mp4")


@pytest.mark.parametrize(
    "its",
    [
        {},
        {"metadata": {"take": "7"}},
        {"heeds_playlists": False, "tags": {"team": "film"}},
        {"storage_class": "STANDARD_IA", "content_disposition": "attachment"},
    ],
)
def test_a_route_is_read_as_it_was_written_and_as_older_versions_wrote_it(its: dict[str, Any]) -> None:
    """They wrote an object. What a rule does not say is not stored, whatever it says beside it."""
    written = replace(route("chunk_001.mp4"), **its)
    text = rows.route_json(written)
    assert text.startswith("[")
    assert rows.route_from(text) == written
    assert rows.route_from(json.dumps(asdict(written))) == written
    shorter = json.loads(text)[:15]
    assert rows.route_from(json.dumps(shorter)) == route("chunk_001.mp4")
