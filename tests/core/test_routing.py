"""What a path means to the rules."""

from __future__ import annotations

import dataclasses
import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core import media, presets
from sidecar.core.model import AssetType, EntityType, Route, Slot
from sidecar.core.pattern_program import Capture, Program
from sidecar.core.routing import (
    Ids,
    Ignored,
    Marker,
    Misplaced,
    Refused,
    Root,
    Router,
    Routing,
    RoutingRule,
    Unmatched,
    Withheld,
    object_key,
)
from sidecar.journal.db.rows import route_from, route_json

ROOT = "/renders"
IGNORE = ("**/.*", "**/*.tmp", "**/*.part", "**/*~")
TRANSFER = "01J0000000000000000TAGTAG0"


def router(*rules: RoutingRule, fields: dict[str, str] | None = None, ids: Ids | None = None) -> Router:
    """Return a router of these rules before preset lesson."""
    root = Root(path=ROOT, fields=fields or {}, ignore=IGNORE)
    return Router(roots=[root], rules=[*rules, *presets.LESSON], ids=ids or Ids())


def manim() -> Router:
    """Return a router for Manim's media folder."""
    pins = {"project": "algebra", "session": "lesson-1"}
    root = Root(path=ROOT, fields=pins, ignore=(*IGNORE, *presets.IGNORED_FINAL["manim"]))
    return Router(roots=[root], rules=presets.MANIM, ids=Ids())


def routed(routing: Routing) -> Route:
    """Return a route, or fail with what it is instead."""
    assert isinstance(routing, Route), routing
    return routing


def reason(routing: Routing) -> str:
    """Return why a file is not sent."""
    assert isinstance(routing, Unmatched | Misplaced | Refused | Withheld), routing
    return routing.reason or ""


def test_a_chunk_is_routed_with_everything_that_the_journal_needs() -> None:
    """Preset lesson, in full."""
    assert router().route(ROOT, "algebra/l1/intro/video/chunk_007.mp4") == Route(
        slot=Slot(
            session_id="algebra/l1", entity_type=EntityType.SCENE, entity_id="intro",
            asset_type=AssetType.VIDEO_CHUNK, name="chunk_007.mp4",
        ),
        project_id="algebra",
        key="algebra/l1/intro/video_chunk/chunk_007.{transfer}.mp4",
        index=7,
        role=None,
        content_type="video/mp4",
        cache_control="max-age=31536000, immutable",
        priority=3,
        settle_seconds=None,
        check_structure=True,
        entity_folder="algebra/l1/intro",
        metadata={},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("path", "asset_type", "entity_id", "content_type"),
    [
        ("p/s/c/video/x.webm", "video_chunk", "c", "video/webm"),
        ("p/s/c/video/x.ts", "video_chunk", "c", "video/mp2t"),
        ("p/s/c/source/scene.py", "source_code", "c", "text/x-python"),
        ("p/s/c/thumbnails/t.png", "thumbnail", "c", "image/png"),
        ("p/s/c/thumbnails/t.jpeg", "thumbnail", "c", "image/jpeg"),
        ("p/s/c/subtitles/en.vtt", "subtitle", "c", "text/vtt"),
        ("p/s/c/subtitles/en.srt", "subtitle", "c", "application/x-subrip"),
        ("p/s/combined/all.mp4", "combined_video", "p/s", "video/mp4"),
        ("p/s/combined/all.vtt", "subtitle", "p/s", "text/vtt"),
        ("p/s/manifest.json", "manifest", "p/s", "application/json"),
    ],
)
def test_preset_lesson_knows_its_folders(
    path: str, asset_type: str, entity_id: str, content_type: str
) -> None:
    """Each line of the preset."""
    route = routed(router().route(ROOT, path))
    assert (route.slot.asset_type, route.slot.entity_id, route.content_type) == (
        asset_type,
        entity_id,
        content_type,
    )
    assert route.scene_id == (entity_id if entity_id == "c" else None)


