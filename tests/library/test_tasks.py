"""Background work runs in process, and on a Celery worker that is killed in its middle."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest

from sidecar import tasks
from sidecar.library.errors import LibraryError
from sidecar.local.convex_server import ConvexServer
from sidecar.local.ports import free_ports
from tests.support.system import eventually

REDIS = shutil.which("redis-server")
CELERY = importlib.util.find_spec("celery") is not None
APP = """
from celery import Celery
app = Celery("platform", broker=BROKER, backend=BROKER)
import sidecar.tasks
"""
FFMPEG = """#!/bin/sh
echo $PPID > {mark}.new && mv {mark}.new {mark}
while [ ! -e {go} ]; do sleep 0.05; done
exec {real} "$@"
"""


@pytest.fixture
def config(settings: dict[str, Any], tmp_path: Path) -> str:
    """Write the platform's configuration."""
    file = tmp_path / "sidecar.yaml"
    file.write_text(json.dumps(settings))
    return str(file)


@pytest.fixture
def video(tmp_path: Path) -> str:
    """Make a film of a second."""
    made = tmp_path / "film.mp4"
    source = ["-f", "lavfi", "-i", "testsrc=size=64x48:rate=5:duration=1"]
    subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *source, "-pix_fmt", "yuv420p", str(made)],
        check=True,
    )
    return str(made)


def test_each_task_runs_in_process_and_doing_it_again_changes_nothing(
    config: str, video: str, convex: ConvexServer
) -> None:
    """A thumbnail, the session's manifest with it, and the clean-up of the scene."""
    for _ in range(2):
        thumbnail = tasks.make_thumbnail(video, "intro", "p/s", at_seconds=0.5, config=config)
        manifest = tasks.write_manifest("p/s", config=config)
    rows = {row["assetId"]: row for row in convex.table("renderSidecar/assets")}
    assert {name: row["version"] for name, row in rows.items()} == {thumbnail: 1, manifest: 1}
    assert [tasks.clean_up_scene("intro", "p/s", config=config) for _ in range(2)] == [[thumbnail], []]


def test_a_film_without_a_picture_is_one_sentence(config: str, tmp_path: Path) -> None:
    """With ffmpeg's own words, and nothing stored."""
    torn = tmp_path / "torn.mp4"
    torn.write_bytes(b"no film")
    with pytest.raises(LibraryError, match=r"no thumbnail of .*torn\.mp4 at 0\.0 s: "):
        tasks.make_thumbnail(str(torn), "intro", "p/s", config=config)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[str]:
    """Start a Redis."""
    (port,) = free_ports(1)
    argv = [str(REDIS), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    server = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    yield f"redis://127.0.0.1:{port}/0"
    server.kill()
    server.wait()


@pytest.mark.skipif(REDIS is None or not CELERY, reason="needs redis-server and the extra celery")
def test_a_task_whose_worker_is_killed_is_done_by_the_next(
    config: str,
    video: str,
    broker: str,
    tmp_path: Path,
    convex: ConvexServer,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """SIGKILL while ffmpeg runs: it was seen as started, runs again, and is one version in the end."""
    if not request.config.getoption("--celery"):
        pytest.skip("it takes a worker and half a minute: --celery")
    mark, go, programs = tmp_path / "mark", tmp_path / "go", tmp_path / "bin"
    programs.mkdir()
    stand_in = programs / "ffmpeg"
    stand_in.write_text(FFMPEG.format(mark=mark, go=go, real=imageio_ffmpeg.get_ffmpeg_exe()))
    stand_in.chmod(0o755)
    (tmp_path / "platform_app.py").write_text(APP.replace("BROKER", repr(broker)))
    argv = [sys.executable, "-m", "celery", "-A", "platform_app", "worker", "-c", "1", "-l", "warning"]
    environ = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)}
    worker = subprocess.Popen([*argv, "--without-gossip", "--without-mingle"], cwd=tmp_path, env=environ)
    try:
        monkeypatch.syspath_prepend(tmp_path)
        app: Any = importlib.import_module("platform_app").app
        name, named = "sidecar.tasks.make_thumbnail", {"config": config}
        result = app.send_task(name, (video, "intro", "p/s"), named)
        eventually("ffmpeg runs", mark.exists, seconds=60)
        assert result.state == "STARTED"
        os.kill(int(mark.read_text()), signal.SIGKILL)
        mark.unlink()
        eventually("it runs again", mark.exists, seconds=60)
        go.touch()
        asset = result.get(timeout=60)
        app.close()
    finally:
        worker.terminate()
        worker.wait()
    (row,) = convex.table("renderSidecar/assets")
    assert (row["assetId"], row["version"]) == (asset, 1)


def test_without_celery_the_tasks_are_plain_functions() -> None:
    """The extra is only for those who have workers."""
    program = (
        "import sys; sys.modules['celery'] = None; from sidecar import tasks; print(tasks.make_thumbnail)"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout.startswith("<function make_thumbnail")
