"""The simulation bites: each of these bugs, put in by hand, makes it fail.

One bug is one change of behaviour; the crash point or fault that shows it is looked for, in order.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from sidecar.core.checksums import combine
from sidecar.core.model import Part, StoredObject, Transfer
from sidecar.core.ops import Batch
from sidecar.core.retry import Blame
from sidecar.journal.journal import Journal
from sidecar.upload import transfer as recipe
from sidecar.upload.cleaner import Cleaner
from sidecar.upload.multipart import Multipart
from sidecar.upload.source import Source
from sidecar.upload.store import OpenUpload
from sidecar.upload.tools import Tools
from tests.support.simulation.checker import check
from tests.support.simulation.history import Plan, live_through
from tests.support.simulation.power import Crash, Fault

Bug = Callable[[pytest.MonkeyPatch], None]


def a_put_is_not_announced_to_the_journal(patch: pytest.MonkeyPatch) -> None:
    """After a crash nobody knows that the object may exist."""
    _replace(patch, Journal, "begin_put", lambda _honest, *_args: None)


def a_create_is_not_announced_to_the_journal(patch: pytest.MonkeyPatch) -> None:
    """After a lost answer nobody knows that an upload may be open."""
    _replace(patch, Journal, "begin_multipart", lambda _honest, *_args, **_more: None)


def nobody_asks_before_sending_again(patch: pytest.MonkeyPatch) -> None:
    """What was carried out is taken for a failure."""

    async def never(_honest: object, *_args: object) -> None:
        return None

    _replace(patch, Tools, "settled", never)


def forgotten_uploads_stay(patch: pytest.MonkeyPatch) -> None:
    """There is no sweep."""

    async def nothing(_honest: object, _cleaner: Cleaner) -> None:
        return None

    _replace(patch, Cleaner, "sweep", nothing)


def the_uploads_of_others_are_swept(patch: pytest.MonkeyPatch) -> None:
    """Whatever the journal does not know is aborted."""
    patch.setattr("sidecar.upload.cleaner.is_forgotten", lambda found, known, **_: found.key not in known)


def parts_are_journaled_before_they_are_sent(patch: pytest.MonkeyPatch) -> None:
    """The journal says more than S3 knows."""

    async def hasty(_honest: object, self: Multipart, upload: OpenUpload, queue: Any, have: Any) -> None:
        for wanted in queue:
            (checksum,) = (await self._source.checksums([wanted])).values()
            early = Part(number=wanted.number, size_bytes=wanted.length_bytes, etag="?", checksum=checksum)
            await self._journal.do(Journal.part_stored, self._transfer.id, early)
            have[wanted.number] = await self._store.put_part(
                upload, self._source.part(wanted), number=wanted.number
            )

    _replace(patch, Multipart, "_send_some", hasty)


def success_is_journaled_before_the_effect(patch: pytest.MonkeyPatch) -> None:
    """A transfer is uploaded before its PUT is made."""

    async def hasty(honest: Any, transfer: Transfer, source: Source, *, tools: Tools) -> None:
        early = StoredObject(bucket=transfer.bucket, key=transfer.key, etag="?")
        await tools.journal.do(Journal.uploaded, transfer.id, early, url=tools.url(transfer.key))
        await honest(transfer, source, tools=tools)

    _replace(patch, recipe, "_put", hasty)


def bytes_are_not_compared_with_what_was_read(patch: pytest.MonkeyPatch) -> None:
    """Complete is given the checksum of the parts that were sent, whatever the file was."""

    async def always(_honest: object, _source: Source, **_: object) -> bool:
        return True

    async def credulous(honest: Any, self: Multipart, upload: OpenUpload, parts: list[Part]) -> StoredObject:
        sent = combine((part.checksum, part.size_bytes) for part in parts)
        self._transfer = replace(self._transfer, checksum=sent)
        stored: StoredObject = await honest(self, upload, parts)
        return stored

    _replace(patch, Source, "is_itself", always)
    _replace(patch, Multipart, "_complete", credulous)


def a_retry_gets_a_new_op_id(patch: pytest.MonkeyPatch) -> None:
    """Convex cannot tell a retry from news."""

    def renaming(honest: Any, self: Journal, **given: Any) -> tuple[Batch | None, float | None]:
        self.db.execute("UPDATE outbox SET op_id = op_id || '+' WHERE lease = 0 AND state = 'sent'")
        claimed: tuple[Batch | None, float | None] = honest(self, **given)
        return claimed

    _replace(patch, Journal, "claim_batch", renaming)


def an_outage_is_blamed_on_the_object(patch: pytest.MonkeyPatch) -> None:
    """Three failures of whatever kind, and it is a dead letter."""
    patch.setattr("sidecar.gate.blame", lambda *_args, **_more: Blame.OBJECT)


def an_op_is_dropped_when_it_is_handed_out(patch: pytest.MonkeyPatch) -> None:
    """Sent at most once."""

    def forgetful(honest: Any, self: Journal, **given: Any) -> tuple[Batch | None, float | None]:
        batch, due = honest(self, **given)
        for op in batch.ops if batch else ():
            if op.kind == "facts":
                self.db.execute("DELETE FROM outbox WHERE seq = ?", [op.seq])
        return batch, due

    _replace(patch, Journal, "claim_batch", forgetful)


def debts_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    """What a superseded transfer left stays at S3."""
    _replace(patch, Journal, "owe", lambda _honest, _journal, _transfer: None)


def a_debt_is_paid_while_its_worker_still_sends(patch: pytest.MonkeyPatch) -> None:
    """The clean-up races with what it cleans up."""

    def at_once(honest: Any, journal: Journal, transfer: Transfer, why: str) -> None:
        journal.db.execute("UPDATE transfers SET lease = 0 WHERE id = ?", [transfer.id])
        honest(journal, transfer, why)

    _replace(patch, Journal, "overtake", at_once)


def leases_outlive_their_process(patch: pytest.MonkeyPatch) -> None:
    """What the last process had in hand is never taken up again."""
    _replace(patch, Journal, "_recover", lambda _honest, _journal: None)


def an_object_that_convex_does_not_show_is_kept(patch: pytest.MonkeyPatch) -> None:
    """Content that came back leaves an object that nobody refers to."""
    _replace(patch, Journal, "_stand_for", lambda _honest, *_args: None)


PLACES: Mapping[Bug, str] = {
    a_put_is_not_announced_to_the_journal: "swap-under-put",
    a_create_is_not_announced_to_the_journal: "fixed-key",
    nobody_asks_before_sending_again: "small",
    forgotten_uploads_stay: "foreign",
    the_uploads_of_others_are_swept: "foreign",
    parts_are_journaled_before_they_are_sent: "multipart",
    success_is_journaled_before_the_effect: "small",
    bytes_are_not_compared_with_what_was_read: "replace-under-part",
    a_retry_gets_a_new_op_id: "small",
    an_outage_is_blamed_on_the_object: "replace-ready",
    an_op_is_dropped_when_it_is_handed_out: "small",
    debts_are_forgotten: "big-then-small",
    a_debt_is_paid_while_its_worker_still_sends: "swap-under-put",
    leases_outlive_their_process: "small",
    an_object_that_convex_does_not_show_is_kept: "aba-unsent",
}


@pytest.mark.parametrize("bug", PLACES, ids=lambda bug: bug.__name__)
def test_a_bug_does_not_go_unnoticed(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some single crash, or a lost or slow answer, brings it to light."""
    bug(monkeypatch)
    assert any(check(plan)[0] for plan in _hunt(PLACES[bug]))


def _hunt(scenario: str) -> Iterator[Plan]:
    history = live_through(Plan(scenario=scenario))
    history.close()
    for seed in range(5):
        yield Plan(scenario=scenario, seed=seed)
    for n in range(1, len(history.effects[0]) + 1):
        yield Plan(scenario=scenario, crashes=[Crash(effect=n, when="after")])
    for call in range(1, len(history.calls) + 1):
        yield Plan(scenario=scenario, faults=[Fault(call=call, how="lost-after")])
    puts = [n for n, name in enumerate(history.calls, 1) if name == "s3.put"]
    for n in range(1, len(history.effects[0]) + 1):
        slow = [Fault(call=call, how="slow") for call in puts[:1]]
        yield Plan(scenario=scenario, crashes=[Crash(effect=n, when="after")], faults=slow)


def _replace(patch: pytest.MonkeyPatch, where: object, name: str, new: Callable[..., Any]) -> None:
    """Put ``new`` in the place of a function, with the honest one as its first argument."""
    honest = getattr(where, name)

    @functools.wraps(honest)
    def put_in(*args: Any, **kwargs: Any) -> Any:
        return new(honest, *args, **kwargs)

    patch.setattr(where, name, put_in)
