"""One transfer's way, over SeaweedFS and the real journal."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from sidecar.core.checksum_algorithms import Algorithm
from sidecar.core.errors import STALE, ErrorKind, Scope, SidecarError
from sidecar.core.model import State, Transfer
from sidecar.core.upload_order import LIGHT_BYTES
from sidecar.files import checksum_of, stat_identity
from sidecar.journal.stores.multipart import MultipartUploads
from sidecar.journal.stores.upload_claims import UploadClaims
from sidecar.journal.stores.uploads import Uploads
from sidecar.local.seaweed import SeaweedServer
from sidecar.upload.s3.checksums import Scan, scan
from sidecar.upload.s3.object_store import S3Store
from sidecar.upload.store import Body

from .rig import FILM, PART, SIDECAR, Rig, content, eventually, hang, lose, lost, rig_on, running


def download(server: SeaweedServer, transfer: Transfer) -> bytes:
    """Fetch an object with another client."""
    answer = server.client().get_object(Bucket=transfer.bucket, Key=transfer.key)
    return bytes(answer["Body"].read())


def keys(server: SeaweedServer, bucket: str) -> list[str]:
    """List the bucket with another client."""
    return [found["Key"] for found in server.client().list_objects_v2(Bucket=bucket).get("Contents", [])]


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, FILM])
async def test_a_file_of_any_size_arrives_whole(rig: Rig, seaweed: SeaweedServer, size: int) -> None:
    """The object equals the file, says whose it is, and nothing stays open."""
    body = content(size)
    transfer = await rig.file(body)
    async with running(rig.stage()):
        await rig.until(transfer, State.UPLOADED)
    assert download(seaweed, transfer) == body
    head = await rig.store.inner.head(transfer.key)
    assert head is not None
    assert dict(head.metadata) == {
        "sidecar-id": SIDECAR,
        "transfer": transfer.transfer_id,
        "slot": transfer.route.slot.digest,
    }
    assert await rig.open_uploads() == []
    assert ("put" in rig.store.calls) == (size < PART)


async def three_parts_journaled(rig: Rig, transfer: Transfer) -> None:
    """Wait until three parts of a film are facts."""

    async def three() -> bool:
        return len(await rig.writer.do(MultipartUploads.parts, transfer.row_id)) == 3

    await eventually(three)


async def test_a_restart_sends_no_confirmed_part_again(
    s3: S3Store, bucket: str, seaweed: SeaweedServer, tmp_path: Path
) -> None:
    """Parts 1 to 3 were journaled before the crash: only part 4 goes afterwards."""
    body = content()
    async with rig_on(s3, tmp_path, bucket=bucket) as rig:
        transfer = await rig.file(body)
        rig.store.before["part 4"] = hang
        async with running(rig.stage()):
            await three_parts_journaled(rig, transfer)
    async with rig_on(s3, tmp_path, bucket=bucket) as again:
        async with running(again.stage()):
            await again.until(transfer, State.UPLOADED)
        assert again.store.parts() == ["part 4"]
        assert await again.open_uploads() == []
    assert download(seaweed, transfer) == body


@pytest.mark.parametrize("is_known", [True, False], ids=["journaled", "of an older journal"])
async def test_parts_are_read_for_their_checksum_once(
    rig: Rig, seaweed: SeaweedServer, monkeypatch: pytest.MonkeyPatch, *, is_known: bool
) -> None:
    """As the file was completed; before they go, and after a restart, only where that is not known."""
    body = content()
    transfer = await rig.file(body)
    if not is_known:
        rig.journal.db.execute("UPDATE transfers SET part_checksums = NULL")
    read: list[int] = []

    def scanned(ranged: Body, algorithm: Algorithm) -> Scan:
        read.append(ranged.length_bytes)
        return scan(ranged, algorithm)

    def ranged(fd: int, offset_bytes: int, length_bytes: int) -> str:
        read.append(length_bytes)
        return checksum_of(fd, offset_bytes, length_bytes)

    monkeypatch.setattr("sidecar.upload.s3.checksums.scan", scanned)
    monkeypatch.setattr("sidecar.upload.source.checksum_of", ranged)
    rig.store.before["part 4"] = hang
    async with running(rig.stage()):
        await three_parts_journaled(rig, transfer)
    sent, read[:] = sorted(read), []
    del rig.store.before["part 4"]
    async with running(rig.stage()):
        await rig.until(transfer, State.UPLOADED)
    assert download(seaweed, transfer) == body
    whole, last = [PART] * 3, 7
    assert (sent, sorted(read)) == (([], []) if is_known else (whole, [last, *whole]))


async def test_a_part_that_fails_takes_no_other_along(rig: Rig, seaweed: SeaweedServer) -> None:
    """What is on its way arrives; only the one that failed is sent again."""
    failed = asyncio.Event()

    async def fail_once() -> None:
        del rig.store.before["part 2"]
        failed.set()
        raise lost()

    async def be_under_way() -> None:
        await failed.wait()
        await asyncio.sleep(0.05)  # and some time after

    rig.store.before.update({"part 1": be_under_way, "part 2": fail_once, "part 3": be_under_way})
    body = content()
    transfer = await rig.file(body)
    async with running(rig.stage()):
        await rig.until(transfer, State.UPLOADED)
    assert rig.store.parts() == ["part 1", "part 2", "part 2", "part 3", "part 4"]
    assert download(seaweed, transfer) == body


async def test_a_part_whose_bytes_changed_is_not_taken_for_sent(rig: Rig, seaweed: SeaweedServer) -> None:
    """After a restart the file is new content: nothing of the old upload becomes visible."""
    transfer = await rig.file(content())
    rig.store.before["part 4"] = hang

    async with running(rig.stage()):
        await three_parts_journaled(rig, transfer)
    rig.path(transfer).write_bytes(content())
    async with running(rig.stage()):
        await rig.until(transfer, State.SUPERSEDED)
        await eventually(lambda: nothing_open(rig))
    assert keys(seaweed, rig.bucket) == []


async def nothing_open(rig: Rig) -> bool:
    """Tell whether no multipart upload is open in the bucket."""
    return await rig.open_uploads() == []


async def test_a_file_that_changes_under_its_upload_is_never_shipped_torn(
    rig: Rig, seaweed: SeaweedServer
) -> None:
    """It is overtaken, its upload aborted, and its file a candidate again."""
    transfer = await rig.file(content())

    async def scribble() -> None:
        with rig.path(transfer).open("r+b") as file:
            file.seek(2 * PART)
            file.write(b"scribbled")

    rig.store.after["part 1"] = scribble
    async with running(rig.stage()):
        await rig.until(transfer, State.SUPERSEDED)
        await eventually(lambda: nothing_open(rig))
    assert keys(seaweed, rig.bucket) == []
    assert [t.path for t in rig.journal.completion.candidates()] == [transfer.path]


@pytest.mark.parametrize("size", [LIGHT_BYTES + 1, FILM])
async def test_a_change_that_leaves_no_trace_in_stat_is_refused_by_s3(
    rig: Rig, seaweed: SeaweedServer, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Even if no stat call saw it, the bytes that arrive are not the fingerprint's."""
    transfer = await rig.file(content(size))
    assert transfer.identity is not None
    monkeypatch.setattr("sidecar.upload.source.stat_identity", lambda _fd: transfer.identity)

    async def scribble() -> None:
        with rig.path(transfer).open("r+b") as file:
            file.write(b"scribbled")

    rig.store.before["put" if size < PART else "create"] = scribble
    async with running(rig.stage()):
        await rig.until(transfer, State.SUPERSEDED)
        await eventually(lambda: nothing_open(rig))
    assert keys(seaweed, rig.bucket) == []


