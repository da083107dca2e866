"""Segments and their playlists in real folders: what is parked, what is held, and what is not."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.core.account import FileClass
from sidecar.core.findings import Finding
from sidecar.core.model import Piece, Transfer
from sidecar.journal.journal import Journal
from sidecar.journal.stores.scene_pruning import ScenePruning
from sidecar.watch.formats.stream_pieces import piece_of
from tests.support.journals import route

from .conftest import World, ffmpeg, picture, running
from .corpus import FRAGMENTS, X264

SCENE, VIDEO = "p/s/one", "p/s/one/video"
BYTES = random.Random(5).randbytes(2000)
LIST = b"#EXTM3U\n#EXTINF:1,\n%s\n"


def judged(path: Path) -> Piece:
    """Judge a file."""
    fd = os.open(path, os.O_RDONLY)
    try:
        return piece_of(fd, path.name)
    finally:
        os.close(fd)


async def parked(world: World) -> list[str]:
    """Return what waits for the end of its scene."""
    return [row.path for row in await world.rows() if row.parked]


async def until_held(world: World, *paths: str) -> None:
    """Wait until files are held and nothing of them is on its way."""

    async def are_held() -> bool:
        found = [(await world.stage.explain(str(world.root), path)).finding for path in paths]
        rows: Sequence[Transfer] = await world.rows()
        return {*found} == {Finding.HELD} and not {row.path for row in rows} & set(paths)

    await world.until(are_held)


def put_playlist(world: World, name: str, text: bytes) -> Path:
    """Write a playlist as muxers do: beside, and renamed."""
    draft = world.put(f"{name}.tmp", text)
    return draft.rename(world.root / name)


async def test_segments_wait_for_their_playlist_and_are_held_by_it(world: World) -> None:
    """Also those that it does not name any more, and those that come later; a film beside them is not."""
    paths = [f"{VIDEO}/{name}" for name in ("0.ts", "1.m4s", "init.mp4")]
    for path in paths:
        world.put(path, BYTES)
    film = f"{VIDEO}/film.mp4"
    world.put(film, BYTES)
    await world.until_ready(film, *paths)
    assert sorted(await parked(world)) == sorted(paths)
    put_playlist(world, f"{VIDEO}/index.m3u8", LIST % b"1.m4s")
    await until_held(world, *paths)
    world.put(f"{VIDEO}/2.ts", BYTES)
    await world.stage.scan_now()
    await until_held(world, f"{VIDEO}/2.ts", f"{VIDEO}/index.m3u8")
    found = await world.stage.explain(str(world.root), paths[0])
    assert found.why.startswith(f"it is a segment of {VIDEO}/index.m3u8")
    assert [row.path for row in await world.rows()] == [film]
    assert world.stage.status()[0].counts[FileClass.HELD] == 5


async def test_once_there_was_a_playlist_its_scenes_segments_are_held_for_ever(tmp_path: Path) -> None:
    """It is deleted, and the sidecar starts anew; another scene's segments are none of that."""
    async with running(tmp_path) as world:
        world.put(f"{VIDEO}/0.ts", BYTES)
        playlist = put_playlist(world, f"{VIDEO}/index.m3u8", LIST % b"0.ts")
        await until_held(world, f"{VIDEO}/0.ts")
        await world.stage.scan_now()
        playlist.unlink()
        world.put(f"{SCENE}/elsewhere/1.ts", BYTES)
    async with running(tmp_path, rule="{project}/{session}/{scene}/**/*.ts") as world:
        world.put(f"{VIDEO}/2.ts", BYTES)
        world.put("p/s/two/video/0.ts", BYTES)
        await until_held(world, f"{VIDEO}/0.ts", f"{VIDEO}/2.ts", f"{SCENE}/elsewhere/1.ts")
        await world.until_ready("p/s/two/video/0.ts")
        assert await parked(world) == ["p/s/two/video/0.ts"]


async def test_a_playlist_may_be_forgotten_once_no_file_of_its_scene_is_found(tmp_path: Path) -> None:
    """In the life after the last of them: held segments have no row. Not while a root is away."""
    stream = ("p/s", "one")
    async with running(tmp_path) as world:
        segment = world.put(f"{VIDEO}/0.ts", BYTES)
        playlist = put_playlist(world, f"{VIDEO}/index.m3u8", LIST % b"0.ts")
        await until_held(world, f"{VIDEO}/0.ts")
        await world.stage.scan_now()
        playlist.unlink()
    for is_there in (True, False):
        async with running(tmp_path) as world:
            await world.stage.seen.wait()
            assert world.stage.needed_playlists() == ({stream} if is_there else set())
        segment.unlink(missing_ok=True)
    async with running(tmp_path) as world:
        await world.stage.seen.wait()
        await world.writer.do(ScenePruning.prune_playlists, after=("", ""), needed=())
        world.stage.forget_playlists([stream])
        world.root.rename(tmp_path / "away")

        async def is_away() -> bool:
            return world.stage.needed_playlists() is None

        await world.until(is_away)


