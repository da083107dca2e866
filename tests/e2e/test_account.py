"""One account of every file: a drawn folder, walked by the test itself, beside what the daemon says of it.

The walker shares no code with the daemon: it knows preset lesson from its documentation alone.
"""

from __future__ import annotations

import json
import os
import random
import re
import stat
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.system import System, eventually, write

SCENES = ("intro", "proof")
LESSON = (
    r"[^/]+/[^/]+/[^/]+/video/[^/]+\.(mp4|webm|mov|mkv|ts|m4s|m3u8|mpd)",
    r"[^/]+/[^/]+/[^/]+/source/[^/]+\.py",
    r"[^/]+/[^/]+/[^/]+/thumbnails/[^/]+\.(png|jpg|jpeg|webp)",
    r"[^/]+/[^/]+/[^/]+/subtitles/[^/]+\.(vtt|srt)",
    r"[^/]+/[^/]+/combined/[^/]+\.(mp4|webm|vtt|srt)",
    r"[^/]+/[^/]+/manifest\.json",
)
EXTENSIONS = "mp4 webm mov mkv ts m4s m3u8 mpd py png jpg jpeg webp vtt srt json"  # in a rule
TORN_PNG = b"\x89PNG\r\n\x1a\n" + b"\x00\x00\x00\rIHDR" + b"\0" * 12  # no IEND
FAILS = {"held", "refused", "misplaced", "dead", "abandoned"}
WAITS = {"owed", "settling", "incomplete"}