def test_the_same_scene_name_in_two_sessions_is_two_scenes() -> None:
    """A scene's id is unique within its session only."""
    one, other = (routed(router().route(ROOT, f"p/{s}/intro/video/a.mp4")) for s in ("s1", "s2"))
    assert one.slot.entity_id == other.slot.entity_id
    assert one.slot != other.slot
    assert one.key != other.key


@pytest.mark.parametrize(
    "name", ["a b.mp4", "🎬 film.mp4", 'it\'s "quoted".mp4', "a&b=c?d#e%20.mp4", "ünï.mp4"]
)
def test_odd_names_are_names(name: str) -> None:
    """Spaces, emoji, quotes and the like are shipped as they are."""
    route = routed(router().route(ROOT, f"p/s/c/video/{name}"))
    assert route.slot.name == name
    assert object_key(route, TRANSFER) == f"p/s/c/video_chunk/{name[:-4]}.{TRANSFER}.mp4"


def test_a_rule_says_how_its_objects_are_kept() -> None:
    """Tags with fields and within what S3 takes, storage class, and the name under which it is saved."""
    rule = RoutingRule(
        match="{project}/{session}/{scene}/video/*.mp4",
        asset_type=AssetType.VIDEO_CHUNK,
        entity=EntityType.SCENE,
        tags={"project": "{project}", "what": "{stem}!", "none": "{unset}"},
        storage_class="STANDARD_IA",
        content_disposition="attachment",
    )
    route = routed(router(rule).route(ROOT, "p/s/c/video/a.mp4"))
    assert route.tags == {"project": "p", "what": "a_"}
    assert (route.storage_class, route.content_disposition) == ("STANDARD_IA", 'attachment; filename="a.mp4"')
    assert route_from(route_json(route)) == route


def test_a_backslash_is_kept_out_of_the_key() -> None:
    """SeaweedFS lists it as a slash; the slot keeps the name, and the transfer id keeps the key unique."""
    route = routed(router().route(ROOT, "p/s/c/video/back\\slash.mp4"))
    assert route.slot.name == "back\\slash.mp4"
    assert object_key(route, TRANSFER) == f"p/s/c/video_chunk/back_slash.{TRANSFER}.mp4"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("notes.txt", "no rule matches"),
        ("p/s/c/video/a.avi", "no rule matches"),
        ("p/s/c/video/a\n.mp4", "control characters"),
        ("p/s/c/video/a\x7f.mp4", "control characters"),
        ("p/s/c/video/a\u2028.mp4", "control characters"),
        ("p/s/c/video/\udcff.mp4", "not UTF-8"),
        ("../s/c/video/a.mp4", "segment"),
        ("p/./c/video/a.mp4", "segment"),
        ("p//c/video/a.mp4", "segment"),
        ("/".join(["é" * 120] * 4) + "/x", "no rule matches"),
    ],
)
def test_what_cannot_be_sent_says_why(path: str, words: str) -> None:
    """One sentence for explain and status."""
    assert words in reason(router().route(ROOT, path))


def test_a_key_over_the_stores_limit_is_refused_visibly() -> None:
    """1,024 bytes are the most that S3 takes."""
    long = "é" * 125
    deep = RoutingRule(
        match="{a}/{b}/{c}/{d}/{e}/*.mp4",
        asset_type=AssetType.VIDEO_CHUNK,
        entity=EntityType.SESSION,
        key="{session_id}/{path}",
    )
    routing = router(deep, ids=Ids(session_id="{a}")).route(ROOT, "/".join([long] * 5) + "/x.mp4")
    assert "S3 takes 1024" in reason(routing)


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        (".hidden", "**/.*"), ("p/s/c/video/.x.mp4", "**/.*"), ("p/s/c/video/x.mp4.tmp", "**/*.tmp"),
        ("x.part", "**/*.part"), ("p/notes~", "**/*~"),
    ],
)  # fmt: skip
def test_ignored_files_are_neither_sent_nor_counted(path: str, pattern: str) -> None:
    """The pattern that says so is named."""
    assert router().route(ROOT, path) == Ignored(pattern=pattern)


