"""S3Storage and ConvexS3Sync: a key of one's own, what lies below a prefix, objects of others, clean-up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import sidecar
from sidecar import (
    AssetManager,
    AssetSyncRequest,
    AssetType,
    ConvexS3Sync,
    EntityType,
    ErrorKind,
    InconsistencyType,
    LibraryError,
    NotFoundError,
    RefusedError,
    S3Storage,
    SidecarError,
)
from sidecar.core.model import StoredObject
from sidecar.library.storage import HEADS_AT_ONCE
from sidecar.local.convex_server import ConvexServer
from sidecar.local.seaweed import SeaweedServer
from sidecar.sync.backend import BackendStore
from sidecar.sync.errors import NOT_INSTALLED
from sidecar.upload.store import ListedObject, ObjectHead
from tests.support.system import checksum

SESSION, SCENE = "algebra/lesson-7", "algebra/lesson-7/intro"
KEY = "algebra/own/{braces}/thumb.py"
Settings = dict[str, Any]


def keys_of(seaweed: SeaweedServer, settings: Settings) -> set[str]:
    """List the bucket by another client."""
    answer = seaweed.client().list_objects_v2(Bucket=settings["s3"]["bucket"])
    return {one["Key"] for one in answer.get("Contents", ())}


def put(seaweed: SeaweedServer, settings: Settings, key: str, text: str) -> None:
    """Put an object that no sidecar made."""
    seaweed.client().put_object(
        Bucket=settings["s3"]["bucket"], Key=key, Body=text.encode(), ContentType="text/x-python"
    )


def test_the_designs_constructors_work_in_synchronous_code(
    settings: Settings, tmp_path: Path, convex: ConvexServer, seaweed: SeaweedServer
) -> None:
    """They open with their first call; the key is the caller's, to the letter."""
    source = tmp_path / "thumb.py"
    source.write_text("one")
    storage = S3Storage(settings)
    sync = ConvexS3Sync(None, storage)
    assets = AssetManager(storage, sync)
    key, url = storage.upload_with_convex_sync(source, KEY, sync, SCENE, "scene")
    assert key == KEY
    assert url == f"{seaweed.endpoint_url}/{settings['s3']['bucket']}/algebra/own/%7Bbraces%7D/thumb.py"
    (row,) = convex.table("renderSidecar/assets")
    assert (row["sessionId"], row["entityId"], row["s3Key"]) == (SESSION, "intro", KEY)
    (entry,) = storage.get_asset_manifest_sync("algebra/")
    assert entry.asset == assets.get_scene_assets_sync("intro", session_id=SESSION)[0]
    assert (entry.key, entry.size, entry.checksum) == (KEY, 3, checksum(b"one"))
    target = storage.download_sync(KEY, tmp_path / "copy.py")
    assert target.read_text() == "one"
    with pytest.raises(LibraryError, match="Convex shows"):
        storage.delete_sync(KEY)
    assert not storage.cleanup_with_convex_sync([KEY], sync, "another scene")
    assert storage.cleanup_with_convex_sync([KEY, "algebra/none.py"], sync, "intro")
    assert convex.table("renderSidecar/assets") == []
    assert keys_of(seaweed, settings) == set()
    assert storage.cleanup_with_convex_sync([KEY], sync, "intro")
    storage.connection.__exit__()
    with pytest.raises(ValueError, match=r"convex_client is of https://other"):
        ConvexS3Sync(type("Client", (), {"address": "https://other.convex.cloud"}), storage)


