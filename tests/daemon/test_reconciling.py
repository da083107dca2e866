"""Comparing and repairing over a real journal and the ports' fakes, with clocks that a test sets."""

from __future__ import annotations

import asyncio
import resource
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from sidecar.core.clock import SystemClock
from sidecar.core.errors import ErrorKind
from sidecar.core.ids import sidecar_tag, transfer_id
from sidecar.core.inconsistencies import InconsistencyType
from sidecar.core.model import Slot, State
from sidecar.core.ops import Batch, Op, OpKind
from sidecar.daemon.left_behind import LeftBehind
from sidecar.daemon.reconciling import RETENTION, ReconcileBusyError, Reconciler
from sidecar.journal.journal import Journal
from sidecar.journal.read.comparison import Comparison
from sidecar.journal.stores.answers import Answers
from sidecar.journal.stores.cleanup import Cleanup
from sidecar.journal.stores.pruning import Pruning
from sidecar.journal.stores.recovery import Recovery
from sidecar.journal.stores.upload_claims import UploadClaims
from sidecar.journal.writer import JournalWriter
from sidecar.metrics import Metrics
from sidecar.settings.convex import BatchSettings
from sidecar.settings.daemon import Retention
from sidecar.sync.backend import LeftObject
from sidecar.sync.stage import SyncStage
from sidecar.upload.store import ObjectSpec, OpenUpload
from tests.support import journals
from tests.support.gates import convex_gate
from tests.support.memory_metadata import MemoryMetadata
from tests.support.memory_store import MemoryStore, failure
from tests.support.ops import make_op

from .test_left_behind import FakeBackend, key_of

SIDECAR = "test-sidecar"
ALL = frozenset(InconsistencyType)


@dataclass(slots=True, kw_only=True)
class Desk:
    """A reconciler and all that it compares."""

    writer: JournalWriter
    objects: MemoryStore
    metadata: MemoryMetadata
    reconciler: Reconciler
    skews: list[float | None] = field(default_factory=list)

    def keep(self, key: str, transfer: str, content: bytes = b"0123456789") -> None:
        """Put an object of ours into the bucket."""
        spec = ObjectSpec(
            bucket="lessons",
            key=key,
            content_type="video/mp4",
            cache_control=None,
            metadata={"transfer": transfer},
        )
        self.objects.objects[key] = (spec, content)

    async def synced(self, name: str, text: str, n: int = 1) -> str:
        """Bring a file all the way; returns its key."""
        transfer = await self.writer.run(
            lambda journal: journals.ready(journal, text, n, at=journals.route(name))
        )
        await self.writer.run(journals.ship, transfer)
        self.keep(transfer.key, transfer.transfer_id)
        while (batch := await self.writer.run(journals.claim)) is not None:
            epoch = self.reconciler._sync.epoch
            results = await self.metadata.apply(batch, sidecar_id=SIDECAR, epoch=epoch)
            await self.writer.do(Answers.settle, results)
        return transfer.key

    async def debts(self) -> list[str]:
        """Return the keys of objects that are owed their deletion."""
        owed = await self.writer.do(Cleanup.claim_cleanup, limit=10_000, now=1e9)
        return sorted(task.key for task in owed if task.delete_object)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """Open a journal and a reconciler over empty fakes; superseded versions beyond one go after a minute."""
    clock = SystemClock()
    journal = Journal(tmp_path / "journal.db", tag=sidecar_tag(SIDECAR), bucket="lessons", clock=clock)
    objects, metadata = MemoryStore(), MemoryMetadata()
    skews: list[float | None] = [0.0, 0.0]
    async with JournalWriter(journal) as writer:
        gate = convex_gate(metadata.probe, clock)
        sync = SyncStage(
            store=metadata,
            journal=writer,
            gate=gate,
            batch=BatchSettings(),
            sidecar_id=SIDECAR,
            clock=clock,
            metrics=Metrics(),
        )
        await sync._registrar.register()
        reconciler = Reconciler(
            journal=writer,
            journal_path=journal.db.path,
            bucket="lessons",
            tag=journal.db.tag,
            sidecar_id=SIDECAR,
            objects=objects,
            metadata=metadata,
            sync=sync,
            gates=[gate],
            url=lambda key: f"https://cdn.example/{key}",
            clock=clock,
            skews=lambda: skews,
            retention=Retention.model_validate({"superseded": {"keep": 11, "for": "60s"}}),
            every_seconds=3600,
            apply=False,
        )
        yield Desk(writer=writer, objects=objects, metadata=metadata, reconciler=reconciler, skews=skews)


def orphan(n: int) -> tuple[str, str]:
    """Return key and transfer id of an object that is ours and nobody's."""
    name = transfer_id(wall_ms=n, chance=b"12345", tag=sidecar_tag(SIDECAR))
    return f"demo/lesson/s1/video_chunk/x.{name}.mp4", name


