"""A program that stores a file has the daemon's promises: equal bytes, a version a content, nothing torn."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

import sidecar
from sidecar import AssetType, Scene, SourceError, VideoSession
from sidecar.core.model import EntityType
from sidecar.local.convex_server import ConvexServer
from sidecar.local.seaweed import SeaweedServer
from tests.support.convex import Caller
from tests.support.system import checksum, eventually

SESSION = "algebra/lesson-7"
Settings = dict[str, Any]


def written(path: Path, text: str) -> Path:
    """Write a small complete file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def journals(settings: Settings) -> list[str]:
    """Return what lies in the folder of programs' journals."""
    return sorted(path.name for path in Path(f"{settings['journal']['path']}.lib").glob("*"))


def is_ready(settings: Settings) -> bool:
    """Tell whether a program's journal has something that waits for its upload."""
    for path in Path(f"{settings['journal']['path']}.lib").glob("*.db"):
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db, suppress(sqlite3.Error):
            return bool(db.execute("SELECT 1 FROM transfers WHERE state = 'ready'").fetchone())
    return False


def bytes_of(seaweed: SeaweedServer, settings: Settings, key: str) -> bytes:
    """Read an object by another client."""
    answer = seaweed.client().get_object(Bucket=settings["s3"]["bucket"], Key=key)
    return bytes(answer["Body"].read())


async def test_what_is_stored_is_in_s3_and_in_convex_and_leaves_nothing_behind(
    settings: Settings, tmp_path: Path, seaweed: SeaweedServer, convex: ConvexServer
) -> None:
    """The reference is what Convex has; another content is the next version, the same one is none."""
    source = written(tmp_path / "scene.py", "one")
    async with sidecar.open(settings) as platform:
        store = platform.assets.store_scene_asset
        first = await store("intro", AssetType.SOURCE_CODE, source, session_id=SESSION, metadata={"by": "me"})
        assert (await store("intro", AssetType.SOURCE_CODE, source, session_id=SESSION)).version == 1
        elsewhere = written(tmp_path / "other" / "scene.py", "two")
        second = await store("intro", AssetType.SOURCE_CODE, elsewhere, session_id=SESSION)
        manifest = written(tmp_path / "manifest.json", "{}")
        of_session = await platform.assets.store_session_asset(SESSION, AssetType.MANIFEST, manifest)
    (row,) = [row for row in convex.table("renderSidecar/assets") if row["entityType"] == "scene"]
    assert (first.version, second.version, row["version"]) == (1, 2, 2)
    assert first.id == second.id == row["assetId"]
    assert (second.s3_key, second.checksum, second.size) == (row["s3Key"], checksum(b"two"), 3)
    assert bytes_of(seaweed, settings, second.s3_key) == b"two"
    assert (first.project_id, first.entity_type, first.metadata) == (
        "algebra",
        EntityType.SCENE,
        {"by": "me"},
    )
    assert (of_session.entity_id, of_session.version) == (SESSION, 1)
    with Caller(convex.url) as player:
        scene = Scene.from_convex(player.query("scenes:get", sessionId=SESSION, sceneId="intro"))
        session = VideoSession.from_convex(player.query("sessions:get", sessionId=SESSION))
    assert scene.source_code_asset is not None
    assert (scene.source_code_asset.s3_key, scene.asset_version) == (second.s3_key, 2)
    assert session.manifest_asset is not None
    assert (session.manifest_asset.s3_key, session.asset_count) == (of_session.s3_key, 2)
    assert source.read_text() == "one"
    assert journals(settings) == []