@pytest.mark.parametrize("before", [True, False], ids=["film first", "playlist first"])
async def test_a_film_that_a_playlist_names_is_held(world: World, *, before: bool) -> None:
    """Whichever comes first, as long as nothing of it was sent; one that it does not name is not."""
    films = {f"{VIDEO}/{name}.mp4": BYTES for name in ("named", "other")}
    if before:
        for path in films:
            world.put(path, BYTES)
        await world.until_ready(*films)
    put_playlist(world, f"{VIDEO}/a.mpd", b"<MPD><Period><BaseURL>named.mp4</BaseURL>")
    if not before:
        await world.stage.scan_now()
        for path in films:
            world.put(path, BYTES)
    await until_held(world, f"{VIDEO}/named.mp4")
    await world.until_ready(f"{VIDEO}/other.mp4")


async def test_what_is_held_by_two_playlists_is_held_by_one(world: World) -> None:
    """A variant goes, and another one still names the film."""
    world.put(f"{VIDEO}/film.mp4", BYTES)
    first = put_playlist(world, f"{VIDEO}/a.m3u8", LIST % b"film.mp4")
    put_playlist(world, f"{VIDEO}/b.m3u8", LIST % b"./film.mp4")
    await until_held(world, f"{VIDEO}/film.mp4")
    first.unlink()
    await world.stage.scan_now()
    await until_held(world, f"{VIDEO}/film.mp4")


async def test_a_film_goes_once_no_playlist_names_it_any_more(world: World) -> None:
    """It is no segment by its name or content."""
    world.put(f"{VIDEO}/film.mp4", BYTES)
    put_playlist(world, f"{VIDEO}/a.m3u8", LIST % b"film.mp4").touch()
    await until_held(world, f"{VIDEO}/film.mp4")
    put_playlist(world, f"{VIDEO}/a.m3u8", LIST % b"other.mp4")
    await world.stage.scan_now()
    await world.until_ready(f"{VIDEO}/film.mp4")


async def test_no_playlist_holds_what_is_another_scenes_or_no_video(world: World) -> None:
    """Whatever it names, quoted or not, and however."""
    text = b"\n".join(
        [b"#EXTM3U", b"../../two/video/film.mp4", b"../source/a.py", b"../../two/source/a.py", b"/etc/passwd"]
    )
    put_playlist(
        world, f"{VIDEO}/index.m3u8", text + b"\n" + str(world.root).encode() + b"/p/s/two/video/film.mp4"
    )
    paths = [f"{SCENE}/source/a.py", "p/s/two/source/a.py", "p/s/two/video/film.mp4"]
    for path in paths:
        world.put(path, BYTES)
    await world.until_ready(*paths)


async def test_a_playlist_that_is_a_link_or_ignored_holds_nothing(world: World, tmp_path: Path) -> None:
    """Nothing is read through a link, and what is ignored is not looked at."""
    (tmp_path / "secret.m3u8").write_bytes(LIST % b"film.mp4")
    (world.root / VIDEO).mkdir(parents=True)
    (world.root / VIDEO / "a.m3u8").symlink_to(tmp_path / "secret.m3u8")
    world.put(f"{VIDEO}/.hidden.m3u8", LIST % b"film.mp4")
    world.put(f"{VIDEO}/film.mp4", BYTES)
    world.put(f"{VIDEO}/0.ts", BYTES)
    await world.until_ready(f"{VIDEO}/film.mp4", f"{VIDEO}/0.ts")
    assert await parked(world) == [f"{VIDEO}/0.ts"]
    assert await world.stage.playlist_near(str(world.root), VIDEO, SCENE) is None


async def test_a_last_look_finds_a_playlist_anywhere_in_the_scene(world: World) -> None:
    """Or in the folder of the files alone, where the scene has none."""
    put_playlist(world, f"{SCENE}/hls/deep/a.m3u8", LIST % b"../../video/0.ts")
    root = str(world.root)
    assert await world.stage.playlist_near(root, VIDEO, SCENE) == f"{SCENE}/hls/deep/a.m3u8"
    assert await world.stage.playlist_near(root, VIDEO, None) is None
    assert await world.stage.playlist_near(root, f"{SCENE}/hls/deep", None) == f"{SCENE}/hls/deep/a.m3u8"