async def test_an_old_orphan_is_owed_its_deletion(desk: Desk) -> None:
    """Only with our tag, only if applied, only once."""
    key, name = orphan(1)
    desk.keep(key, name)
    desk.keep("theirs/x.mp4", "")
    dry = await desk.reconciler.reconcile(frozenset())
    assert (dict(dry.found), dict(dry.repaired)) == ({"orphan object": 1}, {})
    assert await desk.debts() == []
    assert dict((await desk.reconciler.reconcile(ALL)).repaired) == {"orphan object": 1}
    assert dict((await desk.reconciler.reconcile(ALL)).found) == {}
    assert await desk.debts() == [key]


@pytest.mark.parametrize("skew", [None, 16 * 60.0, -30 * 86_400.0])
async def test_nothing_is_deleted_by_age_while_the_clocks_disagree(desk: Desk, skew: float | None) -> None:
    """And the report says why."""
    desk.skews[0] = skew
    desk.keep(*orphan(1))
    report = await desk.reconciler.reconcile(ALL)
    assert (dict(report.found), len(report.notes)) == ({}, 1)


async def test_retention_expires_first_and_deletes_then(desk: Desk) -> None:
    """What is shown, what the history shows and what is young in number stays; the version row stays."""
    keys = [await desk.synced("a.mp4", f"text{n}", n) for n in range(1, 15)]
    report = await desk.reconciler.reconcile(RETENTION)
    assert dict(report.repaired) == {"retired": 2}
    assert await desk.debts() == sorted(keys[:2])
    assert {version for _, version in desk.metadata.expired} == {1, 2}
    assert len(desk.metadata.rows) == 14
    assert dict((await desk.reconciler.reconcile(RETENTION)).found) == {}


