"""A sidecar that is gone: a scene that it shared does not wait for it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sidecar.local.convex_server import FUNCTIONS, ConvexServer
from tests.support.convex import Caller, Sidecar, facts, put
from tests.support.system import eventually

SILENCE = "SILENCE_MS = 15 * 60_000"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConvexServer]:
    """The packaged functions, for which three seconds are a quarter of an hour."""
    functions = tmp_path_factory.mktemp("functions") / "convex"
    shutil.copytree(FUNCTIONS, functions)
    queue = functions / "sidecarLib" / "recheckQueue.ts"
    assert SILENCE in queue.read_text()
    queue.write_text(queue.read_text().replace(SILENCE, "SILENCE_MS = 3_000"))
    with ConvexServer(functions_dir=Path(functions), dev_auth=True) as running:
        yield running


@pytest.fixture
def caller(server: ConvexServer) -> Iterator[Caller]:
    """Connect, as anybody."""
    with Caller(server.url) as connected:
        yield connected


def pair(caller: Caller, name: str) -> tuple[Sidecar, Sidecar]:
    """Let two sidecars share a session."""
    one, other = (Sidecar(caller, sidecar_id=f"{name}-{n}", session_id=f"p/{name}") for n in (1, 2))
    return one, other


def shown(server: ConvexServer, sidecar: Sidecar) -> dict[str, Any]:
    """Return the scene's document."""
    (scene,) = [row for row in server.table("scenes") if row["sessionId"] == sidecar.session_id]
    return scene


def test_a_scene_is_ready_again_once_the_one_that_it_waited_for_is_gone(
    server: ConvexServer, caller: Caller
) -> None:
    """Nobody says a word: the one that is done is idle, the other was killed in the middle."""
    done, killed = pair(caller, "gone")
    done.apply(put(), facts())
    killed.apply(facts(complete=False, owed=1))
    assert shown(server, done)["assetsStatus"] == "uploading"
    eventually("it is ready", lambda: shown(server, done)["assetsStatus"] == "ready", seconds=60)
    eventually("its session is", lambda: _session(server, done)["assetsStatus"] == "ready", seconds=60)
    assert server.table("sceneRechecks") == []


def test_a_scene_waits_for_a_sidecar_that_speaks_again(server: ConvexServer, caller: Caller) -> None:
    """However often it was looked at."""
    done, busy = pair(caller, "alive")
    done.apply(put(), facts())
    for _ in range(2):
        busy.apply(facts(complete=False, owed=1))
        assert shown(server, done)["assetsStatus"] == "uploading"
        (job,) = [row for row in server.table("sceneRechecks") if row["sessionId"] == busy.session_id]
        eventually("it was looked at", partial(_is_over, server, job), seconds=60)
    busy.apply(facts())
    assert shown(server, done)["assetsStatus"] == "ready"


def test_a_scene_of_one_sidecar_alone_is_not_looked_at_again(server: ConvexServer, caller: Caller) -> None:
    """There is nobody else whose word would count."""
    alone, _ = pair(caller, "alone")
    alone.apply(put(), facts(complete=False, owed=1))
    assert [row for row in server.table("sceneRechecks") if row["sessionId"] == alone.session_id] == []


def _is_over(server: ConvexServer, job: dict[str, Any]) -> bool:
    return job not in server.table("sceneRechecks")


def _session(server: ConvexServer, sidecar: Sidecar) -> dict[str, Any]:
    (session,) = [row for row in server.table("videoSessions") if row["sessionId"] == sidecar.session_id]
    return session
