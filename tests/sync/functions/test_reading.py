"""What players and editors ask: chunks in order, scenes and sessions page by page, the history of a scene."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.local.convex_server import ConvexServer
from tests.support.convex import Caller, Refused, Sidecar, facts, put

from .conftest import Connect


def chunks_of(player: Caller, sidecar: Sidecar, **over: Any) -> dict[str, Any]:
    """Ask as a player does."""
    found = player.query("assets:chunks", sessionId=sidecar.session_id, sceneId="intro", **over)
    answer: dict[str, Any] = {**found, "names": [chunk["name"] for chunk in found["chunks"]]}
    return answer


def pages(player: Caller, path: str, size: int, **args: Any) -> list[dict[str, Any]]:
    """Return every item of a paginated query."""
    items: list[dict[str, Any]] = []
    cursor, done = None, False
    while not done:
        page = player.query(path, **args, paginationOpts={"numItems": size, "cursor": cursor})
        assert len(page["page"]) <= size
        items += page["page"]
        cursor, done = page["continueCursor"], page["isDone"]
    return items


def test_chunks_that_arrive_out_of_order_are_played_in_order(sidecar: Sidecar, player: Caller) -> None:
    """At every moment what may be played begins with 0 and has no gap."""
    arrived: set[int] = set()
    for index in (11, 3, 1, 0, 2, 5, 4, 10, 9, 8, 7, 6):
        sidecar.apply(put(f"chunk_{index:03}.mp4", index=index))
        arrived.add(index)
        told = chunks_of(player, sidecar)
        assert told["names"] == [f"chunk_{one:03}.mp4" for one in sorted(arrived)]
        assert told["contiguous"] == next(n for n in range(13) if n not in arrived)
        assert (told["isComplete"], told["expected"]) == (False, None)
    sidecar.apply(facts())
    told = chunks_of(player, sidecar)
    assert (told["isComplete"], told["expected"], told["contiguous"]) == (True, 12, 12)


def test_a_numbering_from_one_is_known_once_all_is_there_or_somebody_says_so(
    sidecar: Sidecar, player: Caller
) -> None:
    """Before that a 0 may still come, and would be played second."""
    sidecar.apply(*[put(f"{index}.mp4", index=index) for index in (1, 2, 4)])
    assert chunks_of(player, sidecar)["contiguous"] == 0
    assert chunks_of(player, sidecar, first=1)["contiguous"] == 2
    sidecar.apply(put("3.mp4", index=3), facts())
    assert chunks_of(player, sidecar)["contiguous"] == 4


def test_equal_indexes_come_by_name_and_the_unnumbered_last(sidecar: Sidecar, player: Caller) -> None:
    """Two takes of one chunk leave no gap; what has no index is in order once all is there."""
    for name, index in (("z.mp4", None), ("b.mp4", 0), ("c.mp4", 1), ("a.mp4", 1)):
        sidecar.apply(put(name, index=index))
    told = chunks_of(player, sidecar)
    assert (told["names"], told["contiguous"]) == (["b.mp4", "a.mp4", "c.mp4", "z.mp4"], 3)
    sidecar.apply(facts())
    assert chunks_of(player, sidecar)["contiguous"] == 4


def test_a_gap_stays_a_gap_when_all_is_there(sidecar: Sidecar, player: Caller) -> None:
    """Nobody plays past what is missing."""
    sidecar.apply(put("0.mp4", index=0), put("2.mp4", index=2), facts())
    told = chunks_of(player, sidecar)
    assert (told["contiguous"], told["isComplete"]) == (1, True)


def test_only_what_a_player_plays_is_a_chunk(sidecar: Sidecar, player: Caller) -> None:
    """Not a subtitle, not a segment that a playlist names."""
    sidecar.apply(put("0.mp4", index=0), put("0.vtt", index=0, assetType="subtitle"), put("s0.m4s", index=0))
    assert chunks_of(player, sidecar)["names"] == ["0.mp4"]


def test_the_main_chunk_is_played_in_its_turn(sidecar: Sidecar, player: Caller) -> None:
    """A role says what a document shows, not what is played first."""
    sidecar.apply(put("b.mp4", index=1, role="main"), put("a.mp4", index=0), put("c.mp4", index=1))
    sidecar.apply(put("z.mp4", role="main"), put("d.mp4", index=2), put("y.mp4"))
    assert chunks_of(player, sidecar)["names"] == ["a.mp4", "b.mp4", "c.mp4", "d.mp4", "y.mp4", "z.mp4"]


def test_thousands_of_segments_are_not_in_the_way_of_chunks(
    server: ConvexServer, sidecar: Sidecar, player: Caller
) -> None:
    """Only what is played is read, and counts for the most that an answer holds."""
    sidecar.apply(put("1.mp4", index=1), put("0.mp4", index=0), put("s.m4s", index=0))
    with Caller(server.url, f"Convex {server.admin_key}") as application:
        application.inside("testing:multiply", sessionId=sidecar.session_id, name="s.m4s", count=2000)
    assert chunks_of(player, sidecar)["names"] == ["0.mp4", "1.mp4"]


def test_a_marker_says_how_many_are_expected(sidecar: Sidecar, player: Caller) -> None:
    """A scene with fewer is not complete, whatever else is said; nonsense is rejected."""
    sidecar.apply(put("0.mp4", index=0), facts(complete=False, owed=1, expected=2))
    told = chunks_of(player, sidecar)
    assert (told["expected"], told["isComplete"]) == (2, False)
    sidecar.apply(facts())
    assert chunks_of(player, sidecar)["isComplete"] is False
    sidecar.apply(put("1.mp4", index=1))
    assert chunks_of(player, sidecar)["isComplete"] is True
    assert sidecar.outcomes(facts(expected=-1)) == ["rejected"]


def test_a_marker_that_holds_no_more_expects_nothing(connect: Connect, player: Caller) -> None:
    """A re-render takes back what its sidecar said, and nothing that another one says."""
    one, other = connect(), connect()
    one.apply(put("0.mp4", index=0), facts(complete=False, owed=1, expected=2))
    other.apply(facts(complete=False, owed=1, expected=None))
    assert chunks_of(player, one)["expected"] == 2
    one.apply(facts(complete=False, owed=1, expected=None))
    assert chunks_of(player, one)["expected"] is None


def test_a_film_says_what_its_structure_tells(sidecar: Sidecar, player: Caller) -> None:
    """Its duration, size, frame rate and codec; one of which nothing is known says nothing."""
    media = {"duration": 2000, "width": 1920, "height": 1080, "frameRate": 23.976, "codec": "h264"}
    sidecar.apply(put("0.mp4", index=0, media=media), put("1.mp4", index=1))
    where = {"sessionId": sidecar.session_id, "entityType": "scene", "entityId": "intro"}
    page = player.query("assets:byEntity", **where, paginationOpts={"numItems": 9, "cursor": None})["page"]
    for known, unknown in (chunks_of(player, sidecar)["chunks"], page):
        assert known.items() >= media.items()
        assert not unknown.keys() & media.keys()
    scene = player.query("scenes:get", sessionId=sidecar.session_id, sceneId="intro")
    assert scene["videoAsset"].items() >= media.items()


def test_a_scene_that_is_not_there_has_no_chunks(sidecar: Sidecar, player: Caller) -> None:
    """An answer, not an error: it may come."""
    told = chunks_of(player, sidecar)
    assert (told["names"], told["contiguous"], told["expected"], told["isComplete"]) == ([], 0, None, False)


def test_scenes_come_in_natural_order_page_by_page(sidecar: Sidecar, player: Caller) -> None:
    """scene-2 before scene-10, none missed or doubled, more than a thousand, and without their history."""
    names = [f"scene-{number}" for number in range(1, 1202)]
    for first in range(0, len(names), 100):
        sidecar.apply(*[put(entityId=name) for name in reversed(names[first : first + 100])])
    sidecar.apply(put(content="B", entityId="scene-2"))
    scenes = pages(player, "scenes:bySession", 400, sessionId=sidecar.session_id)
    assert [scene["sceneId"] for scene in scenes] == names
    assert not any("previousAssetVersions" in scene for scene in scenes)
    with pytest.raises(Refused) as refused:  # a list is never cut silently
        player.query("scenes:bySession", sessionId=sidecar.session_id)
    assert refused.value.code == "TOO_MANY"


@pytest.mark.parametrize(
    "names",
    [
        ["2", "10"],
        ["a2b2", "a2b10", "a10b1"],
        ["intro", "scene", "scene-0", "scene-00", "scene-1", "scene-9", "scene-010", "scene-100"],
    ],
)
def test_natural_order_reads_numbers_as_numbers(sidecar: Sidecar, player: Caller, names: list[str]) -> None:
    """Wherever they are in the name."""
    sidecar.apply(*[put(entityId=name) for name in reversed(names)])
    scenes = pages(player, "scenes:bySession", 2, sessionId=sidecar.session_id)
    assert [scene["sceneId"] for scene in scenes] == names


def test_a_scenes_history_is_whole(sidecar: Sidecar, player: Caller) -> None:
    """Every version of every slot, also more than a scene's document remembers; it says what has expired."""
    for number in range(13):
        sidecar.apply(put(content=f"v{number}"))
    sidecar.apply(put("a.srt", assetType="subtitle"), put("other.mp4", entityId="outro"))
    slot: dict[str, Any] = {"sessionId": sidecar.session_id, "entityType": "scene", "entityId": "intro"}
    slot |= {"assetType": "video_chunk", "name": "a.mp4", "version": 1}
    args = {"sidecarId": sidecar.sidecar_id, "epoch": sidecar.epoch, "versions": [slot]}
    assert sidecar.caller.mutation("sidecar:expire", **args) == [True]
    where = {"sessionId": sidecar.session_id, "sceneId": "intro"}
    history = pages(player, "scenes:sceneHistory", 5, **where)
    told = [(one["name"], one["version"], one["expired"]) for one in history]
    films = [("a.mp4", version, version == 1) for version in range(13, 0, -1)]
    assert told == [*films, ("a.srt", 1, False)]