async def test_what_convex_does_not_give_up_is_not_deleted(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is shown again by now: its deletion is journaled only after Convex has marked it."""
    for n in range(1, 14):
        await desk.synced("a.mp4", f"text{n}", n)
    owed_before: list[str] = []

    async def keep(_: object, versions: Sequence[tuple[Slot, int]], **_who: object) -> list[bool]:
        owed_before.extend(await desk.debts())
        return [False] * len(versions)

    monkeypatch.setattr(MemoryMetadata, "expire", keep)
    report = await desk.reconciler.reconcile(RETENTION)
    assert (dict(report.found), dict(report.repaired)) == ({"retired": 1}, {})
    assert owed_before == await desk.debts() == []


async def test_a_crash_between_expiring_and_deleting_is_made_good(desk: Desk) -> None:
    """Convex gave the version up and the clean-up task was never journaled: the next comparison finds it."""
    keys = [await desk.synced("a.mp4", f"text{n}", n) for n in range(1, 14)]
    page = await desk.metadata.versions(sidecar_id=SIDECAR, cursor=None)
    assert await desk.metadata.expire([(page.versions[0].slot, 1)], sidecar_id=SIDECAR, epoch=1) == [True]
    report = await desk.reconciler.reconcile(RETENTION)
    assert dict(report.repaired) == {"expired object": 1}
    assert await desk.debts() == [keys[0]]


async def forget(desk: Desk) -> None:
    """Have the journal forget all that is over."""
    now_ms = SystemClock().wall_ms() + 1000
    while await desk.writer.do(Pruning.prune_transfers, now_ms=now_ms, keep_ms=0):
        continue


async def test_retention_does_not_need_what_the_journal_forgot(desk: Desk) -> None:
    """Convex names the superseded versions: expired, deleted, and neither the newest nor any other is."""
    keys = [await desk.synced("a.mp4", f"text{n}", n) for n in range(1, 15)]
    await forget(desk)
    report = await desk.reconciler.reconcile(ALL)
    assert dict(report.found) == dict(report.repaired) == {"retired": 2}
    assert await desk.debts() == sorted(keys[:2])


async def test_what_the_journal_forgot_is_no_orphan_though_convex_lost_it(desk: Desk) -> None:
    """A deployment restored from an old copy: the object may be the only one. Younger orphans still go."""
    forgotten = await desk.synced("a.mp4", "A", 1)
    await desk.synced("a.mp4", "B", 2)
    await forget(desk)
    late = orphan(10**13)
    desk.keep(*late)
    desk.metadata.rows, desk.metadata.assets = {}, {}
    report = await desk.reconciler.reconcile(ALL)
    assert report.found["forgotten object"] == 1
    assert [one.key for one in report.examples if one.type == "forgotten object"] == [forgotten]
    assert await desk.debts() == [late[0]]


async def test_an_op_that_was_lost_is_told(desk: Desk) -> None:
    """Its row says uploaded, and nothing is in the outbox."""
    transfer = await desk.writer.run(lambda journal: journals.ready(journal, "A"))
    await desk.writer.run(journals.ship, transfer)
    await desk.writer.run(lambda journal: journal.db.execute("DELETE FROM outbox"))
    report = await desk.reconciler.reconcile(ALL)
    assert dict(report.repaired) == {"lost op": 1}
    batch = await desk.writer.run(journals.batch)
    assert [op.body["transfer"] for op in batch.ops if op.kind == "put"] == [transfer.transfer_id]


async def test_a_missing_object_goes_back_to_ready_under_its_key(desk: Desk) -> None:
    """And its transfer id stays."""
    key = await desk.synced("a.mp4", "A")
    del desk.objects.objects[key]
    assert dict((await desk.reconciler.reconcile(ALL)).repaired) == {"missing object": 1}
    (claimed,) = (await desk.writer.do(UploadClaims.claim_uploads, limit=9, now=1e9)).transfers
    assert (claimed.key, claimed.state) == (key, State.READY)
    assert claimed.known_content is not None
    assert claimed.known_content.version == 1


async def test_a_store_that_lists_no_uploads_is_compared_without_them(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest is worth knowing, and the report says what is not."""

    async def refuse(_store: MemoryStore, *, prefix: str) -> AsyncIterator[OpenUpload]:
        raise failure(ErrorKind.FORBIDDEN, "NotImplemented", prefix)
        yield  # type: ignore[unreachable] # what makes it a generator

    monkeypatch.setattr(MemoryStore, "open_uploads", refuse)
    desk.keep(*orphan(1))
    report = await desk.reconciler.reconcile(ALL)
    assert dict(report.repaired) == {"orphan object": 1}
    assert any("open uploads cannot be listed" in note for note in report.notes)


async def test_another_sidecars_version_explains_a_missing_one(desk: Desk) -> None:
    """The slot holds something: it was taken over, or adopted after a journal's loss."""
    await desk.synced("a.mp4", "A")
    rows = desk.metadata.rows
    desk.metadata.rows = {name: replace(row, sidecar="other") for name, row in rows.items()}
    assert dict((await desk.reconciler.reconcile(ALL)).found) == {}


async def test_a_journal_that_still_recalls_is_not_compared(desk: Desk) -> None:
    """Everything would look like an orphan."""
    await desk.writer.do(Recovery.begin_recovery)
    with pytest.raises(ReconcileBusyError, match="the journal is new"):
        await desk.reconciler.reconcile(ALL)


async def test_many_assets_need_little_memory(desk: Desk) -> None:
    """20,000 objects and versions: pages go to disk, not into the heap."""
    epoch = desk.reconciler._sync.epoch
    for begin in range(0, 20_000, 100):
        ops = tuple(put(n) for n in range(begin + 1, begin + 101))
        batch = Batch(project_id="p", session_id="p/s", acked_seq=0, ops=ops)
        await desk.metadata.apply(batch, sidecar_id=SIDECAR, epoch=epoch)
        for op in ops:
            desk.keep(op.body["asset"]["s3Key"], op.body["transfer"])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    report = await desk.reconciler.reconcile(ALL)
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert (report.compared, dict(report.found)) == (20_000, {})
    assert grown_mib < 40


def put(seq: int) -> Op:
    """Return an op as the outbox makes it."""
    key, name = orphan(seq)
    asset = {"s3Key": f"{key}-{seq}", "bucket": "lessons", "size": 10, "checksum": f"crc64nvme:{seq}"}
    body = {"entityType": "scene", "entityId": "s", "assetType": "video_chunk", "name": f"{seq}.mp4"}
    return make_op(OpKind.PUT, {**body, "transfer": name, "asset": asset}, seq=seq, op_id=f"op-{seq}")


async def test_a_comparison_that_is_cancelled_is_closed_when_its_thread_is_done(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon that is told to stop in the middle of one must not crash."""
    begun, stopped, steps = threading.Event(), threading.Event(), list[str]()

    def add_slowly(_comparison: Comparison, _versions: object) -> None:
        begun.set()
        stopped.wait(10)
        steps.append("added")

    monkeypatch.setattr(Comparison, "add_versions", add_slowly)
    monkeypatch.setattr(Comparison, "stop", lambda _: stopped.set())
    monkeypatch.setattr(Comparison, "close", lambda _: steps.append("closed"))
    comparing = asyncio.ensure_future(desk.reconciler.reconcile(ALL))
    await asyncio.to_thread(begun.wait, 10)
    comparing.cancel()
    await asyncio.wait({comparing})
    assert comparing.cancelled()
    assert steps == ["added", "closed"]


async def test_a_backend_looks_after_what_others_left(desk: Desk) -> None:
    """In the same turn, by the same listing: what is confirmed twice is owed its deletion."""
    await desk.synced("a.mp4", "A")
    backend, (key, transfer) = FakeBackend(), key_of("gone")
    desk.reconciler._left = LeftBehind(
        backend, desk.writer, "lessons", sidecar_tag(SIDECAR), desk.reconciler._is_retired
    )
    desk.keep(key, transfer)
    backend.left[key] = LeftObject(project_id="demo", version=None)
    report = await desk.reconciler.reconcile(ALL)
    assert (dict(report.repaired), await desk.debts()) == ({"orphan object": 1}, [key])
    assert backend.asked == [[key], [key]]