def test_a_pinned_field_is_filled_in_and_may_not_be_contradicted() -> None:
    """A path that names another project is unmatched, and says which two."""
    pinned = router(fields={"project": "algebra"})
    assert routed(pinned.route(ROOT, "algebra/s/c/video/a.mp4")).project_id == "algebra"
    assert "'geometry', but this root is pinned to 'algebra'" in reason(
        pinned.route(ROOT, "geometry/s/c/video/a.mp4")
    )


def test_a_project_that_nothing_names_is_the_default_one() -> None:
    """In ids as well, so that they stay stable."""
    rule = RoutingRule(
        match="{session}/{scene}/*.mp4", asset_type=AssetType.VIDEO_CHUNK, entity=EntityType.SCENE
    )
    route = routed(router(rule).route(ROOT, "s/c/a.mp4"))
    assert (route.project_id, route.slot.session_id) == ("default", "default/s")


def test_the_first_rule_wins_and_its_options_count() -> None:
    """Everything that a rule may say."""
    rule = RoutingRule(
        match="{project}/{session}/{scene}/video/{take}_{index}.mp4", asset_type=AssetType.THUMBNAIL,
        entity=EntityType.SCENE, role="main", name="{take}/{name}",
        key="{session_id}/{take}/{name}", priority=9,
        content_type="video/x-own", cache_control="private", settle_seconds=3.0, check_structure=False,
        metadata={"take": "take {take}", "none": "{nobody}"},
    )  # fmt: skip
    route = routed(router(rule).route(ROOT, "p/s/c/video/b_012_x_05.mp4"))
    assert route.slot.name == "b_012_x/b_012_x_05.mp4"
    assert (route.index, route.role, route.priority) == (5, "main", 9)
    assert (route.content_type, route.cache_control) == ("video/x-own", "private")
    assert (route.settle_seconds, route.check_structure) == (3.0, False)
    assert route.metadata == {"take": "take b_012_x"}
    assert object_key(route, TRANSFER) == "p/s/b_012_x/b_012_x_05.mp4"


def test_metadata_that_convex_would_refuse_refuses_its_file_alone() -> None:
    """In one sentence, before it is sent: nothing dies of it, and it goes once the rule says less."""
    rule = RoutingRule(
        match="{project}/{session}/{scene}/{take}/*.mp4", asset_type=AssetType.VIDEO_CHUNK,
        entity=EntityType.SCENE, metadata={f"note{n}": "{take}" for n in range(80)},
    )  # fmt: skip
    long, short = (router(rule).route(ROOT, f"p/s/c/{'😀' * count}/a.mp4") for count in (120, 60))
    assert routed(short).metadata["note0"] == "😀" * 60
    assert isinstance(long, Refused)
    assert "metadata" in long.reason
    assert "Convex takes 16384" in long.reason


def test_a_key_without_a_transfer_must_be_revalidated() -> None:
    """It is overwritten in place, so no cache may keep it."""
    route = routed(router(ids=Ids(key="{session_id}/{scene_id}/{name}")).route(ROOT, "p/s/c/video/a.mp4"))
    assert (route.key, route.cache_control) == ("p/s/c/a.mp4", "no-cache")


@pytest.mark.parametrize(
    ("stem", "index"),
    [("chunk_003", 3), ("3_of_10", 10), ("intro", None), ("x" + "9" * 16, None), ("a٣", None), ("0", 0)],
)
def test_the_index_is_the_last_digits_of_the_stem(stem: str, index: int | None) -> None:
    """Unless the rule captures one; too many digits for a JSON number are none."""
    assert routed(router().route(ROOT, f"p/s/c/video/{stem}.mp4")).index == index


