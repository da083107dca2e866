"""What comes late, what a fixed key hides, and what is left for a drain to clean up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.core.errors import ErrorKind, Scope, SidecarError
from sidecar.core.model import State, Transfer
from sidecar.journal.db.connection import Topic
from sidecar.journal.db.rows import UNTIL_RECHECKED
from sidecar.journal.journal import Journal
from sidecar.journal.stores.cleanup import Cleanup
from sidecar.journal.stores.multipart import MultipartUploads
from sidecar.journal.stores.repairs import Repairs
from sidecar.upload.cleanup import rechecks
from sidecar.upload.store import ObjectSpec
from tests.support.journals import route
from tests.support.memory_store import MemoryStore, checksum_of

from .rig import PART, Rig, content, eventually, hang, lost, rig_on, running

NOW_AND_MUCH_LATER = (0.0, 3600.0)


@pytest.fixture(autouse=True)
def _when_a_test_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look again at once, and when everything is to hurry; the simulation waits the real times."""
    monkeypatch.setattr(rechecks, "LOOKS_SECONDS", NOW_AND_MUCH_LATER)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """Open a rig over the fake that the contract suite holds to the truth."""
    async with rig_on(MemoryStore(), tmp_path, bucket="lessons") as opened:
        yield opened


def bucket_of(rig: Rig) -> MemoryStore:
    """Return the bucket itself."""
    assert isinstance(rig.store.inner, MemoryStore)
    return rig.store.inner


def spec(key: str, transfer: str = "") -> ObjectSpec:
    """Return the spec of a transfer's object."""
    return ObjectSpec(
        bucket="lessons", key=key, content_type="x/y", cache_control=None, metadata={"transfer": transfer}
    )


async def nothing_open(rig: Rig) -> bool:
    """Tell whether no upload is open."""
    return not bucket_of(rig).uploads


async def owes_nothing(rig: Rig) -> bool:
    """Tell whether every clean-up task is done."""
    return not await rig.writer.do(Cleanup.claim_cleanup, limit=1, now=1e12)


async def give_up_create(rig: Rig) -> None:
    """Let the first Create's answer be lost, and the request with it."""

    async def lose_once() -> None:
        del rig.store.before["create"]
        raise lost()

    rig.store.before["create"] = lose_once


async def fixed(rig: Rig, body: bytes) -> Transfer:
    """Bring a file to ready whose key is the same for every transfer."""
    transfer = await rig.file(body, "film.mp4")
    key = route("film.mp4").key.replace("{transfer}", "fixed")

    def rename(journal: Journal) -> None:
        journal.db.execute("UPDATE transfers SET key = ? WHERE id = ?", [key, transfer.row_id])

    await rig.writer.run(rename)
    return replace(transfer, key=key)


@pytest.mark.parametrize("make", [Rig.file, fixed])
async def test_a_create_that_is_carried_out_after_everything_is_aborted(
    rig: Rig, make: Callable[[Rig, bytes], Awaitable[Transfer]]
) -> None:
    """The transfer is long uploaded under another ID; its key is looked at again, be it fixed or not."""
    transfer = await make(rig, content())
    await give_up_create(rig)
    stage = rig.stage()
    async with running(stage):
        await rig.until(transfer, State.UPLOADED)
        await eventually(lambda: owes_nothing(rig))
        await bucket_of(rig).create(spec(transfer.key))
        assert stage.cleaner.rechecks == 1
        await stage.cleaner.hurry()
        await eventually(lambda: nothing_open(rig))

        async def no_doubts() -> bool:
            return stage.cleaner.rechecks == 0

        await eventually(no_doubts)


async def test_a_create_in_flight_at_a_kill_is_aborted_though_it_comes_late(tmp_path: Path) -> None:
    """The next process knows the key: its file has other content by now, and the old one was cleaned of."""
    store = MemoryStore()
    async with rig_on(store, tmp_path, bucket="lessons") as rig:
        old = await rig.file(content())
        rig.store.before["create"] = hang
        async with running(rig.stage()):
            await eventually(lambda: begun(rig))
    async with rig_on(store, tmp_path, bucket="lessons") as rig:
        new = await rig.file(content(100))
        stage = rig.stage()
        async with running(stage):
            await rig.until(new, State.UPLOADED)
            await eventually(lambda: owes_nothing(rig))
            await store.create(spec(old.key))
            await stage.cleaner.hurry()
            await eventually(lambda: nothing_open(rig))