def _link(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to("/etc/hostname")


def _folder_link(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to("/etc")


def _pipe(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)


def _whole(path: Path) -> None:
    write(path, path.name.encode())


def _closed(path: Path) -> None:
    _whole(path)
    path.chmod(0)


def _empty(path: Path) -> None:
    write(path, b"")


def _film(path: Path) -> None:
    write(path, b"no format, but long enough for one " * 8)


def _playlist(path: Path) -> None:
    write(path, b"#EXTM3U\n#EXTINF:2,\nfilm.mp4\n")


DRAWN: tuple[tuple[str, Callable[[Path], object]], ...] = (
    ("{scene}/video/index.m3u8", _playlist),
    ("{scene}/video/film.mp4", _film),
    ("{scene}/video/{n}.mp4", _film),
    ("{scene}/video/{n}.webm", _empty),  # a killed encoder's
    ("{scene}/video/{n}.ts", _whole),
    ("{scene}/source/{n}.py", _whole),
    ("{scene}/source/{n}.py", _empty),
    ("{scene}/subtitles/{n}.vtt", _whole),
    ("{scene}/{n}.mp4", _whole),  # misplaced, as all up to the text
    ("{scene}/video/{n}.TS", _whole),
    ("{scene}/hls/video/{n}.mp4", _whole),
    ("{n}.PY", _whole),
    ("{scene}/notes/{n}.txt", _whole),
    ("{scene}/source/__pycache__/{n}.pyc", _whole),
    ("{scene}/.cache/{n}.mp4", _whole),
    ("{scene}/source/{n}.py", _link),
    ("{scene}/video/{n}.ts", _pipe),
    ("{scene}/logs/{n}.log", _link),
    ("{scene}/logs/{n}.log", _pipe),
    ("{scene}/logs/{n}.mp4", _link),
    ("{scene}/logs/{n}", _folder_link),
    ("{scene}/source/{n}.py", _closed),
    ("{scene}/notes/{n}.txt", _closed),
    ("{scene}/.#{n}.py", _link),  # an editor's lock
    ("{scene}/thumbnails/{n}.png", lambda path: write(path, TORN_PNG)),
)


def draw(root: Path, seed: int) -> None:
    """Fill a root with what renderers, people and malice leave."""
    dice = random.Random(seed)
    drawn = {}
    for number in range(dice.randint(12, 36)):
        place, make = dice.choice(DRAWN)
        scene = f"{dice.choice(('s1', 's2'))}/{dice.choice(SCENES)}"
        drawn[place.format(scene=f"p/{scene}", n=number)] = make
    for below in sorted(drawn, key=lambda path: not path.endswith(".m3u8")):  # before what they name is sent
        drawn[below](root / below)


def expected(root: Path) -> dict[str, str]:
    """Return the class of every path below a root, as the documentation has it."""
    found = {}
    for folder, folders, names in os.walk(root):
        for name in (*names, *(name for name in folders if Path(folder, name).is_symlink())):
            path = Path(folder, name)
            below = str(path.relative_to(root))
            found[str(path)] = _class(path, below)
    return found


def _class(path: Path, below: str) -> str:
    parts = below.split("/")
    if any(part.startswith(".") for part in parts) or "__pycache__" in parts[:-1]:
        return "ignored"
    if path.is_dir():  # a link: what lies behind it, a rule may want
        return "refused"
    if any(re.fullmatch(pattern, below) for pattern in LESSON):
        return "refused" if path.is_symlink() or not path.is_file() else _of_lesson(path)
    return "misplaced" if path.suffix[1:].lower() in EXTENSIONS.split() else "unmatched"


def _of_lesson(path: Path) -> str:
    """Return the class of what a rule takes. Segments wait for a playlist or the end of their scene."""
    if _is_closed(path):
        return "refused"
    if path.suffix in {".webm", ".png"}:
        return "incomplete"
    if path.parent.joinpath("index.m3u8").exists() and path.name.endswith((".m3u8", ".ts", "film.mp4")):
        return "held"
    beside = path.parent.parent.glob("*/*")
    is_open = any(_is_unfinished(one) for one in beside)
    return "owed" if path.suffix == ".ts" and is_open else "delivered"


def _is_closed(path: Path) -> bool:
    return not path.lstat().st_mode & stat.S_IRUSR


def _is_unfinished(path: Path) -> bool:
    """Tell whether it keeps its scene from its end."""
    is_sent = path.suffix in {".webm", ".png"} or (path.suffix == ".py" and _is_closed(path))
    return is_sent and path.is_file()


def answer(system: System, target: str) -> tuple[int, dict[str, Any]]:
    """Ask /wait; its status is part of the answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{system.port}{target}", timeout=60) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def lines(system: System) -> list[dict[str, Any]]:
    """Return the log."""
    return [json.loads(line) for line in system.log.read_text().splitlines() if line.startswith("{")]


@pytest.mark.parametrize("seed", range(1, 5))
def test_every_answer_is_the_one_that_a_walk_gives(system: System, seed: int) -> None:
    """wait, /status, metrics, explain, log and a drain's end agree with the folder, file by file."""
    system.settings["shutdown"] = {"grace": "2s"}
    system.settings["entities"] = {"complete_after": "1s"}
    system.module = "tests.support.unprivileged"
    system.start()
    draw(system.root, seed)
    truth = expected(system.root)
    numbers = Counter(truth.values())
    waits, fails = (sum(numbers[name] for name in names) for names in (WAITS, FAILS))
    status, reply = answer(system, "/wait?timeout=20s" if not waits else "/wait?timeout=6s")
    assert status == (504 if waits else 409 if fails else 200)
    assert (reply["owed_files"], reply["failed_files"]) == (waits, fails)
    assert reply["delivered"]["files"] == numbers["delivered"]
    sizes = [Path(path).stat().st_size for path, name in truth.items() if name == "delivered"]
    assert reply["delivered"]["bytes"] == sum(sizes)
    named = {one["path"]: one["class"] for one in (*reply["failed"], *reply["owed"])}
    assert named.items() <= truth.items()
    assert len(named) == min(20, fails) + min(20, waits)
    assert {name: number for name, number in system.status()["files"].items() if number} == numbers
    assert {path: system.explain(Path(path))["class"] for path in truth} == truth
    with urllib.request.urlopen(f"http://127.0.0.1:{system.port}/metrics", timeout=30) as text:
        metric = dict(
            re.findall(r'sidecar_files\{class="(\w+)",root="[^"]*"\} ([\d.]+)', text.read().decode())
        )
    assert {name: int(float(number)) for name, number in metric.items() if float(number)} == numbers
    _log_agrees(system, truth)
    assert system.stop() == (75 if waits + fails else 0)
    ended = lines(system)[-1]
    assert (ended["event"], ended["owed_files"]) == ("stopped", waits + fails)
    drained = {one.split(": ")[0]: one.split(": ")[1] for one in ended["paths"]}
    assert drained == {path: name for path, name in truth.items() if name in FAILS | WAITS}


def _log_agrees(system: System, truth: dict[str, str]) -> None:
    """One line for each delivered file, one warning for each folder and extension that is not sent."""
    delivered = [line["path"] for line in lines(system) if line["event"] == "delivered"]
    assert sorted(delivered) == sorted(path for path, name in truth.items() if name == "delivered")
    groups = {(Path(path).parent, Path(path).suffix.lower()) for path, name in truth.items() if name in FAILS}

    def told() -> bool:
        said = [line for line in lines(system) if line["event"] == "files_not_sent"]
        assert all((line["level"], truth[line["path"]]) == ("warning", line["class"]) for line in said)
        return len(said) >= min(10, len(groups))  # ten a minute

    eventually("each group is told", told)


def test_a_delivered_file_that_cannot_be_read_any_more_is_of_one_class(system: System) -> None:
    """Its content may have changed: it is refused everywhere, and counted once."""
    system.settings["shutdown"] = {"grace": "60s"}
    system.module = "tests.support.unprivileged"
    system.start()
    path = system.root / "p/s/intro/source/scene.py"
    _whole(path)
    assert answer(system, "/wait?timeout=30s")[0] == 200
    path.chmod(0)
    eventually("it is refused", lambda: system.status()["files"]["refused"])
    assert {name: n for name, n in system.status()["files"].items() if n} == {"refused": 1}
    status, reply = answer(system, "/wait?timeout=60s")
    assert (status, reply["failed_files"], reply["owed_files"]) == (409, 1, 0)
    assert [(one["path"], one["class"]) for one in reply["failed"]] == [(str(path), "refused")]
    assert system.explain(path)["class"] == "refused"
    assert system.stop(seconds=30.0) == 75  # it is not waited for
    assert (lines(system)[-1]["owed_files"], len(lines(system)[-1]["paths"])) == (1, 1)
