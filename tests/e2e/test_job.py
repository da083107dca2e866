"""A render job's last step, as the shipped manifests have it: `sh -c`, a renderer and curl."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.support.system import System

CONFIG = Path(__file__).parents[2] / "config"
CURL_REFUSED = 22  # what curl --fail-with-body ends with, whatever status of 400 and above came
PAGE = "http://127.0.0.1:9745/"

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def _of_kubernetes() -> str:
    job = YAML(typ="safe", pure=True).load((CONFIG / "kubernetes/job.yaml").read_text())
    (renderer,) = job["spec"]["template"]["spec"]["containers"]
    assert renderer["command"] == ["sh", "-c"]
    (script,) = renderer["args"]
    return str(script)


def _of_compose() -> str:
    compose = YAML(typ="safe", pure=True).load((CONFIG / "compose.yaml").read_text())
    (command,) = (
        service["command"]
        for service in compose["services"].values()
        if "curl" in str(service.get("command"))
    )
    return str(command[-1])


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How the last step ended, and what it printed."""

    status: int
    reply: dict[str, Any]


def run(system: System, script: str, renders: str, *, timeout: str = "30m") -> Ended:
    """Run a manifest's own script; what the renderer does is a few lines of shell."""
    (system.folder / "bin").mkdir(exist_ok=True)
    renderer = system.folder / "bin/render"
    renderer.write_text(f"#!/bin/sh\nset -e\ncd {system.root}\n{renders}\n")
    renderer.chmod(0o755)
    assert PAGE in script
    asked = script.replace(PAGE, f"http://127.0.0.1:{system.port}/").replace(
        "timeout=30m", f"timeout={timeout}"
    )
    ended = subprocess.run(
        ["sh", "-c", asked],
        env={"PATH": f"{system.folder}/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return Ended(status=ended.returncode, reply=json.loads(ended.stdout))


LESSON = "algebra/complex-numbers"
GOOD = (
    f"mkdir -p {LESSON}/intro/source {LESSON}/intro/subtitles\necho 'print(1)' > {LESSON}/intro/source/a.py"
)
ASTRAY = f"{GOOD}\nhead -c 9000 /dev/urandom > {LESSON}/intro/film.mp4"


@pytest.mark.parametrize("script", [_of_kubernetes, _of_compose])
def test_a_job_is_green_only_when_its_files_are_delivered(system: System, script: Any) -> None:
    """Green with all of it in the bucket; red with the name of the file that is in the wrong place."""
    system.start()
    green = run(system, script(), GOOD)
    assert (green.status, green.reply["result"]) == (0, "synced")
    assert green.reply["delivered"] == {"files": 1, "bytes": 9}
    system.check({"a.py": b"print(1)\n"})
    red = run(system, script(), ASTRAY)
    assert (red.status, red.reply["result"], red.reply["failed_files"]) == (CURL_REFUSED, "failed", 1)
    assert red.reply["failed"][0]["path"] == f"{system.root}/{LESSON}/intro/film.mp4"
    assert "`video/` is missing" in red.reply["failed"][0]["why"]
    assert system.stop() == 75


def test_a_job_that_rendered_elsewhere_is_red_at_once(system: System) -> None:
    """Its session was never seen; what was is named."""
    system.start()
    ended = run(system, _of_kubernetes(), GOOD.replace(LESSON, "algebra/complex"))
    assert ended.status == CURL_REFUSED
    assert ended.reply["verdict"].startswith(
        f"nothing of {LESSON} was ever seen; known sessions: algebra/complex"
    )
    assert system.stop() == 0


def test_a_job_whose_file_is_never_whole_is_red_when_the_time_is_over(system: System) -> None:
    """A killed encoder's empty film."""
    system.start()
    empty = f"{GOOD}\nmkdir {LESSON}/intro/video\n: > {LESSON}/intro/video/a.mp4"
    ended = run(system, _of_kubernetes(), empty, timeout="3s")
    assert (ended.status, ended.reply["result"], ended.reply["owed_files"]) == (CURL_REFUSED, "timeout", 1)
    assert "0 bytes are too few" in ended.reply["owed"][0]["why"]
    assert ended.reply["delivered"]["files"] == 1