async def test_objects_that_are_in_s3_already_are_told_and_stay_whatever_becomes_of_them(
    settings: Settings, convex: ConvexServer, seaweed: SeaweedServer, tmp_path: Path
) -> None:
    """S3 says what they are; again they make no version; one that is not there fails alone."""
    put(seaweed, settings, "algebra/foreign/a.py", "one")
    put(seaweed, settings, "algebra/foreign/b.py", "two")
    async with sidecar.open(settings) as platform:
        keys = ["algebra/foreign/a.py", "algebra/foreign/b.py", "algebra/foreign/none.py"]
        answer = await platform.convex.sync_scene_assets("intro", keys, {"by": "me"}, session_id=SESSION)
        again = await platform.convex.sync_scene_assets("intro", keys[:2], session_id=SESSION)
        first = answer.synced[0]
        assert (first.s3_key, first.size, first.checksum) == (keys[0], 3, checksum(b"one"))
        assert (first.version, first.content_type, first.metadata) == (1, "text/x-python", {"by": "me"})
        assert [one.version for one in again.synced] == [1, 1]
        assert list(answer.failed) == ["algebra/foreign/none.py"]
        assert not answer.success
        assert again.success
        gone = await platform.assets.cleanup_scene_assets("intro", session_id=SESSION)
        assert {one.id for one in gone} == {one.id for one in answer.synced}
        with pytest.raises(NotFoundError):
            await platform.assets.get_asset_url(first.id)
        request = AssetSyncRequest(
            entity_id=SESSION,
            entity_type=EntityType.SESSION,
            asset_type=AssetType.MANIFEST,
            s3_key="algebra/foreign/b.py",
            name="manifest.json",
        )
        assert (await platform.convex.batch_sync_assets([request])).success
        await platform.storage.delete("algebra/foreign/a.py")
        with pytest.raises(NotFoundError, match="no object"):
            await platform.storage.download("algebra/foreign/a.py", tmp_path / "a.py")
    assert [(row["entityType"], row["name"]) for row in convex.table("renderSidecar/assets")] == [
        ("session", "manifest.json")
    ]
    assert keys_of(seaweed, settings) == {"algebra/foreign/b.py"}
    assert list(tmp_path.glob(".*part")) == []


