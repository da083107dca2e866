"""What the daemon would do about a failure, asked by a program: whose fault it is decides."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import sidecar
from sidecar import AssetType, ErrorKind, InconsistencyType, RecoveryKind, RefusedError, SidecarError
from sidecar.core.errors import Scope
from sidecar.library.recovery import AT_ONCE
from sidecar.local.convex_server import ConvexServer
from sidecar.local.seaweed import SeaweedServer
from tests.support.convex import Caller

from .test_storage import SESSION, keys_of, put


def failure(kind: ErrorKind, *, scope: Scope | None = None) -> SidecarError:
    """Return an error of an upload."""
    return SidecarError(kind, "it failed", operation="PutObject", target="a.py", scope=scope)


async def test_whose_fault_a_failure_is_decides_what_follows(
    settings: dict[str, Any], seaweed: SeaweedServer
) -> None:
    """An object's own fault spends its attempts, an outage none; lost bytes are seen from outside."""
    own = failure(ErrorKind.INVALID, scope=Scope.OBJECT)
    async with sidecar.open(settings) as platform:
        ask = platform.recovery.handle_s3_upload_failure
        first = await ask(own, target="a.py")
        last = await ask(own, target="a.py", attempts=2)
        throttled = await ask(failure(ErrorKind.THROTTLED), target="b.py", attempts=2)
        put(seaweed, settings, "algebra/foreign/a.py", "one")
        await platform.convex.sync_scene_assets("intro", ["algebra/foreign/a.py"], session_id=SESSION)
        check = platform.recovery.reconcile_data_inconsistency
        assert await check(f"{SESSION}/intro", InconsistencyType.LOST_BYTES, project_id="algebra")
        seaweed.client().delete_object(Bucket=settings["s3"]["bucket"], Key="algebra/foreign/a.py")
        assert not await check(f"{SESSION}/intro", InconsistencyType.LOST_BYTES, project_id="algebra")
        assert await check(SESSION, InconsistencyType.LOST_OP, project_id="algebra")
        convex_said = await platform.recovery.handle_convex_sync_failure(own, target="id", attempts=2)
    assert (first.kind, first.spent) == (RecoveryKind.RETRY, True)
    assert (last.kind, last.delay_seconds) == (RecoveryKind.GIVE_UP, None)
    assert convex_said.kind is RecoveryKind.GIVE_UP
    assert (throttled.kind, throttled.spent) == (RecoveryKind.RETRY, False)


@pytest.mark.parametrize("on_refused", ["delete", "keep"])
async def test_what_convex_refuses_for_good_is_taken_back_if_asked_for(
    settings: dict[str, Any], seaweed: SeaweedServer, convex: ConvexServer, tmp_path: Path, on_refused: str
) -> None:
    """Also under a key of the caller's; the error comes once S3 is rid of it, each time anew."""
    settings["convex"]["on_refused"] = on_refused
    source = tmp_path / "a.py"
    source.write_text("one")
    async with sidecar.open(settings) as platform:
        store = platform.assets.store_scene_asset
        await store("other", AssetType.SOURCE_CODE, source, session_id=SESSION)
        before = keys_of(seaweed, settings)
        await store("intro", AssetType.SOURCE_CODE, source, session_id=SESSION)
        with Caller(convex.url, f"Convex {convex.admin_key}") as admin:
            admin.mutation("scenes:remove", sessionId=SESSION, sceneId="intro")
        shown = keys_of(seaweed, settings) - before
        source.write_text("two")
        for _ in range(2):
            with pytest.raises(RefusedError, match="was deleted") as refused:
                await store("intro", AssetType.SOURCE_CODE, source, session_id=SESSION)
        with pytest.raises(RefusedError, match="was deleted"):
            await platform.storage.upload(source, "algebra/own/two.py", f"{SESSION}/intro", "scene")
        action = await platform.recovery.handle_convex_sync_failure(refused.value, target="id")
        left = keys_of(seaweed, settings) - before - shown
    assert before | shown <= keys_of(seaweed, settings)
    if on_refused == "delete":
        assert (action.kind, left) == (RecoveryKind.COMPENSATE, set())
        assert "taken back" in str(refused.value)
    else:
        assert (action.kind, "algebra/own/two.py" in left, len(left)) == (RecoveryKind.GIVE_UP, True, 2)