async def test_a_small_file_is_refused_if_it_changed_before_it_was_read(
    rig: Rig, seaweed: SeaweedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read as it is opened: S3 compares those bytes, too."""
    transfer = await rig.file(content(1000))
    monkeypatch.setattr("sidecar.upload.source.stat_identity", lambda _fd: transfer.identity)
    with rig.path(transfer).open("r+b") as file:
        file.write(b"scribbled")
    async with running(rig.stage()):
        await rig.until(transfer, State.SUPERSEDED)
        await eventually(lambda: nothing_open(rig))
    assert keys(seaweed, rig.bucket) == []


async def test_a_small_file_is_sent_as_it_was_opened(rig: Rig, seaweed: SeaweedServer) -> None:
    """What is written over it meanwhile, cut off or put in its place is another version's business."""
    data = content(LIGHT_BYTES)
    transfer = await rig.file(data)

    async def spoil() -> None:
        rig.path(transfer).write_bytes(b"scribbled")

    rig.store.before["put"] = spoil
    async with running(rig.stage()):
        await rig.until(transfer, State.UPLOADED)
    assert download(seaweed, transfer) == data


async def test_a_file_that_shrinks_under_its_upload_is_overtaken(rig: Rig, seaweed: SeaweedServer) -> None:
    """It is the file's doing, not the network's: no attempt is counted."""
    transfer = await rig.file(content())

    async def shrink() -> None:
        os.truncate(rig.path(transfer), PART)

    rig.store.before["create"] = shrink
    async with running(rig.stage()):
        await rig.until(transfer, State.SUPERSEDED)
    assert keys(seaweed, rig.bucket) == []


async def test_a_vanished_file_is_gone(rig: Rig) -> None:
    """Nothing is asked of S3."""
    transfer = await rig.file(content(10))
    rig.path(transfer).unlink()
    async with running(rig.stage()):
        await rig.until(transfer, State.GONE)
    assert set(rig.store.calls) <= {"list"}, "the sweep"


async def test_a_missing_root_says_nothing_of_its_files(rig: Rig) -> None:
    """A volume that is not mounted is a failure to read, not a deletion: its files wait, and go on."""
    transfer = await rig.file(content(10))
    rig.root.rename(rig.folder / "elsewhere")
    async with running(rig.stage()):
        waiting = await rig.until_it_waits(transfer)
        (rig.folder / "elsewhere").rename(rig.root)
        await rig.until(transfer, State.UPLOADED)
    assert waiting.failures == 0


async def test_a_file_that_is_deleted_while_it_is_sent_arrives(rig: Rig, seaweed: SeaweedServer) -> None:
    """It is held open from the first byte to the last."""
    body = content()
    transfer = await rig.file(body)

    async def delete() -> None:
        rig.path(transfer).unlink()

    rig.store.after["part 1"] = delete
    async with running(rig.stage()):
        await rig.until(transfer, State.UPLOADED)
    assert download(seaweed, transfer) == body


async def test_a_touched_file_is_shipped_and_remembered(rig: Rig) -> None:
    """Other times, same bytes: the journal learns the new identity."""
    transfer = await rig.file(content(10))
    os.utime(rig.path(transfer), ns=(1, 1))
    async with running(rig.stage()):
        shipped = await rig.until(transfer, State.UPLOADED)
    assert shipped.identity is not None
    assert shipped.identity.mtime_ns == 1


@pytest.mark.parametrize("size", [10, FILM])
async def test_a_file_that_changed_without_a_trace_is_overtaken(rig: Rig, size: int) -> None:
    """Its times are what the journal has, and its bytes are others: S3 refuses them, and it is begun anew."""
    transfer = await rig.file(content(size))
    rig.path(transfer).write_bytes(content(size))
    with rig.path(transfer).open("rb") as file:
        await rig.writer.do(Uploads.touched, transfer.row_id, stat_identity(file.fileno()))
    async with running(rig.stage()):
        await rig.until(transfer, State.SUPERSEDED)
    assert (await rig.now(transfer)).failures == 0


@pytest.mark.parametrize(("size", "call"), [(100, "put"), (FILM, "complete")])
async def test_a_lost_answer_is_settled_by_asking(rig: Rig, size: int, call: str) -> None:
    """S3 did it: nothing is sent again, no attempt is spent."""
    transfer = await rig.file(content(size))
    rig.store.after[call] = lose
    async with running(rig.stage()):
        shipped = await rig.until(transfer, State.UPLOADED)
    assert rig.store.calls.count(call) == 1
    assert shipped.failures == 0


@pytest.mark.parametrize(("size", "call"), [(100, "put"), (FILM, "complete")])
async def test_an_answer_that_was_lost_before_a_crash_is_settled_after_it(
    s3: S3Store, bucket: str, tmp_path: Path, size: int, call: str
) -> None:
    """The intent was journaled: the next process asks before it sends."""
    async with rig_on(s3, tmp_path, bucket=bucket) as rig:
        transfer = await rig.file(content(size))
        rig.store.after[call] = hang

        async def visible() -> bool:
            return await s3.head(transfer.key) is not None

        async with running(rig.stage()):
            await eventually(visible)
    async with rig_on(s3, tmp_path, bucket=bucket) as again:
        async with running(again.stage()):
            await again.until(transfer, State.UPLOADED)
        assert set(again.store.calls) <= {"head", "list"}  # the lists look for what else is open


async def test_a_request_that_never_arrived_is_made_again(rig: Rig, seaweed: SeaweedServer) -> None:
    """HEAD finds nothing, so the same Complete goes again, and no part does."""
    body = content()
    transfer = await rig.file(body)
    losses = iter([lose])

    async def lose_once() -> None:
        for loss in losses:
            await loss()

    rig.store.before["complete"] = lose_once
    async with running(rig.stage()):
        await rig.until(transfer, State.UPLOADED)
    assert rig.store.calls.count("complete") == 2
    assert len(rig.store.parts()) == 4
    assert download(seaweed, transfer) == body


async def test_an_upload_that_somebody_aborted_is_begun_anew(
    rig: Rig, s3: S3Store, seaweed: SeaweedServer
) -> None:
    """NoSuchUpload: everything is sent again, under a new upload ID."""
    body = content()
    transfer = await rig.file(body)

    async def abort_once() -> None:
        del rig.store.before["part 4"]
        for found in await rig.open_uploads():
            await s3.abort(found)

    rig.store.before["part 4"] = abort_once
    async with running(rig.stage()):
        await rig.until(transfer, State.UPLOADED)
    assert rig.store.calls.count("create") == 2
    assert download(seaweed, transfer) == body
    assert await rig.open_uploads() == []


async def test_a_resumed_upload_that_s3_refuses_is_begun_anew(rig: Rig, seaweed: SeaweedServer) -> None:
    """It was begun with another s3.checksum: its parts are refused for ever, those of a new one are not."""
    body = content()
    transfer = await rig.file(body)
    rig.store.before["part 4"] = hang
    async with running(rig.stage()):
        await three_parts_journaled(rig, transfer)

    async def refuse() -> None:
        if rig.store.calls.count("create") < 2:
            message = "Checksum Type mismatch occurred"
            raise SidecarError(
                ErrorKind.INVALID, message, operation="UploadPart", target="k", scope=Scope.BUCKET
            )

    rig.store.before["part 4"] = refuse
    async with running(rig.stage()):
        await rig.until(transfer, State.UPLOADED)
    assert rig.store.calls.count("create") == 2
    assert download(seaweed, transfer) == body
    assert await rig.open_uploads() == []


async def test_a_create_whose_answer_was_lost_leaves_nothing_open(rig: Rig) -> None:
    """The next attempt aborts what is under exactly its key."""
    transfer = await rig.file(content())

    async def lose_once() -> None:
        del rig.store.after["create"]
        await lose()

    rig.store.after["create"] = lose_once
    async with running(rig.stage()):
        await rig.until(transfer, State.UPLOADED)
    assert rig.store.calls.count("create") == 2
    assert await rig.open_uploads() == []


async def test_a_cancelled_upload_stays_open_and_is_released(rig: Rig) -> None:
    """A drain ends in the middle: the parts are worth keeping."""
    transfer = await rig.file(content())
    rig.store.before["part 4"] = hang

    async with running(rig.stage()) as stage:
        await three_parts_journaled(rig, transfer)
        assert [(f.path, f.parts, f.sent_bytes) for f in stage.uploads()] == [(transfer.display, 4, 3 * PART)]
    assert len(await rig.open_uploads()) == 1
    claim = await rig.writer.do(UploadClaims.claim_uploads, limit=1, now=0.0)
    assert [t.row_id for t in claim.transfers] == [transfer.row_id]


async def test_parts_that_s3_holds_wrongly_are_sent_anew(rig: Rig, seaweed: SeaweedServer) -> None:
    """Complete is refused though the file is the same: an attempt, and the upload begins again."""
    body = content()
    transfer = await rig.file(body)

    async def refuse_once() -> None:
        del rig.store.before["complete"]
        raise SidecarError(ErrorKind.CORRUPT, "bad parts", operation="rig", target="k", code="InvalidPart")

    rig.store.before["complete"] = refuse_once
    async with running(rig.stage()):
        await rig.until(transfer, State.UPLOADED)
    assert len(rig.store.parts()) == 8
    assert download(seaweed, transfer) == body
    assert await rig.open_uploads() == []


async def test_a_create_whose_used_connection_broke_goes_again_at_once(
    rig: Rig, seaweed: SeaweedServer
) -> None:
    """No failure is counted, no wait; what the first may have opened is rechecked until it is looked for."""
    body = content()
    transfer = await rig.file(body)

    async def cut_once() -> None:
        del rig.store.before["create"]
        raise SidecarError(ErrorKind.NETWORK, "cut", operation="rig", target="k", code=STALE, maybe_done=True)

    rig.store.before["create"] = cut_once
    async with running(rig.stage()) as stage:
        await rig.until(transfer, State.UPLOADED)
        assert stage.cleaner.rechecks == 1
    sent = [call for call in rig.store.calls if call != "list"]  # the cleaner looks when it likes
    first = sent.index("create")
    assert sent[first + 1] == "create"
    assert "probe" not in sent
    assert download(seaweed, transfer) == body


async def test_symbolic_links_are_not_followed(rig: Rig, seaweed: SeaweedServer) -> None:
    """A file that is swapped for a link to a secret is gone, and the secret stays here."""
    transfer = await rig.file(content(10))
    secret = rig.folder / "secret"
    secret.write_bytes(content(10))
    rig.path(transfer).unlink()
    rig.path(transfer).symlink_to(secret)
    async with running(rig.stage()):
        await rig.until(transfer, State.GONE)
    assert keys(seaweed, rig.bucket) == []