async def test_a_create_that_comes_after_its_transfer_and_two_kills_is_aborted(tmp_path: Path) -> None:
    """No start's sweep finds it: it comes later, and under a fixed key nobody could tell whose it is."""
    store = MemoryStore()
    async with rig_on(store, tmp_path, bucket="lessons") as rig:
        transfer = await fixed(rig, content())
        await give_up_create(rig)
        async with running(rig.stage()):
            await rig.until(transfer, State.UPLOADED)
    async with rig_on(store, tmp_path, bucket="lessons") as rig, running(rig.stage()):
        await eventually(lambda: owes_nothing(rig))
    async with rig_on(store, tmp_path, bucket="lessons") as rig:
        stage = rig.stage()
        async with running(stage):
            await eventually(lambda: owes_nothing(rig))
            await store.create(spec(transfer.key))
            await stage.cleaner.hurry()
            await eventually(lambda: nothing_open(rig))


async def begun(rig: Rig) -> bool:
    """Tell whether a Create is on its way."""
    return "create" in rig.store.calls


async def replaced_in_its_put(rig: Rig, body: bytes) -> Transfer:
    """Make a file whose PUT is given up, while it gets other content."""
    old = await rig.file(body)

    async def lose_and_replace() -> None:
        del rig.store.before["put"]
        await rig.file(content(50))
        raise lost()

    rig.store.before["put"] = lose_and_replace
    return old


async def test_a_put_that_is_carried_out_after_its_clean_up_is_deleted(rig: Rig) -> None:
    """It was given up, its file got other content, nothing was found to delete; then it arrives."""
    body = content(100)
    old = await replaced_in_its_put(rig, body)
    stage = rig.stage()
    async with running(stage):
        await rig.until(old, State.SUPERSEDED)
        await eventually(lambda: owes_nothing(rig))
        bucket_of(rig).objects[old.key] = (spec(old.key, old.transfer_id), body)
        await stage.cleaner.hurry()

        async def deleted() -> bool:
            return old.key not in bucket_of(rig).objects

        await eventually(deleted)


async def test_a_put_that_comes_after_a_kill_is_deleted(tmp_path: Path) -> None:
    """Nothing was found to delete, and who was to look again is gone: the next process looks."""
    store, body = MemoryStore(), content(100)
    async with rig_on(store, tmp_path, bucket="lessons") as rig:
        old = await replaced_in_its_put(rig, body)
        stage = rig.stage()
        async with running(stage):
            await rig.until(old, State.SUPERSEDED)

            async def in_doubt() -> bool:
                return stage.cleaner.rechecks == 1

            await eventually(in_doubt)
    store.objects[old.key] = (spec(old.key, old.transfer_id), body)
    async with rig_on(store, tmp_path, bucket="lessons") as rig, running(rig.stage()):

        async def deleted() -> bool:
            return old.key not in store.objects

        await eventually(deleted)
        await eventually(lambda: owes_nothing(rig))


@pytest.mark.parametrize("waited_ms", [0, 3_600_000])
async def test_programs_that_live_shortly_come_to_the_last_look_together(
    tmp_path: Path, waited_ms: int
) -> None:
    """None lives for the minute; once it is over by the wall's clock, the next one looks and is done."""
    store = MemoryStore()
    async with rig_on(store, tmp_path, bucket="lessons") as rig:
        old = await replaced_in_its_put(rig, content(100))
        async with running(rig.stage()):
            await rig.until(old, State.SUPERSEDED)
            await eventually(lambda: owes_nothing(rig))
    async with rig_on(store, tmp_path, bucket="lessons") as rig:
        await rig.writer.run(_wait, waited_ms)
        async with running(rig.stage()):

            async def looked() -> bool:
                left = await rig.writer.run(_left)
                return left == [UNTIL_RECHECKED] if not waited_ms else not left

            await eventually(looked)


def _wait(journal: Journal, waited_ms: int) -> None:
    journal.db.execute("UPDATE debts SET looked_ms = looked_ms - ?", [waited_ms])


def _left(journal: Journal) -> list[float]:
    return [row["due"] for row in journal.db.execute("SELECT due FROM debts")]