def test_sessions_of_a_project_come_page_by_page(connect: Connect, player: Caller) -> None:
    """Those that the caller may see, and of no other project."""
    for number in range(5):
        connect(session_id=f"paged/{number}", project_id="paged").apply(put())
    connect(session_id="other/1", project_id="other").apply(put())
    sessions = pages(player, "sessions:sessionsByProject", 2, projectId="paged")
    assert [session["sessionId"] for session in sessions] == [f"paged/{number}" for number in range(5)]
    connect(session_id="secret/1", project_id="secret").apply(put())
    assert pages(player, "sessions:sessionsByProject", 2, projectId="secret") == []


def test_what_an_application_made_twice_is_still_read_and_written(
    server: ConvexServer, connect: Connect, player: Caller
) -> None:
    """There is one; who names its owner last has it; nothing throws."""
    sidecar = connect(session_id="p/twice")
    with Caller(server.url, f"Convex {server.admin_key}") as application:
        for owner in ("ada", "bob"):
            application.mutation("application:create", sessionId="p/twice", projectId="p", ownerId=owner)
    assert sidecar.outcomes(put()) == ["applied"]
    scene = player.query("scenes:get", sessionId="p/twice", sceneId="intro")
    assert (scene["ownerId"], scene["videoAsset"]["checksum"]) == ("bob", "crc64nvme:A")
    with Caller(server.url, f"Convex {server.admin_key}") as application:
        application.mutation("application:destroy", sessionId="p/twice", sceneId="intro")
    assert player.query("scenes:get", sessionId="p/twice", sceneId="intro") is None


@pytest.mark.parametrize("path", ["assets:chunks", "scenes:sceneHistory", "scenes:bySession"])
def test_what_may_not_be_read_looks_absent_to_every_query(
    connect: Connect, player: Caller, path: str
) -> None:
    """canReadSession decides."""
    secret = connect(project_id="secret")
    secret.apply(put())
    args: dict[str, Any] = {"sessionId": secret.session_id}
    if path != "scenes:bySession":
        args["sceneId"] = "intro"
    if path != "assets:chunks":
        args["paginationOpts"] = {"numItems": 5, "cursor": None}
    answer = player.query(path, **args)
    assert answer.get("page", answer.get("chunks")) == []
