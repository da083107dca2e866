"""What a player reads: scenes, sessions, assets."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.local.convex_server import ConvexServer
from tests.support.convex import Caller, Sidecar, facts, put, remove

from .conftest import Connect


def scene_of(player: Caller, sidecar: Sidecar, scene_id: str = "intro") -> dict[str, Any]:
    """Return a scene that must be there."""
    found = player.query("scenes:get", sessionId=sidecar.session_id, sceneId=scene_id)
    assert found is not None
    scene: dict[str, Any] = found
    return scene


def test_a_scene_shows_one_asset_of_each_type(sidecar: Sidecar, player: Caller) -> None:
    """Each field is an S3Asset, its name and its identity, nothing else."""
    types = ["video_chunk", "source_code", "thumbnail", "subtitle"]
    ops = [put(f"file.{kind}", kind, assetType=kind) for kind in types]
    sidecar.apply(*ops)
    scene = scene_of(player, sidecar)
    fields = ["videoAsset", "sourceCodeAsset", "thumbnailAsset", "subtitleAsset"]
    shown = [dict(scene[field]) for field in fields]
    ids = [asset.pop("assetId") for asset in shown]
    assert shown == [{**op["asset"], "name": op["name"]} for op in ops]
    assert ids == [result["assetId"] for result in sidecar.apply(*ops)]
    assert (scene["sessionId"], scene["projectId"]) == (sidecar.session_id, "p")
    assert "ownerId" not in scene


@pytest.mark.parametrize(
    ("assets", "chosen"),
    [
        ([("b", None, None), ("a", None, None)], "a"),
        ([("a", 2, None), ("b", 1, None)], "b"),
        ([("a", None, None), ("b", 7, None)], "b"),
        ([("a", 0, None), ("b", None, "main")], "b"),
        ([("a", 2, None), ("b", 10, None)], "a"),
        ([("a", 0, "intro"), ("b", 1, "main")], "b"),
        ([("init.mp4", None, None), ("seg_00001.m4s", 1, None), ("whole.mp4", None, None)], "whole.mp4"),
    ],
    ids=[
        *("first name", "lowest index", "an index before none", "role main", "numbers", "other roles"),
        "segments",
    ],
)
def test_the_playable_entry_is_chosen(
    sidecar: Sidecar, player: Caller, assets: list[tuple[str, int | None, str | None]], chosen: str
) -> None:
    """Role main, else the lowest index, else the first name; in whatever order they come."""
    for name, index, role in assets:
        sidecar.apply(put(name, content=name, index=index, role=role))
    assert scene_of(player, sidecar)["videoAsset"]["checksum"] == f"crc64nvme:{chosen}"


def test_replacements_are_counted_and_kept(sidecar: Sidecar, player: Caller) -> None:
    """assetVersion is 1 + replacements; the last ten that were replaced stay, oldest first."""
    sidecar.apply(put("other.mp4", "other"))
    for number in range(13):
        sidecar.apply(put(content=f"v{number}"))
    scene = scene_of(player, sidecar)
    assert scene["assetVersion"] == 13
    previous = scene["previousAssetVersions"]
    assert [asset["checksum"] for asset in previous] == [f"crc64nvme:v{number}" for number in range(2, 12)]
    assert [asset["version"] for asset in previous] == list(range(3, 13))
    assert {(asset["assetType"], asset["name"]) for asset in previous} == {("video_chunk", "a.mp4")}


def test_a_scene_id_is_unique_within_its_session_only(connect: Connect, player: Caller) -> None:
    """Two sessions may each have an intro."""
    one, other = connect(), connect(session_id="p/another-lesson")
    one.apply(put(content="A"))
    other.apply(put(content="B"))
    assert scene_of(player, one)["videoAsset"]["checksum"] == "crc64nvme:A"
    assert scene_of(player, other)["videoAsset"]["checksum"] == "crc64nvme:B"


def test_a_scene_is_uploading_until_all_is_there(sidecar: Sidecar, player: Caller) -> None:
    """Assets begin it, facts end it, and a re-render begins it again with the old video still shown."""
    sidecar.apply(put(content="A"))
    assert scene_of(player, sidecar)["assetsStatus"] == "uploading"
    sidecar.apply(facts(complete=False, owed=0))
    assert scene_of(player, sidecar)["assetsStatus"] == "uploading"
    sidecar.apply(facts(complete=True, owed=1))
    assert scene_of(player, sidecar)["assetsStatus"] == "uploading"
    sidecar.apply(facts(complete=True, owed=0, reason="marker"))
    assert scene_of(player, sidecar)["assetsStatus"] == "ready"
    sidecar.apply(facts(complete=False, owed=1))
    scene = scene_of(player, sidecar)
    assert (scene["assetsStatus"], scene["videoAsset"]["checksum"]) == ("uploading", "crc64nvme:A")


@pytest.mark.parametrize("name", ["seg_00001.m4s", "init.mp4", "720p30/INIT-stream0.mp4"])
def test_segments_alone_make_no_scene_ready(sidecar: Sidecar, player: Caller, name: str) -> None:
    """Whatever the sidecar says of them, an older one too; a film beside them does."""
    sidecar.apply(put(name), put("code.py", assetType="source_code"), facts(complete=True, owed=0))
    assert scene_of(player, sidecar)["assetsStatus"] == "uploading"
    sidecar.apply(put("initial.mp4"), facts(complete=True, owed=0, reason="marker"))
    assert scene_of(player, sidecar)["assetsStatus"] == "ready"


@pytest.mark.parametrize("kind", ["source_code", "thumbnail", "subtitle"])
def test_a_scene_without_a_video_is_never_ready(sidecar: Sidecar, player: Caller, kind: str) -> None:
    """Complete, it waits for one: nothing is on its way. What comes later is looked at, told of or not."""
    sidecar.apply(put("a", assetType=kind))
    assert scene_of(player, sidecar)["assetsStatus"] == "uploading"
    sidecar.apply(facts())
    assert scene_of(player, sidecar)["assetsStatus"] == "pending"
    sidecar.apply(put("a", "B", assetType=kind))
    assert scene_of(player, sidecar)["assetsStatus"] == "pending"
    session = player.query("sessions:get", sessionId=sidecar.session_id)
    assert (session["sceneCount"], session["readyCount"], session["assetsStatus"]) == (1, 0, "uploading")
    sidecar.apply(put())
    assert scene_of(player, sidecar)["assetsStatus"] == "ready"
    assert player.query("sessions:get", sessionId=sidecar.session_id)["assetsStatus"] == "ready"


def test_facts_alone_make_a_scene(sidecar: Sidecar, player: Caller) -> None:
    """A dashboard sees a scene before its first file has arrived."""
    sidecar.apply(facts(complete=False, owed=3))
    assert scene_of(player, sidecar)["assetsStatus"] == "uploading"


def test_an_error_carries_its_sentence_and_goes_with_its_cause(sidecar: Sidecar, player: Caller) -> None:
    """What a person reads is what the sidecar wrote."""
    sidecar.apply(put(), facts(error="A video of this scene could not be delivered."))
    scene = scene_of(player, sidecar)
    assert scene["assetsStatus"] == "error"
    assert scene["assetsErrorMessage"] == "A video of this scene could not be delivered."
    sidecar.apply(facts())
    scene = scene_of(player, sidecar)
    assert scene["assetsStatus"] == "ready"
    assert "assetsErrorMessage" not in scene


def test_a_scene_of_two_sidecars_is_ready_when_both_are_done(connect: Connect, player: Caller) -> None:
    """Each reports for itself."""
    one, other = connect(), connect()
    one.apply(facts(complete=False, owed=2))
    other.apply(put(), facts())
    assert scene_of(player, one)["assetsStatus"] == "uploading"
    one.apply(facts())
    assert scene_of(player, one)["assetsStatus"] == "ready"


def test_a_new_journal_replaces_what_its_sidecar_said(sidecar: Sidecar, player: Caller) -> None:
    """Facts are per sidecar, not per journal."""
    sidecar.apply(put(), facts(complete=False, owed=2))
    sidecar.epoch = sidecar.register("journal-2")["epoch"]
    sidecar.apply(facts())
    assert scene_of(player, sidecar)["assetsStatus"] == "ready"


def test_a_session_shows_its_own_assets(sidecar: Sidecar, player: Caller) -> None:
    """Combined video, combined subtitles, manifest; a poster is a row without a field."""
    kinds = {"combined_video": "combinedVideoAsset", "subtitle": "combinedSubtitleAsset"}
    kinds["manifest"] = "manifestAsset"
    for kind in [*kinds, "thumbnail"]:
        op = put(f"f.{kind}", kind, assetType=kind, entityType="session", entityId=sidecar.session_id)
        assert sidecar.outcomes(op) == ["applied"]
    session = player.query("sessions:get", sessionId=sidecar.session_id)
    assert {session[field]["checksum"] for field in kinds.values()} == {f"crc64nvme:{kind}" for kind in kinds}


def test_totals_follow_every_change(sidecar: Sidecar, player: Caller) -> None:
    """Bytes and counts are of what is current, replacements and removals included."""
    manifest = put("m.json", size=7, assetType="manifest", entityType="session", entityId=sidecar.session_id)
    sidecar.apply(put("a", size=100), put("b", size=50), put("c", size=25, entityId="outro"), manifest)
    sidecar.apply(put("a", "B", size=10), facts(), facts("outro", complete=False))
    session = player.query("sessions:get", sessionId=sidecar.session_id)
    assert (session["totalAssetSize"], session["assetCount"]) == (10 + 50 + 25 + 7, 4)
    assert (session["sceneCount"], session["readyCount"]) == (2, 1)
    assert session["assetsStatus"] == "uploading"
    sidecar.apply(facts("outro"))
    session = player.query("sessions:get", sessionId=sidecar.session_id)
    assert (session["readyCount"], session["assetsStatus"]) == (2, "ready")


def test_scenes_of_a_session_come_in_order(sidecar: Sidecar, player: Caller) -> None:
    """By their id."""
    for scene_id in ["c", "a", "b"]:
        sidecar.apply(put(entityId=scene_id))
    scenes = player.query("scenes:bySession", sessionId=sidecar.session_id)
    assert [scene["sceneId"] for scene in scenes] == ["a", "b", "c"]


def test_assets_are_paged_by_index_then_name(sidecar: Sidecar, player: Caller) -> None:
    """Those without an index come last; nothing is missed or doubled between pages."""
    order = [("z.mp4", 1), ("a.mp4", 2), ("b.mp4", 2), ("c.mp4", 10), ("a.srt", None), ("b.srt", None)]
    for name, index in reversed(order):
        sidecar.apply(put(name, index=index))
    names, cursor, done = [], None, False
    while not done:
        page = player.query(
            "assets:byEntity",
            sessionId=sidecar.session_id,
            entityType="scene",
            entityId="intro",
            paginationOpts={"numItems": 2, "cursor": cursor},
        )
        names += [asset["name"] for asset in page["page"]]
        cursor, done = page["continueCursor"], page["isDone"]
    assert names == [name for name, _ in order]


def test_an_asset_reference_is_whole(sidecar: Sidecar, player: Caller) -> None:
    """Every field of the contract, with what the sidecar sent."""
    op = put("chunk_007.mp4", index=7, metadata={"fps": "30"})
    sidecar.apply(op)
    opts = {"numItems": 10, "cursor": None}
    where = {"sessionId": sidecar.session_id, "entityType": "scene", "entityId": "intro"}
    [asset] = player.query("assets:byEntity", **where, paginationOpts=opts)["page"]
    assert asset | op["asset"] | where == asset
    assert (asset["name"], asset["index"], asset["version"]) == ("chunk_007.mp4", 7, 1)
    assert (asset["assetType"], asset["projectId"]) == ("video_chunk", "p")
    assert asset["metadata"] == {"fps": "30"}
    assert asset["id"]
    assert asset["createdAt"] > 0


def test_what_the_application_made_is_kept_and_filled(
    server: ConvexServer, connect: Connect, session_id: str, player: Caller
) -> None:
    """A session and a scene that exist before their first asset keep their owner and their project."""
    with Caller(server.url, f"Convex {server.admin_key}") as application:
        application.mutation("application:create", sessionId=session_id, projectId="p", ownerId="ada")
    pending = player.query("scenes:get", sessionId=session_id, sceneId="intro")
    assert (pending["assetsStatus"], pending["ownerId"]) == ("pending", "ada")
    stranger = connect(project_id="theirs")
    assert [result.get("code") for result in stranger.apply(put())] == ["SESSION_OF_OTHER_PROJECT"]
    sidecar = connect()
    sidecar.apply(put())
    scene = scene_of(player, sidecar)
    assert (scene["_id"], scene["ownerId"]) == (pending["_id"], "ada")
    assert scene["videoAsset"]["checksum"] == "crc64nvme:A"
    assert player.query("sessions:get", sessionId=session_id)["ownerId"] == "ada"


def test_a_scene_whose_assets_were_all_removed_is_pending(sidecar: Sidecar, player: Caller) -> None:
    """Whatever is said of it after; no session waits for it, and its first new asset begins it again."""
    sidecar.apply(put(), facts(), put(entityId="outro"), facts("outro"))
    sidecar.apply(remove())
    for more in ([], [facts()], [facts(complete=False, owed=1)]):
        sidecar.apply(*more)
        assert scene_of(player, sidecar)["assetsStatus"] == "pending"
    session = player.query("sessions:get", sessionId=sidecar.session_id)
    assert (session["assetsStatus"], session["sceneCount"], session["readyCount"]) == ("ready", 1, 1)
    assert (session["assetCount"], session["totalAssetSize"]) == (1, 1000)
    sidecar.apply(put(content="B"))
    assert scene_of(player, sidecar)["assetsStatus"] == "uploading"
    sidecar.apply(facts(complete=True, owed=0))
    assert scene_of(player, sidecar)["assetsStatus"] == "ready"
    assert player.query("sessions:get", sessionId=sidecar.session_id)["sceneCount"] == 2


def test_a_scene_whose_video_was_removed_is_ready_no_more(sidecar: Sidecar, player: Caller) -> None:
    """It waits for another as one that never had a video; an error stays one."""
    sidecar.apply(put(), put("a.py", assetType="source_code"), facts())
    sidecar.apply(remove())
    scene = scene_of(player, sidecar)
    assert (scene["assetsStatus"], "videoAsset" in scene) == ("pending", False)
    sidecar.apply(facts(error="It could not be delivered."), remove("a.py", assetType="source_code"))
    assert scene_of(player, sidecar)["assetsStatus"] == "error"


def test_a_session_whose_assets_were_all_removed_is_pending(sidecar: Sidecar, player: Caller) -> None:
    """Its own, too: nothing is shown, nothing is counted."""
    manifest = {"entityType": "session", "entityId": sidecar.session_id, "assetType": "manifest"}
    sidecar.apply(put(), facts(), put("manifest.json", **manifest))
    sidecar.apply(remove(), remove("manifest.json", **manifest))
    session = player.query("sessions:get", sessionId=sidecar.session_id)
    assert "manifestAsset" not in session
    assert (session["assetsStatus"], session["assetCount"], session["sceneCount"]) == ("pending", 0, 0)