def test_playlists_are_held_and_name_a_stream() -> None:
    """Until they can be published in order; what a stream belongs to its own rule tells, or a segment's."""
    assert isinstance(router().route(ROOT, "p/s/c/video/a.m3u8"), Withheld)
    assert routed(router().route(ROOT, "p/s/c/video/a.ts")).may_be_piece
    assert not routed(router().route(ROOT, "p/s/c/source/a.py")).may_be_piece
    for path in ("p/s/c/video/a.m3u8", "p/s/c/hls/deep/a.mpd"):
        stream = router().stream_of(ROOT, path)
        assert stream is not None
        assert (stream.named.session_id, stream.named.scene_id, stream.folder) == ("p/s", "c", "p/s/c")
    assert router().stream_of(ROOT, "a.m3u8") is None


def test_markers_speak_of_their_scene_although_they_are_hidden() -> None:
    """.complete and .cancelled in a scene's folder bypass ignore."""
    complete = Marker(kind="complete", project_id="p", session_id="p/s", scene_id="c")
    assert router().route(ROOT, "p/s/c/.complete") == complete
    assert router().route(ROOT, "p/s/c/.cancelled") == dataclasses.replace(complete, kind="cancelled")


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("a/l1/intro/video/.rsync-partial/chunk_007.mp4", "**/.*"),
        ("a/.trash/intro/video/chunk_007.mp4", "**/.*"),
        ("a/l1.tmp/intro/video/chunk_007.mp4", "**/*.tmp"),
        ("a/.trash/intro/.complete", "**/.*"),
    ],
)
def test_an_ignored_folder_is_ignored_with_all_that_it_holds(path: str, pattern: str) -> None:
    """Half-written files lie in there under their right names; a marker in there says nothing."""
    assert router().route(ROOT, path) == Ignored(pattern=pattern)


def test_each_folder_is_ignored_or_not_on_its_own_account() -> None:
    """Whatever was looked up before it: what is remembered is the last folder's alone."""
    one = router()
    for _ in range(2):
        assert one.route(ROOT, "a/.trash/intro/video/chunk_007.mp4") == Ignored(pattern="**/.*")
        assert isinstance(one.route(ROOT, "a/l1/intro/video/chunk_007.mp4"), Route)
        assert isinstance(one.route(ROOT, "a/l1/intro/video/chunk_008.mp4"), Route)
        assert not isinstance(one.route(ROOT, "chunk.mp4"), Ignored)


@pytest.mark.parametrize(
    "path", [".complete", "p/.complete", "p/s/.complete", "p/s/c/video/.complete", "p/s/c/.completed"]
)
def test_a_marker_elsewhere_is_an_ignored_file(path: str) -> None:
    """Only the folder that names the scene counts."""
    assert isinstance(router().route(ROOT, path), Ignored)


def test_a_marker_under_another_pin_says_nothing() -> None:
    """The pin holds for markers as well."""
    assert isinstance(router(fields={"project": "q"}).route(ROOT, "p/s/c/.complete"), Ignored)


def test_a_scene_that_a_file_name_names_has_no_folder_and_no_marker() -> None:
    """Neither by a captured field nor by the stem itself."""
    for ids, match in ((Ids(), "{session}/{scene}.mp4"), (Ids(scene_id="{stem}"), "{session}/*.mp4")):
        rule = RoutingRule(match=match, asset_type=AssetType.VIDEO_CHUNK, entity=EntityType.SCENE)
        root = Root(path=ROOT, ignore=IGNORE)
        only = Router(roots=[root], rules=[rule], ids=ids)
        route = routed(only.route(ROOT, "s/c.mp4"))
        assert (route.scene_id, route.entity_folder) == ("c", None)
        assert isinstance(only.route(ROOT, "s/.complete"), Ignored)


