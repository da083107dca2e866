"""HLS and DASH as ffmpeg writes them, in its own order: no segment goes before its playlist."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import imageio_ffmpeg
import pytest

from tests.support.system import System, eventually, write

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
LESSON = "demo/lesson"
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "5", "-pix_fmt", "yuv420p")
VP8 = ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-g", "5")
FMP4 = ("-hls_segment_type", "fmp4")
HLS = (*X264, "-f", "hls", "-hls_time", "0.5")
DASH = (*X264, "-f", "dash", "-seg_duration", "0.5")
STREAMS = {  # options, and the name that is given to ffmpeg
    "event": ((*HLS, "-hls_playlist_type", "event"), "index.m3u8"),
    "vod": ((*HLS, "-hls_playlist_type", "vod"), "index.m3u8"),
    "live": ((*HLS, "-hls_list_size", "3", "-hls_flags", "delete_segments"), "index.m3u8"),
    "temporary": ((*HLS, "-hls_flags", "temp_file"), "index.m3u8"),
    "fragments": ((*HLS, *FMP4, "-hls_playlist_type", "vod"), "index.m3u8"),
    "named_mp4": (
        (*HLS, *FMP4, "-hls_playlist_type", "vod", "-hls_segment_filename", "{}/part%d.mp4"),
        "index.m3u8",
    ),
    "single_ts": ((*HLS, "-hls_flags", "single_file", "-hls_playlist_type", "vod"), "index.m3u8"),
    "single_mp4": ((*HLS, *FMP4, "-hls_flags", "single_file"), "index.m3u8"),
    "variants": (
        (*HLS, "-var_stream_map", "v:0", "-master_pl_name", "master.m3u8", "-hls_playlist_type", "vod"),
        "stream_%v/index.m3u8",
    ),
    "elsewhere": (
        (*HLS, "-hls_playlist_type", "vod", "-hls_segment_filename", "{}/segments/%d.ts"),
        "index.m3u8",
    ),
    "timeline": (DASH, "manifest.mpd"),
    "clock": ((*DASH, "-use_timeline", "0"), "manifest.mpd"),
    "template_mp4": (
        (*DASH, "-init_seg_name", "first-$RepresentationID$.mp4", "-media_seg_name", "part-$Number$.mp4"),
        "manifest.mpd",
    ),
    "ranges": ((*DASH, "-single_file", "1"), "manifest.mpd"),
    "webm": (
        (*VP8, "-f", "dash", "-seg_duration", "0.5", "-dash_segment_type", "webm"),
        "manifest.mpd",
    ),
}  # fmt: skip
RULES = [
    {
        "match": "{project}/{session}/{scene}/video/**/*.(mp4|webm|ts|m4s|m3u8|mpd)",
        "asset_type": "video_chunk",
        "entity": "scene",
    }
]


def begin(folder: Path, stream: str, *, realtime: bool) -> subprocess.Popen[bytes]:
    """Let ffmpeg write a stream of three seconds."""
    options, name = STREAMS[stream]
    for inner in ("segments", "stream_0"):
        (folder / inner).mkdir(parents=True)
    source = ["-f", "lavfi", "-i", "testsrc2=duration=3:rate=10:size=96x54"]
    argv = [FFMPEG, "-nostdin", "-v", "error", "-y", *(["-re"] if realtime else []), *source]
    argv += [option.format(folder) for option in options]
    return subprocess.Popen([*argv, str(folder / name)], stdin=subprocess.DEVNULL)


def media(folder: Path) -> list[Path]:
    """List what a muxer left, playlists among it."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def shipped(system: System) -> list[str]:
    """Return the keys of everything in the bucket that is not the renderer's source."""
    return [key for key in list(system.keys()) if not key.endswith(".py")]


def watch_until_over(system: System, renders: Sequence[subprocess.Popen[bytes]]) -> None:
    """Look at the bucket while encoders write; nothing of theirs may be in it."""
    while any(render.poll() is None for render in renders):
        assert shipped(system) == []
        time.sleep(0.1)
    assert {render.returncode for render in renders} == {0}


@pytest.mark.parametrize("realtime", [True, False], ids=["in real time", "at full speed"])
def test_no_segment_is_ever_seen_without_its_playlist(system: System, *, realtime: bool) -> None:
    """Neither while it is written, nor once its scene is complete, nor after a drain and a start."""
    system.settings["rules"] = RULES
    system.settings["entities"] = {"complete_after": "3s"}
    system.settings["shutdown"] = {"grace": "10s"}
    system.start()
    folders = {stream: system.root / LESSON / stream / "video" for stream in STREAMS}
    watch_until_over(system, [begin(folder, name, realtime=realtime) for name, folder in folders.items()])
    files = [path for folder in folders.values() for path in media(folder)]
    assert len(files) > 4 * len(STREAMS)
    (folders["event"].parent / ".complete").touch()
    write(system.root / LESSON / "event/source/a.py", b"print(1)\n")
    eventually("the source is there", lambda: len(system.keys()) == 1)

    def not_held() -> dict[str, str]:
        assert shipped(system) == []
        found = {str(path): system.explain(path) for path in files}
        return {path: one["verdict"] for path, one in found.items() if one["finding"] != "held"}

    eventually("all of it is held", lambda: not_held() == {})
    eventually("the scenes are complete", lambda: all(row["complete"] for row in facts(system)))
    assert {row["assetsStatus"] for row in system.convex.control("table/renderSidecar/scenes")} <= {
        "uploading",
        "pending",
    }
    assert "HLS" in system.explain(files[0])["verdict"]
    assert system.status()["watch"][0]["held"] >= len(files)
    system.stop()
    system.start()
    eventually("all of it is held again", lambda: not_held() == {})
    assert shipped(system) == []


def facts(system: System) -> list[dict[str, object]]:
    """Return what the sidecar told of scenes."""
    rows: list[dict[str, object]] = system.convex.control("table/renderSidecar/sceneFacts")
    return rows


def test_chunks_without_a_playlist_go_once_their_scene_is_complete(system: System) -> None:
    """By its marker, by its session's manifest, by quiet; and when the sidecar is told to stop."""
    system.settings["entities"] = {"complete_after": "2s"}
    system.start()
    files = {}
    for ending in ("marked", "quiet"):
        for number in range(3):
            name = f"{LESSON}/{ending}/video/{number}.ts"
            files[name] = write(system.root / name, os.urandom(10_000))
    (system.root / LESSON / "marked/.complete").touch()
    system.wait_settled(synced=len(files))
    system.check(files)
    eventually(
        "both are ready",
        lambda: {s["assetsStatus"] for s in system.convex.control("table/renderSidecar/scenes")} == {"ready"},
    )


def test_a_drain_lets_go_of_what_waits_for_its_scene(system: System) -> None:
    """Nobody will complete it any more."""
    system.start()
    files = {f"{n}.ts": write(system.root / LESSON / f"s/video/{n}.ts", os.urandom(10_000)) for n in range(3)}
    eventually("they are complete", lambda: system.status()["transfers"]["ready"] == 3)
    assert "its scene" in system.explain(system.root / LESSON / "s/video/0.ts")["verdict"]
    assert system.keys() == []
    assert system.stop() == 0
    system.check(files)


def test_a_rule_that_says_that_no_playlist_comes_ships_at_once(system: System) -> None:
    """`playlist: none`."""
    system.settings["rules"] = [{**RULES[0], "playlist": "none"}]
    system.start()
    data = write(system.root / LESSON / "s/video/0.ts", os.urandom(10_000))
    system.wait_settled(synced=1)
    system.check({"0.ts": data})
