"""What Convex refuses for good is taken back out of S3 where asked for, and only where nobody may show it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from sidecar.core.clock import Clock
from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.model import Fingerprint, Observation, Route, Slot, State, StoredObject, Transfer
from sidecar.core.ops import Batch, CurrentAsset, OpOutcome, OpResult
from sidecar.journal.journal import Journal
from sidecar.journal.read.check import RULES
from sidecar.metrics import Metrics
from sidecar.settings.convex import BatchSettings
from sidecar.sync.backend import BackendStore, ShownObject
from sidecar.sync.stage import SyncStage
from tests.support import journals
from tests.support.gates import convex_gate
from tests.support.memory_metadata import MemoryMetadata
from tests.support.virtual import InlineWriter, virtually

NAME, CODE = "a.mp4", "FOREIGN_OBJECT"
FIXED = replace(journals.route(NAME), key="fixed/a.mp4")


def failure(kind: ErrorKind) -> SidecarError:
    """Return what a question may meet."""
    return SidecarError(kind, "no", operation="current", target="slots")


@dataclass(slots=True)
class Deployment(MemoryMetadata):
    """Functions of before: a rule that changed refuses also what was applied."""

    loses_first: bool = False
    questions: list[SidecarError] = field(default_factory=list)
    shown: set[str] = field(default_factory=set)

    async def apply(self, batch: Batch, *, sidecar_id: str, epoch: int) -> Sequence[OpResult]:
        """Apply a batch whose answer is lost, and refuse it the second time."""
        if self.loses_first:
            self.loses_first = False
            await MemoryMetadata.apply(self, batch, sidecar_id=sidecar_id, epoch=epoch)
            self.applied.clear()
            self.refused[NAME] = CODE
            raise SidecarError(ErrorKind.NETWORK, "lost", operation="apply", target="o", maybe_done=True)
        return await MemoryMetadata.apply(self, batch, sidecar_id=sidecar_id, epoch=epoch)

    async def current_assets(self, slots: Sequence[Slot]) -> Sequence[CurrentAsset | None]:
        """Answer, once what fails has failed."""
        if self.questions:
            raise self.questions.pop(0)
        return await MemoryMetadata.current_assets(self, slots)

    async def assets_by_key(self, bucket: str, keys: Sequence[str]) -> Sequence[ShownObject]:
        """Tell which objects other assets show."""
        assert bucket == "lessons"
        if self.questions:
            raise self.questions.pop(0)
        return [ShownObject(others=key in self.shown) for key in keys]


@dataclass(slots=True, kw_only=True)
class Ending:
    """What a refused transfer has become, and what of S3 is to be deleted."""

    transfer: Transfer
    first: Transfer
    deleted: list[str]
    ops: int
    broken: list[str]

    @property
    def is_taken_back(self) -> bool:
        """Whether its object goes, and the journal owes Convex nothing of it."""
        return (self.deleted, self.ops) == ([self.first.key], 0)

    @property
    def is_kept(self) -> bool:
        """Whether its object stays, with the op of its dead letter."""
        return (self.deleted, self.ops) == ([], 1)


async def lived(
    folder: Path,
    deployment: Deployment,
    clock: Clock,
    *,
    at: Route | None = None,
    takes_back: bool = True,
    is_backend: bool = False,
) -> Ending:
    """Bring one file and a neighbour, and wait out whatever Convex does."""
    with closing(journals.open_journal(folder)) as journal:
        first = journals.ready(journal, "A", at=at or journals.route(NAME))
        journals.ship(journal, first)
        neighbour = journals.ready(journal, "B", 2, at=journals.route("b.mp4"))
        journals.ship(journal, neighbour)
        gate = convex_gate(deployment.probe, clock)
        stage = SyncStage(
            store=deployment,
            journal=InlineWriter(journal),
            gate=gate,
            batch=BatchSettings(),
            sidecar_id="test-sidecar",
            clock=clock,
            metrics=Metrics(),
            takes_back=takes_back,
            backend=cast("BackendStore", deployment) if is_backend else None,
        )
        tasks = [asyncio.ensure_future(work) for work in (stage.run(), gate.run())]
        await asyncio.sleep(200)
        for task in tasks:
            assert not task.done()
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert journal.transfers.one(neighbour.row_id).state is State.SYNCED
        return ending(journal, first)


def ending(journal: Journal, first: Transfer) -> Ending:
    """Look at the journal."""
    return Ending(
        transfer=journal.transfers.one(first.row_id),
        first=first,
        deleted=[task.key for task in journal.cleanup.claim_cleanup(limit=9, now=1e9) if task.delete_object],
        ops=journal.db.execute("SELECT count(*) FROM outbox WHERE kind = 'put'").fetchone()[0],
        broken=[rule for rule, query in RULES.items() if journal.db.execute(query).fetchone() is not None],
    )


def test_an_upload_whose_metadata_is_refused_for_good_is_taken_back(tmp_path: Path) -> None:
    """One dead letter, no op, the object as a clean-up task; the neighbour arrives."""
    deployment = Deployment(refused={NAME: CODE})
    end = virtually(partial(lived, tmp_path, deployment))
    assert end.is_taken_back
    assert (end.transfer.state, end.transfer.error_kind) == (State.DEAD, CODE)
    assert "taken back" in (end.transfer.error_message or "")
    assert end.broken == []


def test_without_the_setting_it_is_kept(tmp_path: Path) -> None:
    """As it stands by default."""
    deployment = Deployment(refused={NAME: CODE})
    assert virtually(partial(lived, tmp_path, deployment, takes_back=False)).is_kept


def test_what_an_earlier_call_may_have_told_is_kept_while_convex_shows_it(tmp_path: Path) -> None:
    """Its answer was lost, and a rule changed: the refusal is not all that there is."""
    end = virtually(partial(lived, tmp_path, Deployment(loses_first=True)))
    assert end.transfer.state is State.DEAD
    assert end.is_kept


def test_an_outage_between_refusal_and_question_is_waited_out(tmp_path: Path) -> None:
    """At nobody's expense; what came beside it is settled meanwhile."""
    deployment = Deployment(refused={NAME: CODE}, questions=[failure(ErrorKind.NETWORK)] * 4)
    end = virtually(partial(lived, tmp_path, deployment, at=FIXED, is_backend=True))
    assert deployment.questions == []
    assert end.is_taken_back