async def test_what_is_handed_over_may_go_at_once(
    settings: Settings, tmp_path: Path, seaweed: SeaweedServer, convex: ConvexServer
) -> None:
    """With wait=False the bytes are copied before the call returns: neither removal nor rewriting matters."""
    removed, rewritten = written(tmp_path / "a.py", "kept"), written(tmp_path / "b.py", "before")
    async with sidecar.open(settings) as platform:
        store = platform.assets.store_scene_asset
        gone = await store("intro", AssetType.SOURCE_CODE, removed, session_id=SESSION, wait=False)
        removed.unlink()
        changed = await store("intro", AssetType.SOURCE_CODE, rewritten, session_id=SESSION, wait=False)
        rewritten.write_text("after!")
    assert (gone.version, changed.version) == (None, None)
    rows = {row["name"]: row for row in convex.table("renderSidecar/assets")}
    assert {name: bytes_of(seaweed, settings, row["s3Key"]) for name, row in rows.items()} == {
        "a.py": b"kept",
        "b.py": b"before",
    }
    assert {gone.id, changed.id} == {row["assetId"] for row in rows.values()}
    assert journals(settings) == []


async def test_many_at_once_arrive_once_each(
    settings: Settings, tmp_path: Path, convex: ConvexServer
) -> None:
    """They share one journal, one budget of memory and their calls of Convex."""
    sources = [written(tmp_path / f"{n}.py", f"print({n})") for n in range(60)]
    async with sidecar.open(settings) as platform:
        found = await asyncio.gather(
            *(
                platform.assets.store_scene_asset(f"s{n % 3}", AssetType.SOURCE_CODE, one, session_id=SESSION)
                for n, one in enumerate(sources)
            )
        )
    assert {one.version for one in found} == {1}
    assert {one.id for one in found} == {row["assetId"] for row in convex.table("renderSidecar/assets")}
    assert len(convex.table("renderSidecar/assetVersions")) == len(sources)


async def test_a_file_that_is_not_complete_is_refused_by_a_sentence(
    settings: Settings, tmp_path: Path, convex: ConvexServer
) -> None:
    """Torn, open for writing, missing, no file at all: nothing of it is stored."""
    torn = tmp_path / "torn.png"
    torn.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    busy = written(tmp_path / "busy.py", "print(")
    async with sidecar.open(settings) as platform:
        store = platform.assets.store_scene_asset
        with pytest.raises(SourceError, match=r"torn\.png is not stored: "):
            await store("intro", AssetType.THUMBNAIL, torn, session_id=SESSION)
        with busy.open("a"), pytest.raises(SourceError, match="open for writing"):
            await store("intro", AssetType.SOURCE_CODE, busy, session_id=SESSION, wait=False)
        with pytest.raises(SourceError, match="no regular file"):
            await store("intro", AssetType.SOURCE_CODE, tmp_path / "none.py", session_id=SESSION)
        with pytest.raises(SourceError, match="not stored"):
            await store("intro", AssetType.SOURCE_CODE, tmp_path, session_id=SESSION, name="a.py")
        with pytest.raises(ValueError, match="session_id is required"):
            await store("intro", AssetType.SOURCE_CODE, busy)
    assert convex.table("renderSidecar/assets") == []
    assert journals(settings) == []


async def test_a_file_that_changes_before_it_is_sent_is_told(
    settings: Settings, tmp_path: Path, convex: ConvexServer
) -> None:
    """The caller waits, and hears that these bytes never left."""
    source = written(tmp_path / "scene.py", "one")
    away = settings | {"s3": {**settings["s3"], "endpoint_url": "http://127.0.0.1:9"}}
    away |= {"shutdown": {"grace": "1s"}, "retry": {**settings["retry"], "breaker_failures": 1000}}
    async with sidecar.open(away) as platform:
        storing = asyncio.create_task(
            platform.assets.store_scene_asset("intro", AssetType.SOURCE_CODE, source, session_id=SESSION)
        )
        await asyncio.to_thread(eventually, "it is ready", lambda: is_ready(settings), seconds=30)
        os.utime(source, (1, 1))
        source.write_text("another content")
        with pytest.raises(SourceError, match="it changed before it was sent"):
            await asyncio.wait_for(storing, 20)
    assert convex.table("renderSidecar/assets") == []