async def test_an_outage_is_waited_out_at_nobodys_expense(settings: dict[str, Any]) -> None:
    """The probe fails as well: nothing of it is the object's."""
    away = settings | {"s3": {**settings["s3"], "endpoint_url": "http://127.0.0.1:9"}}
    async with sidecar.open(away) as platform:
        action = await platform.recovery.handle_s3_upload_failure(
            failure(ErrorKind.NETWORK), target="a.py", attempts=2
        )
    assert (action.kind, action.spent) == (RecoveryKind.WAIT, False)
    assert "S3 is unreachable" in action.reason


async def test_a_large_session_is_looked_at_page_by_page(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Not all of it at once; the first page that tells ends it."""
    looking, most, looked = 0, 0, 0

    async def shown(*_: object) -> list[int]:
        return list(range(100))

    async def judged(number: int) -> frozenset[InconsistencyType]:
        nonlocal looking, most, looked
        looking, looked = looking + 1, looked + 1
        most = max(most, looking)
        await asyncio.sleep(0)
        looking -= 1
        return frozenset({InconsistencyType.LOST_BYTES} if number == AT_ONCE else ())

    off = {"s3": {"bucket": "none"}, "convex": {"sync": "off"}, "journal": {"path": str(tmp_path / "j.db")}}
    async with sidecar.open(off) as platform:
        monkeypatch.setattr(platform._reading, "entity_assets", shown)
        monkeypatch.setattr(platform.recovery, "_judged", judged)
        check = platform.recovery.reconcile_data_inconsistency
        assert not await check(f"{SESSION}/intro", InconsistencyType.LOST_BYTES, project_id="algebra")
    assert (most, looked) == (AT_ONCE, 2 * AT_ONCE)


async def test_what_this_program_stored_is_mended_and_what_others_did_is_told(
    settings: dict[str, Any], seaweed: SeaweedServer, convex: ConvexServer, tmp_path: Path
) -> None:
    """By the daemon's table: bytes that S3 lost or has others of, and what Convex forgot."""
    source, scene = tmp_path / "a.py", f"{SESSION}/intro"
    source.write_text("one")
    bucket = settings["s3"]["bucket"]
    async with sidecar.open(settings) as platform, sidecar.open(settings) as other:
        stored = await platform.assets.store_scene_asset(
            "intro", AssetType.SOURCE_CODE, source, session_id=SESSION
        )

        async def mends(kind: InconsistencyType, *, by: sidecar.Platform = platform) -> bool:
            return await by.recovery.reconcile_data_inconsistency(scene, kind, project_id="algebra")

        def content() -> bytes:
            read: bytes = seaweed.client().get_object(Bucket=bucket, Key=stored.s3_key)["Body"].read()
            return read

        for kind in InconsistencyType:
            assert await mends(kind), kind
        seaweed.client().delete_object(Bucket=bucket, Key=stored.s3_key)
        assert not await mends(InconsistencyType.MISSING_OBJECT, by=other)
        assert not await mends(InconsistencyType.LOST_BYTES, by=other)
        assert await mends(InconsistencyType.MISSING_OBJECT)
        assert content() == b"one"
        put(seaweed, settings, stored.s3_key, "another")
        assert not await mends(InconsistencyType.WRONG_SIZE, by=other)
        assert await mends(InconsistencyType.WRONG_SIZE)
        assert content() == b"one"
        seaweed.client().put_object(
            Bucket=bucket, Key=stored.s3_key, Body=b"two", ChecksumAlgorithm="CRC64NVME"
        )
        assert not await mends(InconsistencyType.WRONG_SIZE, by=other)
        put(seaweed, settings, stored.s3_key, "one")
        convex.control("reset", {})
        assert await mends(InconsistencyType.MISSING_METADATA)
        assert [row["s3Key"] for row in convex.table("renderSidecar/assets")] == [stored.s3_key]
        seaweed.client().delete_object(Bucket=bucket, Key=stored.s3_key)
        source.unlink()
        assert not await mends(InconsistencyType.MISSING_OBJECT)