async def test_an_object_that_nobody_read_is_told_as_unverified_and_verified_later(
    settings: Settings, seaweed: SeaweedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only where the caller says so; each ETag is a content of its own, and the object is not read."""
    read, really = list[str](), ConvexS3Sync._read

    async def counted(self: ConvexS3Sync, key: str, head: Any) -> str:
        read.append(key)
        return await really(self, key, head)

    monkeypatch.setattr(ConvexS3Sync, "_read", counted)
    keys = ["algebra/foreign/a.py", "algebra/foreign/none", "algebra/foreign/b.py"]
    put(seaweed, settings, keys[0], "one")
    put(seaweed, settings, keys[2], "two")
    async with sidecar.open(settings) as platform:
        sync = platform.convex.sync_scene_assets
        first = await sync("intro", keys, session_id=SESSION, unverified=True)
        assert read == []
        assert list(first.failed) == [keys[1]]
        assert "asset_type" in first.failed[keys[1]]
        assert {one.checksum.partition(":")[0] for one in first.synced} == {"unverified"}
        assert len({one.checksum for one in first.synced}) == 2
        again = await sync("intro", keys[:1], session_id=SESSION, unverified=True)
        put(seaweed, settings, keys[0], "two")
        other = await sync("intro", keys[:1], session_id=SESSION, unverified=True)
        verified = await sync("intro", keys[:1], session_id=SESSION)
        known = await sync("intro", keys[:1], session_id=SESSION, unverified=True)
        found = [*again.synced, *other.synced, *verified.synced, *known.synced]
        assert [one.version for one in found] == [1, 2, 3, 3]
        assert (found[-1].checksum, read) == (checksum(b"two"), [keys[0]])
        with pytest.raises(TypeError, match="give a list of keys"):
            await sync("intro", keys[0], session_id=SESSION)
        with pytest.raises(TypeError, match="give a list of keys"):
            await platform.storage.cleanup(keys[0], "intro")
    assert keys_of(seaweed, settings) == {keys[0], keys[2]}


async def test_retention_takes_no_object_that_was_only_told_of(
    settings: Settings, convex: ConvexServer, seaweed: SeaweedServer
) -> None:
    """Its version is marked as expired in Convex; whoever put the object there keeps it."""
    settings["retention"] = {"superseded": {"keep": 1, "for": "1ms"}}
    keys = [f"algebra/foreign/{n}.json" for n in range(4)]
    for key in keys:
        put(seaweed, settings, key, key)
    async with sidecar.open(settings) as platform:
        for key in keys:
            told = AssetSyncRequest(
                entity_id=SESSION,
                entity_type=EntityType.SESSION,
                asset_type=AssetType.MANIFEST,
                s3_key=key,
                name="manifest.json",
            )
            assert (await platform.convex.batch_sync_assets([told])).success
        check = platform.recovery.reconcile_data_inconsistency
        await check(SESSION, InconsistencyType.RETIRED, project_id="algebra")
        await check(SESSION, InconsistencyType.EXPIRED_OBJECT, project_id="algebra")
        rows = convex.table("renderSidecar/assetVersions")
        assert {row["version"] for row in rows if row.get("expired")} == {1, 2}
    assert keys_of(seaweed, settings) == set(keys)


async def test_a_scenes_assets_are_listed_and_taken_down_whoever_wrote_them(
    settings: Settings, convex: ConvexServer, seaweed: SeaweedServer, tmp_path: Path
) -> None:
    """Another program's platform does it; what got a newer version meanwhile stays."""
    sources = [tmp_path / f"{n}.py" for n in range(3)]
    for source in sources:
        source.write_text(source.name)
    async with sidecar.open(settings) as writer:
        for scene in ("intro", "outro"):
            await asyncio.gather(
                *(
                    writer.assets.store_scene_asset(scene, AssetType.SOURCE_CODE, one, session_id=SESSION)
                    for one in sources
                )
            )
    async with sidecar.open(settings) as platform:
        shown = await platform.assets.get_scene_assets("intro", session_id=SESSION)
        assert [(one.name, one.index, one.version) for one in shown] == [(f"{n}.py", n, 1) for n in range(3)]
        gone = await platform.assets.cleanup_scene_assets("intro", session_id=SESSION)
        assert {one.id for one in gone} == {one.id for one in shown}
        assert await platform.assets.get_scene_assets("intro", session_id=SESSION) == []
        kept = {one.s3_key for one in await platform.assets.get_scene_assets("outro", session_id=SESSION)}
        assert keys_of(seaweed, settings) == kept
    assert len(kept) == 3
    assert len(convex.table("renderSidecar/assets")) == 3


async def test_functions_that_know_no_entities_are_asked_for_the_whole_project(
    settings: Settings, seaweed: SeaweedServer, convex: ConvexServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installation of before; else a scene is listed alone."""
    keys = [f"algebra/foreign/{n}.py" for n in range(3)]
    for key in keys:
        put(seaweed, settings, key, key)
    listed = list[str]()
    really = BackendStore.list_by_project

    async def counted(self: BackendStore, project_id: str, *, cursor: str | None) -> Any:
        listed.append(project_id)
        return await really(self, project_id, cursor=cursor)

    async def unknown(*_: object, **__: object) -> Any:
        raise SidecarError(
            ErrorKind.UNKNOWN,
            "Could not find it",
            operation="o",
            target="t",
            hint=NOT_INSTALLED,
            redacted=True,
        )

    monkeypatch.setattr(BackendStore, "list_by_project", counted)
    async with sidecar.open(settings) as platform:
        for scene in ("a", "intro", "z"):
            assert (await platform.convex.sync_scene_assets(scene, keys, session_id=SESSION)).success
        alone = await platform.assets.get_scene_assets("intro", session_id=SESSION)
        assert listed == []
        monkeypatch.setattr(BackendStore, "list_by_entity", unknown)
        for _ in range(2):
            assert await platform.assets.get_scene_assets("intro", session_id=SESSION) == alone
    assert (len(alone), listed) == (3, ["algebra"] * 2)
    assert len(convex.table("renderSidecar/assets")) == 9


async def test_older_versions_objects_go_with_a_scene(
    settings: Settings, convex: ConvexServer, seaweed: SeaweedServer, tmp_path: Path
) -> None:
    """Also of a key that was overwritten in place; what is another scene's stays, with its history."""
    source = tmp_path / "a.py"
    async with sidecar.open(settings) as writer:
        for text in ("one", "two", "three"):
            source.write_text(text)
            for scene in ("intro", "outro"):
                await writer.assets.store_scene_asset(
                    scene, AssetType.SOURCE_CODE, source, session_id=SESSION
                )
                await writer.storage.upload(
                    source, f"algebra/own/{scene}/b.py", f"{SESSION}/{scene}", "scene"
                )
    kept = {key for key in keys_of(seaweed, settings) if "/outro/" in key}
    assert (len(kept), len(keys_of(seaweed, settings))) == (4, 8)
    async with sidecar.open(settings) as platform:
        assert await platform.storage.cleanup(["algebra/own/intro/b.py"], "intro")
        assert await platform.storage.cleanup(["algebra/own/intro/b.py"], "intro")
        assert len(keys_of(seaweed, settings)) == 7
        (gone,) = await platform.assets.cleanup_scene_assets("intro", session_id=SESSION)
        assert (gone.name, gone.version) == ("a.py", 3)
        assert keys_of(seaweed, settings) == kept
    scenes = {row["sceneId"]: row for row in convex.table("renderSidecar/scenes")}
    assert [len(scenes[name]["previousAssetVersions"]) for name in ("intro", "outro")] == [0, 4]


@pytest.mark.parametrize("wait", [True, False])
async def test_the_same_bytes_after_a_removal_or_a_replacement_are_stored_again(
    settings: Settings, convex: ConvexServer, seaweed: SeaweedServer, tmp_path: Path, wait: bool
) -> None:
    """Whoever removed or replaced them: the journal of the one that stores knows of its own delivery only."""
    source, other_source = tmp_path / "a.py", tmp_path / "other" / "a.py"
    other_source.parent.mkdir()
    source.write_text("one")
    other_source.write_text("two")

    async def store(platform: sidecar.Platform, path: Path, *, wait: bool = True) -> sidecar.AssetReference:
        return await platform.assets.store_scene_asset(
            "intro", AssetType.SOURCE_CODE, path, session_id=SESSION, wait=wait
        )

    async def shows(text: str, version: int) -> None:
        for _ in range(400):
            rows = convex.table("renderSidecar/assets")
            if rows and rows[0]["version"] == version:
                break
            await asyncio.sleep(0.05)
        (row,) = convex.table("renderSidecar/assets")
        assert (row["version"], row["checksum"]) == (version, checksum(text.encode()))
        found = seaweed.client().get_object(Bucket=settings["s3"]["bucket"], Key=row["s3Key"])
        assert found["Body"].read() == text.encode()

    async with sidecar.open(settings) as platform, sidecar.open(settings) as other:
        await store(platform, source)
        await platform.assets.cleanup_scene_assets("intro", session_id=SESSION)
        await store(platform, source, wait=wait)
        await shows("one", 2)
        await other.assets.cleanup_scene_assets("intro", session_id=SESSION)
        await store(platform, source, wait=wait)
        await shows("one", 3)
        await store(other, other_source)
        await store(platform, source, wait=wait)
        await shows("one", 5)


async def test_an_object_that_any_asset_shows_is_known_and_not_deleted(
    settings: Settings, convex: ConvexServer, seaweed: SeaweedServer, tmp_path: Path
) -> None:
    """One that was told of has no mark of its asset, or another asset's."""
    foreign, source = "elsewhere/foreign/a.py", tmp_path / "a.py"
    put(seaweed, settings, foreign, "one")
    source.write_text("two")
    async with sidecar.open(settings) as platform:
        told = (await platform.convex.sync_scene_assets("intro", [foreign], session_id=SESSION)).synced[0]
        (entry,) = await platform.storage.get_asset_manifest("elsewhere/")
        assert entry.asset is not None
        assert entry.asset.id == told.id
        with pytest.raises(LibraryError, match=f"asset {told.id}, which Convex shows"):
            await platform.storage.delete(foreign)
        own = await platform.storage.upload(source, "algebra/own/a.py", f"{SESSION}/outro", "scene")
        other = AssetSyncRequest(
            entity_id=SESSION,
            entity_type=EntityType.SESSION,
            asset_type=AssetType.MANIFEST,
            s3_key=own.s3_key,
            name="b.json",
        )
        async with sidecar.open(settings) as another:
            assert (await another.convex.batch_sync_assets([other])).success
        assert not await platform.storage.cleanup([own.s3_key], "outro")
        assert await platform.storage.cleanup([foreign], "intro")
        assert {row["entityId"] for row in convex.table("renderSidecar/assets")} == {"outro", SESSION}
        await platform.storage.delete(foreign)
    assert keys_of(seaweed, settings) == {own.s3_key}


async def test_an_object_that_was_removed_from_convex_is_told_again(
    settings: Settings, convex: ConvexServer, seaweed: SeaweedServer
) -> None:
    """That this program has told of it before is no reason to say that Convex has it."""
    put(seaweed, settings, "algebra/foreign/a.py", "one")
    async with sidecar.open(settings) as platform:
        for version in (1, 2):
            told = await platform.convex.sync_scene_assets(
                "intro", ["algebra/foreign/a.py"], session_id=SESSION
            )
            assert [one.version for one in told.synced] == [version]
            assert [row["version"] for row in convex.table("renderSidecar/assets")] == [version]
            await platform.assets.cleanup_scene_assets("intro", session_id=SESSION)


async def test_assets_whose_objects_are_gone_are_removed_unless_they_are_many(
    settings: Settings, convex: ConvexServer, seaweed: SeaweedServer
) -> None:
    """A bucket that lost everything is a mistake first, and nothing that anybody has confirmed."""
    keys = [f"algebra/foreign/{n}.py" for n in range(14)]
    for key in keys:
        put(seaweed, settings, key, key)
    async with sidecar.open(settings) as platform:
        assert (await platform.convex.sync_scene_assets("intro", keys, session_id=SESSION)).success
        seaweed.client().delete_object(Bucket=settings["s3"]["bucket"], Key=keys[0])
        gone = await platform.convex.cleanup_orphaned_assets("algebra")
        assert [one.s3_key for one in gone] == [keys[0]]
        for key in keys[1:12]:
            seaweed.client().delete_object(Bucket=settings["s3"]["bucket"], Key=key)
        with pytest.raises(LibraryError, match="11 of 13 assets"):
            await platform.convex.cleanup_orphaned_assets("algebra")
        assert len(convex.table("renderSidecar/assets")) == 13
        assert len(await platform.convex.cleanup_orphaned_assets("algebra", are_confirmed=True)) == 11
    assert len(convex.table("renderSidecar/assets")) == 2


async def test_a_manifest_of_very_many_objects_is_made_page_by_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many HEADs at once, and no task for each object that waits for one."""
    count, tasks, heads = 1234, list[int](), list[int]()

    class Bucket:
        """Objects without end, of which each HEAD takes a turn."""

        looking = 0

        async def list_objects(self, *, prefix: str) -> AsyncIterator[ListedObject]:
            for n in range(count):
                yield ListedObject(key=f"{prefix}{n:05}", size_bytes=1, modified_ms=n)

        async def head(self, key: str) -> ObjectHead:
            self.looking += 1
            heads.append(self.looking)
            tasks.append(len(asyncio.all_tasks()))
            await asyncio.sleep(0)
            self.looking -= 1
            stored = StoredObject(bucket="none", key=key, etag="e")
            return ObjectHead(stored=stored, size_bytes=1, checksum=None, metadata={}, content_type=None)

    bucket = Bucket()

    async def objects() -> Bucket:
        return bucket

    off = {"s3": {"bucket": "none"}, "convex": {"sync": "off"}, "journal": {"path": str(tmp_path / "j.db")}}
    async with sidecar.open(off) as platform:
        monkeypatch.setattr(platform._reading, "objects", objects)
        entries = await platform.storage.get_asset_manifest("p/")
    assert [one.key for one in entries] == [f"p/{n:05}" for n in range(count)]
    assert (max(heads), len(heads)) == (HEADS_AT_ONCE, count)
    assert max(tasks) < 2 * HEADS_AT_ONCE


async def test_another_assets_object_is_not_overwritten(
    settings: Settings, seaweed: SeaweedServer, tmp_path: Path
) -> None:
    """Of another project, of another scene, under a key of our own making, or told of; one's own is."""
    source = tmp_path / "a.py"
    put(seaweed, settings, "algebra/foreign/told.py", "one")
    put(seaweed, settings, "algebra/foreign/nobodys.py", "one")
    async with sidecar.open(settings) as platform:
        source.write_text("one")
        await platform.storage.upload(source, "physics/own.py", "physics/lesson/intro", "scene")
        await platform.storage.upload(source, KEY, SCENE, "scene")
        stored = await platform.assets.store_scene_asset(
            "outro", AssetType.SOURCE_CODE, source, session_id=SESSION
        )
        await platform.convex.sync_scene_assets("intro", ["algebra/foreign/told.py"], session_id=SESSION)
        before = {key: seaweed_text(seaweed, settings, key) for key in keys_of(seaweed, settings)}
        source.write_text("two")
        for key in ("physics/own.py", KEY, stored.s3_key, "algebra/foreign/told.py"):
            with pytest.raises(RefusedError, match=r"not overwritten, for the object there is asset"):
                await platform.storage.upload(source, key, f"{SESSION}/another", "scene")
        assert {key: seaweed_text(seaweed, settings, key) for key in before} == before
        for key in (KEY, "algebra/foreign/nobodys.py"):
            await platform.storage.upload(source, key, SCENE, "scene")
            assert seaweed_text(seaweed, settings, key) == "two"


@pytest.mark.parametrize("syncing", [True, False])
async def test_whoever_may_not_ask_convex_overwrites_nothing_of_others(
    settings: Settings, seaweed: SeaweedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, syncing: bool
) -> None:
    """A producer; without Convex an object says by itself whose it is."""
    source = tmp_path / "a.py"
    source.write_text("one")
    put(seaweed, settings, "algebra/foreign/nobodys.py", "one")
    async with sidecar.open(settings) as platform:
        await platform.storage.upload(source, KEY, SCENE, "scene")

    async def denied(*_: object) -> Any:
        raise SidecarError(ErrorKind.FORBIDDEN, "no backend", operation="ask", target="assetsByKey")

    monkeypatch.setattr(BackendStore, "assets_by_key", denied)
    settings["convex"]["sync"] = "on" if syncing else "off"
    source.write_text("two")
    async with sidecar.open(settings) as platform:
        with pytest.raises(RefusedError, match="not overwritten"):
            await platform.storage.upload(source, KEY, f"{SESSION}/another", "scene")
        if syncing:
            with pytest.raises(RefusedError, match="only the role backend"):
                await platform.storage.upload(source, "algebra/foreign/nobodys.py", SCENE, "scene")
        else:
            await platform.storage.upload(source, "algebra/foreign/nobodys.py", SCENE, "scene")
        await platform.storage.upload(source, KEY, SCENE, "scene")


def seaweed_text(seaweed: SeaweedServer, settings: Settings, key: str) -> str:
    """Read an object by another client."""
    answer = seaweed.client().get_object(Bucket=settings["s3"]["bucket"], Key=key)
    return str(answer["Body"].read().decode())


async def test_what_is_no_key_is_said_at_the_call(settings: Settings, tmp_path: Path) -> None:
    """An address that is signed for no key would list the bucket."""
    async with sidecar.open(settings) as platform:
        storage = platform.storage
        given: list[tuple[Any, type[Exception]]] = [("", ValueError), (7, TypeError)]
        for key, error in given:
            calls: list[Callable[[Any], Awaitable[Any]]] = [
                storage.presign,
                storage.delete,
                lambda key: storage.download(key, tmp_path / "x"),
                lambda key: storage.cleanup([key], "intro"),
                platform.assets.get_asset_url,
                platform.convex.cleanup_orphaned_assets,
                lambda key: platform.security.validate_asset_access(key, None),
            ]
            for call in calls:
                with pytest.raises(error):
                    await call(key)
    with pytest.raises(TypeError, match="settings"):
        sidecar.open(7)  # type: ignore[arg-type]
