"""Many transfers at once, failures, clean-up tasks and the sweep."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.core.errors import ErrorKind, Scope, SidecarError
from sidecar.core.ids import sidecar_tag, transfer_id
from sidecar.core.model import MIB, State, StoredObject, Transfer
from sidecar.core.upload_order import LIGHT_BYTES
from sidecar.journal.stores.cleanup import Cleanup
from sidecar.journal.stores.multipart import MultipartUploads
from sidecar.journal.stores.upload_claims import UploadClaims
from sidecar.journal.stores.uploads import Uploads
from sidecar.upload.cleanup.actions import abort_others
from sidecar.upload.limits import MemoryBudget
from sidecar.upload.source import CLOSED, Found, Opened, open_sources
from sidecar.upload.store import ObjectSpec, OpenUpload
from tests.support.memory_store import MemoryStore, failure
from tests.support.patience import DEADLINE_SECONDS

from .rig import FILM, PART, SIDECAR, Rig, content, eventually, lose, rig_on, running


@pytest.fixture
async def fake(tmp_path: Path) -> AsyncIterator[Rig]:
    """Open a rig over the fake that the contract suite holds to the truth."""
    async with rig_on(MemoryStore(), tmp_path, bucket="lessons", memory_bytes=2 * FILM) as opened:
        yield opened


def spec(key: str, **metadata: str) -> ObjectSpec:
    """Return the spec of an object of anybody's."""
    return ObjectSpec(
        bucket="lessons", key=key, content_type="video/mp4", cache_control=None, metadata=metadata
    )


def key_of(sidecar_id: str) -> str:
    """Return a key as a sidecar's template makes it."""
    transfer = transfer_id(wall_ms=1, chance=b"12345", tag=sidecar_tag(sidecar_id))
    return f"demo/lesson/s9/video_chunk/x.{transfer}.mp4"


async def test_many_files_arrive(rig: Rig) -> None:
    """More than go at once, small ones and large ones."""
    sizes = [10] * 40 + [FILM, FILM]
    transfers = [await rig.file(content(size), f"c{n}.mp4") for n, size in enumerate(sizes)]
    async with running(rig.stage(concurrency=4)):
        for transfer in transfers:
            await rig.until(transfer, State.UPLOADED)


async def test_files_that_come_one_by_one_are_claimed_once_each(fake: Rig) -> None:
    """Whoever ends while nothing may wait for its place does not ask for more."""
    claims = list[str]()
    fake.journal.db.conn.set_trace_callback(
        lambda sql: claims.append(sql) if "t.due <=" in sql and "t.priority BETWEEN" in sql else None
    )
    async with running(fake.stage(concurrency=4)):
        for n in range(5):
            await fake.until(await fake.file(content(10), f"c{n}.mp4"), State.UPLOADED)
    assert 5 <= len(claims) <= 1 + 5