async def test_a_put_that_the_network_delivers_again_after_the_clean_up_is_deleted(rig: Rig) -> None:
    """It was answered, its file got other content, and its object was found and deleted."""
    body = content(100)
    old = await rig.file(body)
    stage = rig.stage()
    async with running(stage):
        await rig.until(old, State.UPLOADED)
        new = await rig.file(content(50))
        await rig.until(new, State.UPLOADED)
        bucket = bucket_of(rig)

        async def deleted() -> bool:
            return old.key not in bucket.objects

        await eventually(deleted)
        await eventually(lambda: owes_nothing(rig))
        bucket.objects[old.key] = (spec(old.key, old.transfer_id), body)
        await stage.cleaner.hurry()
        await eventually(deleted)


async def test_a_debt_under_a_fixed_key_spares_the_newer_transfers_upload(rig: Rig) -> None:
    """The older one's Create was given up; what is open under the key by now is the newer one's."""
    transfer = await fixed(rig, content())
    rig.store.before["part 4"] = hang
    async with running(rig.stage()):

        async def three() -> bool:
            return len(await rig.writer.do(MultipartUploads.parts, transfer.row_id)) == 3

        await eventually(three)
        (open_id,) = bucket_of(rig).uploads
        forgotten = await bucket_of(rig).create(spec(transfer.key))
        await rig.writer.run(owe_create, transfer.key)
        await eventually(lambda: owes_nothing(rig))
        assert set(bucket_of(rig).uploads) == {open_id}
        assert forgotten != open_id


def owe_create(journal: Journal, key: str) -> None:
    """Journal the clean-up task of an older transfer whose Create was given up."""
    journal.db.execute(
        "INSERT INTO debts (delete_object, key, upload_id, transfer) VALUES (0, ?, NULL, 'older')", [key]
    )
    journal.db.topics.add(Topic.CLEANUP)


async def test_a_debt_waits_while_a_newer_transfers_create_is_under_way(rig: Rig) -> None:
    """Nobody knows yet whose upload is open there."""
    transfer = await fixed(rig, content())
    await rig.writer.do(MultipartUploads.begin_multipart, transfer.row_id, part_bytes=PART)
    upload_id = await bucket_of(rig).create(spec(transfer.key))
    await rig.writer.run(owe_create, transfer.key)
    cleaner = rig.stage().cleaner
    task = asyncio.create_task(cleaner.run())
    try:

        async def postponed() -> bool:
            return not await rig.writer.do(Cleanup.claim_cleanup, limit=1, now=0.0)

        await eventually(postponed)
        assert set(bucket_of(rig).uploads) == {upload_id}
        await rig.writer.do(MultipartUploads.opened, transfer.row_id, upload_id)
        await cleaner.hurry()
        await eventually(lambda: owes_nothing(rig))
        assert set(bucket_of(rig).uploads) == {upload_id}
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_dead_letter_leaves_no_upload_open(rig: Rig) -> None:
    """A requeue begins anew: nobody pays for parts for as long as nobody looks at the letter."""
    transfer = await rig.file(content())

    async def refuse() -> None:
        raise SidecarError(ErrorKind.INVALID, "no", operation="rig", target="k", scope=Scope.OBJECT)

    rig.store.before["complete"] = refuse
    rig.store.before |= {f"part {n}": refuse for n in (4,)}
    async with running(rig.stage()):
        await rig.until(transfer, State.DEAD)
        await eventually(lambda: nothing_open(rig))
        rig.store.before.clear()
        await rig.writer.do(Repairs.requeue)
        await rig.until(transfer, State.UPLOADED)
        assert await nothing_open(rig)
    held = bucket_of(rig).objects[transfer.key][1]
    assert checksum_of(held) == transfer.checksum


async def test_forgotten_uploads_are_swept_every_so_often(rig: Rig) -> None:
    """Whatever nobody doubted: a gateway that delivers for hours."""
    transfer = await rig.file(content(100))
    async with running(rig.stage(sweep_seconds=0.05)):
        await rig.until(transfer, State.UPLOADED)
        await bucket_of(rig).create(spec(transfer.key))
        await eventually(lambda: nothing_open(rig))


async def test_the_end_sweeps_once_more(rig: Rig) -> None:
    """Nothing else is owed; a store that fails then only costs a line in the log."""
    transfer = await rig.file(content(100))
    stage = rig.stage()
    async with running(stage):
        await rig.until(transfer, State.UPLOADED)
    await bucket_of(rig).create(spec(transfer.key))
    rig.store.before["list"] = _fail
    await stage.cleaner.finish()
    assert not await nothing_open(rig)
    rig.store.before.clear()
    await stage.cleaner.finish()
    assert await nothing_open(rig)


async def _fail() -> None:
    raise lost()
