"""``sidecar demo`` and ``sidecar dev`` as a person runs them: as processes, with all real servers."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from ruamel.yaml import YAML

from sidecar.local.child import ServerError
from sidecar.local.commands import FAILED, run, run_demo
from sidecar.local.convex_reader import ConvexReader
from sidecar.local.demo import percentile
from sidecar.local.renderer import find_ffmpeg
from sidecar.local.stack import STATUS_PORT
from tests.cli.conftest import sidecar
from tests.support.chromium import Chromium, skip_unless_wanted
from tests.support.patience import DEADLINE_SECONDS

_TIMEOUT_SECONDS = 180.0
_PROOF = {"files", "bytes", "synced", "mismatched", "dead", "seconds", "close_to_synced_ms"}


def test_the_demo_proves_every_file(tmp_path: Path) -> None:
    """One JSON object on stdout and nothing else; every file in S3 and Convex; nothing left behind."""
    with _sidecar("demo", "--json", temp=tmp_path) as process:
        out, err = process.communicate(timeout=_TIMEOUT_SECONDS)
    assert process.returncode == 0, err
    report = json.loads(out)
    assert report.keys() == _PROOF
    assert report["files"] == report["synced"] == 24
    assert report["mismatched"] == report["dead"] == 0
    assert report["bytes"] > 40 * 1024 * 1024
    assert 0 < report["close_to_synced_ms"]["p50"] <= report["close_to_synced_ms"]["p99"]
    assert list(tmp_path.iterdir()) == []


async def test_the_demo_plays_in_a_browser_while_it_is_drawn(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three scenes, each to its end, one behind the other; Ctrl-C ends it, and nothing is left."""
    skip_unless_wanted(request)
    monkeypatch.setenv("BROWSER", "true")  # the program that shows nothing
    with _sidecar("demo", "--open", temp=tmp_path) as process:
        page = await asyncio.to_thread(_address, process, "page")
        async with Chromium() as browser:
            tab = await browser.open(page)
            drawn = asyncio.create_task(asyncio.to_thread(_until, process, "Staying up"))
            await tab.until("document.querySelector('.player')?.dataset.state === 'playing'")
            assert not drawn.done()
            await drawn
            last = "document.querySelector('.card:last-child.shown')"
            await tab.until(f"{last} && document.querySelector('.player').dataset.state === 'ended'")
            cards = await tab.evaluate(
                "[...document.querySelectorAll('.card small')].map((one) => one.textContent)"
            )
            assert cards == ["4 of 4 chunks, ready"] * 3
            assert browser.complaints == []
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=_TIMEOUT_SECONDS)
    assert process.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_dev_ships_what_is_written_until_it_is_interrupted(tmp_path: Path) -> None:
    """A file that appears in DIR appears in Convex, in a browser and on the screen, though the port is taken.

    Commands find the daemon by its settings; Ctrl-C ends everything with exit status 0.
    """
    renders, temp = tmp_path / "renders", tmp_path / "temp"
    temp.mkdir()
    with _taken(STATUS_PORT), _sidecar("dev", str(renders), temp=temp) as process:
        assert any(
            f"port {STATUS_PORT} is taken" in line for line in _until(process, "starting the sidecar", 2)
        )
        url = _address(process, "Convex")
        config = _address(process, "settings", r"export SIDECAR_CONFIG=(\S+)")
        source = renders / "p" / "s" / "one" / "source" / "scene.py"
        source.parent.mkdir(parents=True)
        source.write_text("print('hello')\n")
        _eventually(lambda: asyncio.run(_names(url, "p/s")) == ["scene.py"])
        *_, arrived = _until(process, "p/s/one/source/scene.py")
        assert "synced" in arrived
        _plays(_until(process, "http://")[-1].strip(), b"print('hello')\n")
        _may_call(url)
        for command in (["status"], ["dead-letters", "requeue", "--all"]):
            assert asyncio.run(sidecar(*command, "-c", config)).status == 0, "by the socket"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=_TIMEOUT_SECONDS)
    assert process.returncode == 0
    assert list(temp.iterdir()) == []
    assert source.read_text() == "print('hello')\n"


def test_dev_says_each_delivery_once_also_those_made_while_the_daemon_did_not_answer(tmp_path: Path) -> None:
    """As JSON, a line for each of four films; the third arrives while every look fails."""
    renders, temp = tmp_path / "renders", tmp_path / "temp"
    temp.mkdir()
    with _sidecar("dev", str(renders), "--json", temp=temp) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines = list(iter(process.stderr.readline, "Watching until Ctrl-C. What arrives:\n"))
        url = next(line.split()[1] for line in lines if line.startswith("  Convex "))
        config = next(line.partition("SIDECAR_CONFIG=")[2].strip() for line in lines if "_CONFIG=" in line)
        way = Path(YAML().load(Path(config))["status"]["socket"])
        assert [_film_told(process, renders, number) for number in (1, 2)] == ["1.mp4", "2.mp4"]
        hidden = way.rename(way.with_name("hidden"))
        assert "does not answer" in process.stderr.readline()
        _film(renders, 3)
        _eventually(lambda: "3.mp4" in asyncio.run(_names(url, "p/s")))
        hidden.rename(way)
        assert json.loads(process.stdout.readline())["name"] == "3.mp4"
        assert _film_told(process, renders, 4) == "4.mp4"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=_TIMEOUT_SECONDS)
    assert (out, "does not answer" in err, process.returncode) == ("", False, 0)