def test_preset_manim_names_slots_by_quality() -> None:
    """One scene in two qualities is two assets; its thumbnail has none."""
    high = routed(manim().route(ROOT, "media/videos/intro/1080p60/Circle.mp4"))
    low = routed(manim().route(ROOT, "media/videos/intro/480p15/Circle.mp4"))
    assert (high.scene_id, high.role, high.slot.name) == ("Circle", "main", "1080p60/Circle.mp4")
    assert high.slot != low.slot
    subtitle = routed(manim().route(ROOT, "videos/intro/1080p60/Circle.srt"))
    assert (subtitle.slot.asset_type, subtitle.scene_id) == (AssetType.SUBTITLE, "Circle")
    thumbnail = routed(manim().route(ROOT, "media/images/intro/Circle_ManimCE_v0.19.0.png"))
    assert (thumbnail.scene_id, thumbnail.slot.name) == ("Circle", "Circle_ManimCE_v0.19.0.png")


def test_preset_manim_ignores_partial_movie_files() -> None:
    """They are pieces of a video that comes as one."""
    path = "media/videos/intro/1080p60/partial_movie_files/Circle/uncached_00000.mp4"
    assert manim().route(ROOT, path) == Ignored(pattern=presets.MANIM_PARTIAL)


NAMES = (
    "x.mp4",
    "a_12.webm",
    "{transfer}.mp4",
    "é.mp4",
    "z" * 245 + ".mp4",
    "b.tmp",
    ".c",
    "d.m3u8",
    "e",
    "n\n.mp4",
)
PLACES = ("", "p/", "p/s/c/video/", "p/s/d/video/", "p/.h/c/video/", "../s/c/video/", "m/videos/p/480p/")
OTHER_ROOT = "/others"


def test_an_answer_does_not_depend_on_what_was_asked_before() -> None:
    """What is remembered of a folder is that folder's, in that root; what of a name, that file's."""

    def made() -> Router:
        pins = {"project": "algebra"}
        roots = [Root(path=ROOT, ignore=IGNORE), Root(path=OTHER_ROOT, fields=pins, ignore=("**/*.webm",))]
        return Router(roots=roots, rules=[*presets.LESSON[:2], presets.MANIM[0]], ids=Ids())

    asked = list(itertools.product((ROOT, OTHER_ROOT), PLACES, NAMES))
    random.Random(7).shuffle(asked)
    used, answers = made(), set[type]()
    for root, place, name in asked:
        answer = used.route(root, place + name)
        assert answer == made().route(root, place + name)
        answers.add(type(answer))
    assert answers == {Route, Ignored, Misplaced, Refused, Unmatched, Withheld}


def test_a_folder_is_matched_once_for_all_its_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever their number: only their names are looked at."""
    one, runs, real = router(), list[str](), Program.run

    def run(self: Program, path: str) -> tuple[Capture, ...] | None:
        runs.append(path)
        return real(self, path)

    monkeypatch.setattr(Program, "run", run)
    for number in range(100):
        assert routed(one.route(ROOT, f"p/s/c/video/chunk_{number}.mp4")).index == number
    assert {*runs} <= {"p", "p/s", "p/s/c", "p/s/c/video", "p/s/c/video/"}


SEGMENTS = st.text(st.characters(blacklist_characters="/"), min_size=1, max_size=60)


@given(st.lists(SEGMENTS, min_size=1, max_size=7).map("/".join))
def test_every_path_has_an_answer(path: str) -> None:
    """No name makes the router raise, and no key leaves its prefix."""
    routing = router(
        RoutingRule(match="{session}/{scene}/**", asset_type=AssetType.MANIFEST, entity=EntityType.SCENE)
    ).route(ROOT, path)
    if isinstance(routing, Route):
        key = object_key(routing, TRANSFER)
        assert key.startswith(f"{routing.slot.session_id}/{routing.scene_id}/")
        assert not {"", ".", ".."} & set(key.split("/"))
        assert TRANSFER in key


@given(SEGMENTS)
def test_a_name_splits_into_stem_and_extension_and_back(name: str) -> None:
    """Nothing is lost or invented."""
    stem, ext = media.split_name(name)
    assert stem + ext == name
    assert stem