async def test_a_place_is_free_once_s3_has_the_object(fake: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one is claimed and sent while the first is being written down, as in one commit."""
    transfers = [await fake.file(content(LIGHT_BYTES + 1), f"c{n}.mp4") for n in range(2)]
    do, is_sent = fake.writer.do, asyncio.Event()

    async def held_up(method: Any, *args: Any, **kwargs: Any) -> Any:
        if method is Uploads.uploaded and args[0].row_id == transfers[0].row_id:
            await is_sent.wait()
        elif method is Uploads.uploaded:
            is_sent.set()
        return await do(method, *args, **kwargs)

    monkeypatch.setattr(fake.writer, "do", held_up)
    async with running(fake.stage(concurrency=1)):
        for transfer in transfers:
            await fake.until(transfer, State.UPLOADED)
    assert is_sent.is_set()


@pytest.mark.parametrize("then", ["gone", "changed"])
async def test_what_is_not_sent_after_all_leaves_nothing_to_look_for(fake: Rig, then: str) -> None:
    """Its intent was journaled with the claim; its file is gone, or another one."""
    transfer = await fake.file(content(10))
    if then == "gone":
        fake.path(transfer).unlink()
    else:
        fake.path(transfer).write_bytes(content(11))
    async with running(fake.stage()):
        ended = await fake.until(transfer, State.GONE if then == "gone" else State.SUPERSEDED)
        await fake.until(await fake.file(content(10), "other.mp4"), State.UPLOADED)
    assert not ended.may_object
    assert set(fake.store.calls) == {"list", "put"}
    assert fake.store.calls.count("put") == 1


@pytest.mark.parametrize("size", [10, LIGHT_BYTES + 1])
@pytest.mark.parametrize("is_sent", [False, True])
async def test_an_object_is_looked_for_only_if_it_may_have_been_sent(
    fake: Rig, monkeypatch: pytest.MonkeyPatch, size: int, *, is_sent: bool
) -> None:
    """What was held up before its PUT is sent by the next life without a question.

    A light one's intent was journaled with its claim, and its file is being opened; of another the intent is
    being journaled.
    """
    transfer, held = await fake.file(content(size)), asyncio.Event()
    do = fake.writer.do

    async def hold() -> None:
        held.set()
        await asyncio.sleep(DEADLINE_SECONDS)

    async def held_up(method: Any, *args: Any, **kwargs: Any) -> Any:
        done = await do(method, *args, **kwargs)
        if method is Uploads.begin_put and not is_sent:
            await hold()
        return done

    async def held_open(*args: Any, **kwargs: Any) -> list[Found]:
        if size <= LIGHT_BYTES and not is_sent:
            assert (await fake.now(transfer)).may_object
            await hold()
        return await open_sources(*args, **kwargs)

    fake.store.before["put"] = hold
    monkeypatch.setattr(fake.writer, "do", held_up)
    monkeypatch.setattr("sidecar.upload.stage.open_sources", held_open)
    async with running(fake.stage()):
        await held.wait()
    monkeypatch.undo()
    assert (await fake.now(transfer)).may_object == is_sent
    fake.store.calls.clear()
    del fake.store.before["put"]
    async with running(fake.stage()):
        await fake.until(transfer, State.UPLOADED)
    assert [call for call in fake.store.calls if call in {"head", "put"}] == ["head"] * is_sent + ["put"]


@pytest.mark.parametrize("at", ["before the uploads begin", "while an intent is taken back"])
async def test_a_stage_that_ends_leaves_no_file_open(
    fake: Rig, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """Tasks that are cancelled before they begin close nothing by themselves."""
    opened, stage = list[Found](), asyncio.create_task(fake.stage().run())
    do = fake.writer.do

    async def opened_and_ended(transfers: list[Transfer], **named: Any) -> list[Found]:
        if at != "before the uploads begin":
            for one in transfers:
                os.utime(f"{one.root}/{one.path}")
        opened.extend(await open_sources(transfers, **named))
        if at == "before the uploads begin":
            stage.cancel()
        return opened

    async def ended(method: Any, *args: Any, **kwargs: Any) -> Any:
        if method is UploadClaims.take_back_intent:
            stage.cancel()
        return await do(method, *args, **kwargs)

    monkeypatch.setattr("sidecar.upload.stage.open_sources", opened_and_ended)
    monkeypatch.setattr(fake.writer, "do", ended)
    await fake.file(content(10 if "intent" in at else FILM))
    await asyncio.wait({stage}, timeout=DEADLINE_SECONDS)
    assert stage.cancelled()
    assert [one.fd for one in opened if isinstance(one, Opened)] == [CLOSED]


async def test_memory_is_bounded_over_all_transfers(rig: Rig) -> None:
    """Parts in flight never exceed the budget, however many films wait."""
    rig.budget = MemoryBudget(12 * MIB)
    transfers = [await rig.file(content(), f"film{n}.mp4") for n in range(3)]
    async with running(rig.stage()):
        for transfer in transfers:
            await rig.until(transfer, State.UPLOADED)
    assert PART < rig.store.most_flying_bytes <= 12 * MIB


async def test_an_outage_spends_no_attempts(fake: Rig) -> None:
    """A lone file waits it out, however many times it fails."""
    transfer = await fake.file(content(10))
    fake.store.before["put"] = fake.store.before["probe"] = lose

    async def probed_often() -> bool:
        return fake.store.calls.count("probe") > 8

    async with running(fake.stage()):
        await eventually(probed_often)
        assert (await fake.now(transfer)).failures == 0
        fake.store.before.clear()
        await fake.until(transfer, State.UPLOADED)


async def test_a_complete_that_does_not_know_its_upload_any_more_was_done_before(
    fake: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS answers 404 to a Complete that comes twice: HEAD tells."""
    honest = MemoryStore.complete

    async def delivered_twice(store: MemoryStore, *args: Any, **kwargs: Any) -> StoredObject:
        await honest(store, *args, **kwargs)
        raise failure(ErrorKind.NOT_FOUND, "NoSuchUpload", "k")

    monkeypatch.setattr(MemoryStore, "complete", delivered_twice)
    transfer = await fake.file(content())
    async with running(fake.stage()):
        shipped = await fake.until(transfer, State.UPLOADED)
    assert (fake.store.calls.count("create"), shipped.failures) == (1, 0)


async def test_a_poison_file_dies_alone(fake: Rig) -> None:
    """Refused for good three times: a dead letter with its reason, and the others arrive."""
    poison = await fake.file(content(FILM), "poison.mp4")
    good = await fake.file(content(10), "good.mp4")

    async def refuse() -> None:
        raise SidecarError(
            ErrorKind.INVALID, "no such thing", operation="rig", target="k", scope=Scope.OBJECT
        )

    fake.store.before["create"] = refuse
    async with running(fake.stage()):
        await fake.until(good, State.UPLOADED)
        dead = await fake.until(poison, State.DEAD)
    assert (dead.error_kind, fake.store.calls.count("create")) == (ErrorKind.INVALID, 3)


async def test_a_confirmed_part_forgives_earlier_failures(fake: Rig) -> None:
    """A film that gets on by one part between failures is never given up."""
    transfer = await fake.file(content())
    fake.budget = MemoryBudget(PART)  # one part at a time
    failing = {f"part {n}" for n in range(1, 5)}

    async def fail_each_twice() -> None:
        name = fake.store.calls[-1]
        if name in failing and fake.store.calls.count(name) <= 2:
            raise SidecarError(ErrorKind.INVALID, "not yet", operation="rig", target="k", scope=Scope.OBJECT)

    for name in failing:
        fake.store.before[name] = fail_each_twice
    async with running(fake.stage()):
        await fake.until(transfer, State.UPLOADED)
    assert len(fake.store.parts()) == 12


async def test_an_overtaken_upload_is_aborted_and_its_object_deleted(fake: Rig) -> None:
    """What was shipped and never announced goes; the newest content stays."""
    old = await fake.file(content(10))
    async with running(fake.stage()):
        await fake.until(old, State.UPLOADED)
        new = await fake.file(content(20))
        await fake.until(new, State.UPLOADED)
        assert isinstance(fake.store.inner, MemoryStore)
        objects = fake.store.inner.objects

        async def only_the_new_one() -> bool:
            return list(objects) == [new.key]

        await eventually(only_the_new_one)


async def test_a_debt_never_deletes_what_is_somebody_elses(fake: Rig) -> None:
    """The object under the key carries another transfer's id: it stays, and the clean-up task is settled."""
    old = await fake.file(content(10))
    async with running(fake.stage()):
        await fake.until(old, State.UPLOADED)
    assert isinstance(fake.store.inner, MemoryStore)
    fake.store.inner.objects[old.key] = (spec(old.key, transfer="another"), b"theirs")
    await fake.file(content(20))
    async with running(fake.stage()):

        async def settled() -> bool:
            return await fake.writer.do(Cleanup.claim_cleanup, limit=1, now=1e12) == []

        await eventually(lambda: _uploaded_both(fake))
        await eventually(settled)
    assert old.key in fake.store.inner.objects


async def _uploaded_both(fake: Rig) -> bool:
    return fake.store.calls.count("put") == 2 and fake.store.calls.count("head") >= 1


async def test_a_debt_waits_out_an_outage(fake: Rig) -> None:
    """A clean-up that failed is not forgotten."""
    old = await fake.file(content(10))
    async with running(fake.stage()):
        await fake.until(old, State.UPLOADED)
    new = await fake.file(content(20))
    fake.store.before["head"] = lose
    async with running(fake.stage()):
        await fake.until(new, State.UPLOADED)

        async def failed() -> bool:
            return "head" in fake.store.calls

        await eventually(failed)
    assert isinstance(fake.store.inner, MemoryStore)
    assert old.key in fake.store.inner.objects
    assert len(await fake.writer.do(Cleanup.claim_cleanup, limit=9, now=1e12)) == 1


async def test_the_sweep_aborts_ours_that_are_forgotten_and_nobody_elses(rig: Rig) -> None:
    """Ours under an unknown key, and a second one under a known key; never another sidecar's."""
    transfer = await rig.file(content())
    await rig.writer.do(MultipartUploads.begin_multipart, transfer.row_id, part_bytes=PART)

    async def open_one(key: str) -> OpenUpload:
        made = ObjectSpec(
            bucket=rig.bucket, key=key, content_type="video/mp4", cache_control=None, metadata={}
        )
        return OpenUpload(key=key, upload_id=await rig.store.inner.create(made))

    current = await open_one(transfer.key)
    await rig.writer.do(MultipartUploads.opened, transfer.row_id, current.upload_id)
    stranger_under_our_key = await open_one(transfer.key)
    forgotten = await open_one(key_of(SIDECAR))
    theirs = [await open_one(key_of("another-sidecar")), await open_one("backups/database.tar")]
    await rig.stage().cleaner.sweep()
    left = set(await rig.open_uploads())
    assert left == {current, *theirs}
    assert not left & {stranger_under_our_key, forgotten}


async def test_the_sweep_leaves_an_upload_alone_whose_create_is_under_way(fake: Rig) -> None:
    """Its ID is not journaled yet: the transfer itself looks after its key."""
    transfer = await fake.file(content())
    await fake.writer.do(MultipartUploads.begin_multipart, transfer.row_id, part_bytes=PART)
    await fake.store.inner.create(spec(transfer.key))
    await fake.stage().cleaner.sweep()
    assert len(await fake.open_uploads()) == 1


async def test_what_is_open_under_a_longer_key_is_left_alone(fake: Rig) -> None:
    """S3 lists by prefix; a transfer looks after exactly its own key."""
    await fake.store.inner.create(spec("demo/x.mp4"))
    longer = await fake.store.inner.create(spec("demo/x.mp4.2.mp4"))
    await abort_others("demo/x.mp4", keep=None, store=fake.store)
    assert [upload.upload_id for upload in await fake.open_uploads()] == [longer]


async def test_a_sweep_that_may_not_list_is_given_up(fake: Rig) -> None:
    """The bucket's own rule cleans up then; the daemon goes on."""

    async def forbid() -> None:
        raise SidecarError(ErrorKind.FORBIDDEN, "no", operation="rig", target="k")

    fake.store.before["list"] = forbid
    async with asyncio.timeout(DEADLINE_SECONDS):
        await fake.stage().cleaner.sweep()


async def test_a_sweep_that_is_refused_once_is_made_again(fake: Rig) -> None:
    """A single 403 on the way is no missing right: what is forgotten is aborted all the same."""
    name = transfer_id(wall_ms=1_780_000_000_000, chance=b"later", tag=sidecar_tag(SIDECAR))
    await fake.store.inner.create(spec(f"demo/{name}.mp4"))
    refusals = 1

    async def forbid_once() -> None:
        nonlocal refusals
        refusals -= 1
        if refusals >= 0:
            raise SidecarError(ErrorKind.FORBIDDEN, "no", operation="rig", target="k")

    fake.store.before["list"] = forbid_once
    await fake.stage().cleaner.sweep()
    assert await fake.open_uploads() == []


@pytest.mark.parametrize(("size_bytes", "heard"), [(10, [True, False]), (LIGHT_BYTES + 1, [])])
async def test_a_crowd_of_light_files_is_told_of_and_its_end(
    fake: Rig, size_bytes: int, heard: list[bool]
) -> None:
    """It takes more than are wanted of others."""
    transfers = [await fake.file(content(size_bytes), f"c{n}.mp4") for n in range(9)]
    stage, crowds = fake.stage(concurrency=2), list[bool]()
    stage.on_crowd = crowds.append
    async with running(stage):
        for transfer in transfers:
            await fake.until(transfer, State.UPLOADED)

        async def is_heard() -> bool:
            return crowds in (heard, heard * 2)  # the last one may come after the others are through

        await eventually(is_heard)


async def test_a_crowd_is_over_when_its_stage_is(fake: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload builds another one, which would never hear of its end."""
    for n in range(9):
        await fake.file(content(10), f"c{n}.mp4")
    stage, crowds = fake.stage(concurrency=2), list[bool]()
    do, is_held = fake.writer.do, asyncio.Event()

    async def held_up(method: Any, *args: Any, **kwargs: Any) -> Any:
        if method is Uploads.uploaded:
            is_held.set()
            await asyncio.Event().wait()
        return await do(method, *args, **kwargs)

    stage.on_crowd = crowds.append
    monkeypatch.setattr(fake.writer, "do", held_up)
    async with running(stage):
        await asyncio.wait_for(is_held.wait(), 5)
        assert crowds == [True]
    assert crowds == [True, False]