def _film_told(process: subprocess.Popen[str], renders: Path, number: int) -> str:
    """Return the name in the next line after a film has been written."""
    assert process.stdout is not None
    _film(renders, number)
    told = json.loads(process.stdout.readline())
    assert told["event"] == "synced"
    return str(told["name"])


def _film(renders: Path, number: int) -> None:
    path = renders / "p" / "s" / "one" / "video" / f"{number}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = ("-f", "lavfi", "-i", f"testsrc=duration={number}:size=64x64:rate=5")
    subprocess.run([find_ffmpeg(), "-nostdin", "-loglevel", "error", *picture, path], check=True)


def test_an_interrupted_demo_leaves_nothing(tmp_path: Path) -> None:
    """No server, no temporary folder; the exit status says that it was interrupted."""
    with _sidecar("demo", temp=tmp_path) as process:
        _address(process, "S3 keys")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=_TIMEOUT_SECONDS)
    assert process.returncode == 130
    assert list(tmp_path.iterdir()) == []
    assert _processes_with(str(tmp_path)) == []


def test_a_missing_extra_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names the command that mends it; no traceback, no folder left behind."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert run(run_demo(json_output=True, keep=False)) == FAILED
    told = capsys.readouterr()
    assert told.out == ""
    assert "pip install 'render-sidecar[demo]'" in told.err
    assert list(tmp_path.iterdir()) == []


def test_percentiles_are_values_that_occurred() -> None:
    """The nearest rank; with few values the 99th percentile is the greatest."""
    values = [float(value) for value in range(1, 25)]
    assert (percentile(values, 0.5), percentile(values, 0.99)) == (12.0, 24.0)
    assert percentile([], 0.5) is None


@contextmanager
def _sidecar(*arguments: str, temp: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the command with ``temp`` as its temporary folder, so that what it leaves can be seen."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sidecar", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temp), "PYTHONUNBUFFERED": "1"},
        process_group=0,
    )
    too_late = threading.Timer(_TIMEOUT_SECONDS, process.kill)  # so that no reader waits for ever
    too_late.start()
    with process:
        try:
            yield process
        finally:
            too_late.cancel()
            process.kill()


def _address(process: subprocess.Popen[str], what: str, pattern: str = r"(\S+)") -> str:
    """Read the output up to the line that says where something is."""
    line = _until(process, f"  {what} ")[-1]
    found = re.match(rf"\s+{what}\s+{pattern}", line)
    assert found is not None, line
    return found[1]


def _until(process: subprocess.Popen[str], words: str, more: int = 0) -> list[str]:
    """Return the lines up to the one that holds the words, and ``more`` after it."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if words in line:
            return lines + [process.stdout.readline() for _ in range(more)]
    assert process.stderr is not None
    raise AssertionError("".join(lines) + process.stderr.read())


@contextmanager
def _taken(port: int) -> Iterator[None]:
    """Listen on a port, unless somebody does already."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            other.bind(("127.0.0.1", port))
            other.listen()
        yield


def _plays(url: str, content: bytes) -> None:
    """What a browser does with a page of another origin: ask whether it may, then for a range; never list."""
    origin = {"Origin": "http://localhost:5173"}
    asks = {**origin, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "range"}
    with httpx.Client(trust_env=False, headers=origin) as http:
        before = http.options(url, headers=asks)
        assert (before.status_code, before.headers["access-control-allow-headers"]) == (200, "range")
        answer = http.get(url, headers={"Range": "bytes=2-"})
        assert (answer.status_code, answer.content) == (206, content[2:])
        assert answer.headers["access-control-allow-origin"] in ("*", origin["Origin"])
        assert http.get("/".join(url.split("/")[:4])).status_code == 403
        assert http.put(url, content=b"mine").status_code == 403


def _may_call(url: str) -> None:
    """A page of another origin may call Convex's functions; the server's controls are not for pages."""
    asks = {"Origin": "http://localhost:5173", "Access-Control-Request-Headers": "content-type,convex-client"}
    with httpx.Client(trust_env=False, headers=asks) as http:
        before = http.options(f"{url}/api/query")
        assert (before.status_code, before.headers["access-control-allow-origin"]) == (200, "*")
        assert before.headers["access-control-allow-headers"] == asks["Access-Control-Request-Headers"]
        answer = http.post(
            f"{url}/api/query", json={"path": "scenes:bySession", "args": {"sessionId": "p/s"}}
        )
        assert answer.headers["access-control-allow-origin"] == "*"
        assert (
            "access-control-allow-origin" not in http.get(f"{url}/__local/table/renderSidecar/assets").headers
        )


async def _names(url: str, session_id: str) -> list[str]:
    async with ConvexReader(url) as convex:
        try:
            return [asset["name"] async for asset in convex.assets(session_id)]
        except ServerError:
            return []


def _eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _processes_with(text: str) -> list[str]:
    """Return the command lines of running processes that name ``text``."""
    lines = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # ended meanwhile
            continue
        if text in line:
            lines.append(line)
    return lines