@pytest.mark.parametrize(
    ("arguments", "shown", "is_kept"),
    [
        ({}, set(), True),
        ({"is_backend": True}, set(), False),
        ({"is_backend": True}, {"fixed/a.mp4"}, True),
    ],
    ids=["nobody tells", "nobody shows it", "another asset shows it"],
)
def test_a_key_that_is_no_transfers_own_is_asked_about(
    tmp_path: Path, arguments: dict[str, Any], shown: set[str], *, is_kept: bool
) -> None:
    """Another version, or another sidecar's asset, may lie under it."""
    deployment = Deployment(refused={NAME: CODE}, shown=shown)
    end = virtually(partial(lived, tmp_path, deployment, at=FIXED, **arguments))
    assert (end.is_kept, end.is_taken_back) == (is_kept, not is_kept)


def test_who_may_not_ask_keeps_it(tmp_path: Path) -> None:
    """A producer's credentials are no backend's, today or tomorrow."""
    deployment = Deployment(refused={NAME: CODE}, questions=[failure(ErrorKind.FORBIDDEN)])
    assert virtually(partial(lived, tmp_path, deployment, at=FIXED, is_backend=True)).is_kept


def refused_by_force(journal: Journal, transfer: Transfer) -> Ending:
    """Settle its op as refused, and to be taken back."""
    ops = [op.op_id for op in journals.batch(journal).ops if op.kind == "put"]
    results = [OpResult(op_id=op, outcome=OpOutcome.REJECTED, code=CODE) for op in ops]
    journal.answers.settle(results, taken_back=ops)
    return ending(journal, transfer)


def test_an_object_that_was_only_announced_is_never_taken_back(tmp_path: Path) -> None:
    """Nobody's upload is undone by who merely told of it."""
    with closing(journals.open_journal(tmp_path)) as journal:
        look = journals.identity()
        seen = Observation(root="s3://lessons", path=FIXED.key, identity=look, route=FIXED)
        stored = StoredObject(bucket="lessons", key=FIXED.key, etag="e")
        content = Fingerprint(identity=look, checksum="crc64nvme:A")
        found = journal.submissions.announce(seen, content, stored, url="https://u")
        assert found.transfer is not None
        assert refused_by_force(journal, found.transfer).is_kept


def test_a_requeued_letter_goes_under_a_key_of_its_own(tmp_path: Path) -> None:
    """Or the deletion of what was refused would meet what was sent anew."""
    with closing(journals.open_journal(tmp_path)) as journal:
        first = journals.ready(journal, "A")
        journals.ship(journal, first)
        end = refused_by_force(journal, first)
        assert end.is_taken_back
        assert journal.repairs.requeue() == 1
        again = journal.transfers.one(first.row_id)
        assert again.state is State.READY
        assert again.key != first.key
        assert again.transfer_id in again.key
        journals.ship(journal, again)
        journals.tell(journal)
        assert journal.transfers.one(first.row_id).state is State.SYNCED