async def test_content_tells_segments_whatever_their_names(tmp_path: Path) -> None:
    """Beside a playlist that does not name them they are held, and are not read again and again."""
    streams = tmp_path / "streams"
    streams.mkdir()
    names = ("-init_seg_name", "head.mp4", "-media_seg_name", "part$Number$.mp4")
    ffmpeg(*picture(1), *X264, "-f", "dash", *names, streams / "a.mpd")
    async with running(tmp_path) as world:
        paths = [f"{VIDEO}/head.mp4", f"{VIDEO}/part1.mp4"]
        for path in paths:
            world.put(path, (streams / Path(path).name).read_bytes())
        await world.until_ready(*paths)
        assert sorted(await parked(world)) == sorted(paths)
        put_playlist(world, f"{VIDEO}/a.mpd", b"<MPD></MPD>")
        await until_held(world, *paths)
        world.put(f"{VIDEO}/part2.mp4", (streams / "part1.mp4").read_bytes())
        await until_held(world, f"{VIDEO}/part2.mp4")
        events = await world.writer.run(_events)
        for _ in range(3):
            await world.stage.scan_now()
        assert await world.writer.run(_events) == events


def _events(journal: Journal) -> int:
    """Count what the journal saw happen."""
    return int(journal.db.execute("SELECT count(*) FROM events").fetchone()[0])


def test_films_are_told_from_pieces_of_streams(tmp_path: Path) -> None:
    """As ffmpeg writes them: a film of fragments is none; what cannot be played alone is a fragment."""
    source = picture(1)
    outputs: dict[str, tuple[tuple[str, ...], Piece]] = {
        "plain.mp4": (X264, Piece.NONE),
        "faststart.mp4": ((*X264, "-movflags", "+faststart"), Piece.NONE),
        "recording.mp4": ((*X264, "-movflags", FRAGMENTS), Piece.NONE),
        "film.mkv": (X264, Piece.NONE),
        "ranges.mp4": ((*X264, "-movflags", FRAGMENTS + "+global_sidx+dash"), Piece.CHUNK),
    }
    for name, (options, _) in outputs.items():
        ffmpeg(*source, *options, tmp_path / name)
    hls = ("-f", "hls", "-hls_segment_type", "fmp4", "-hls_segment_filename", tmp_path / "seg%d.mp4")
    ffmpeg(*source, *X264, *hls, "-hls_fmp4_init_filename", "begin.mp4", tmp_path / "a.m3u8")
    vp8: tuple[str, ...] = (
        "-c:v",
        "libvpx",
        "-deadline",
        "realtime",
        "-cpu-used",
        "8",
        "-f",
        "dash",
        "-dash_segment_type",
        "webm",
    )
    ffmpeg(*source, *vp8, tmp_path / "b.mpd")
    wanted = {name: piece for name, (_, piece) in outputs.items()} | {
        "seg0.mp4": Piece.FRAGMENT,
        "begin.mp4": Piece.FRAGMENT,
        "chunk-stream0-00001.webm": Piece.FRAGMENT,
    }
    assert {name: judged(tmp_path / name) for name in wanted} == wanted


@pytest.mark.parametrize(
    ("name", "piece"),
    [
        ("a.ts", Piece.CHUNK),
        ("a.TS", Piece.CHUNK),
        ("a.m4s", Piece.FRAGMENT),
        ("init.mp4", Piece.CHUNK),
        ("init-stream0.mp4", Piece.CHUNK),
        ("init_0.mp4", Piece.CHUNK),
        ("initial.mp4", Piece.NONE),
        ("introduction.mp4", Piece.NONE),
        ("a.mp4", Piece.NONE),
    ],
)
def test_names_tell_segments(name: str, piece: Piece, tmp_path: Path) -> None:
    """Where the content shows nothing."""
    (tmp_path / name).write_bytes(BYTES)
    assert judged(tmp_path / name) is piece


def test_any_content_is_judged(tmp_path: Path) -> None:
    """Boxes of any size, many of them, none at all."""
    chance = random.Random(3)
    for number in range(300):
        head = chance.choice(
            [b"\0\0\0\x08moof", b"\0\0\0\x10ftypdash\0\0\0\0", b"\0\0\0\x01moov", b"\0\0\0\0sidx"]
        )
        (tmp_path / "a.mp4").write_bytes(head * chance.randrange(200) + chance.randbytes(number))
        assert judged(tmp_path / "a.mp4") in Piece


def test_a_rule_may_say_that_no_playlist_comes() -> None:
    """Then nothing of it waits, whatever lies beside."""
    assert route("0.ts").may_be_piece
    assert not replace(route("0.ts"), heeds_playlists=False).may_be_piece
