"""The official clients read and subscribe to what a sidecar wrote."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sidecar.local.convex_modules import find_node, modules_folder
from sidecar.local.convex_server import ConvexServer
from tests.support.convex import Sidecar, facts, put

from .conftest import STRANGERS

# Each prints a line of JSON for every state of the scene that it sees, and ends when the scene is ready.
PYTHON = """
    import asyncio, json, os, sys
    from convex import ConvexClient
    url, token, session = sys.argv[1:]
    async def main():
        client = ConvexClient(url)
        client.set_auth(token)
        async for scene in client.subscribe("scenes:get", {"sessionId": session, "sceneId": "intro"}):
            print(json.dumps(scene and [scene["assetsStatus"], scene["assetVersion"]]), flush=True)
            if scene and scene["assetsStatus"] == "ready":
                found = client.query("sessions:get", {"sessionId": session})
                print(json.dumps(found["sessionId"]), flush=True)
                os._exit(0)
    asyncio.run(main())
"""
JAVASCRIPT = """
    import { ConvexClient, ConvexHttpClient } from "convex/browser";
    import { anyApi as api } from "convex/server";
    const [url, token, sessionId] = process.argv.slice(2);
    const client = new ConvexClient(url);
    client.setAuth(async () => token);
    const http = new ConvexHttpClient(url);
    http.setAuth(token);
    const print = (value) => console.log(JSON.stringify(value));
    client.onUpdate(api.scenes.get, { sessionId, sceneId: "intro" }, async (scene) => {
      print(scene && [scene.assetsStatus, scene.assetVersion]);
      if (scene?.assetsStatus !== "ready") return;
      print((await http.query(api.sessions.get, { sessionId })).sessionId);
      process.exit(0);
    });
"""


@pytest.fixture(scope="session")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Return the command of each client."""
    folder = tmp_path_factory.mktemp("clients")
    node = find_node()
    (folder / "node_modules").symlink_to(modules_folder(node=node) / "node_modules")
    return {
        "python": [sys.executable, str(_write(folder / "client.py", PYTHON))],
        "npm": [node.binary, str(_write(folder / "client.mjs", JAVASCRIPT))],
    }


def _write(path: Path, text: str) -> Path:
    path.write_text(textwrap.dedent(text))
    return path


@contextmanager
def subscribed(command: list[str], server: ConvexServer, sidecar: Sidecar) -> Iterator[Iterator[object]]:
    """Run a client; yield what it sees, state by state."""
    arguments = [server.url, STRANGERS.token("viewer"), sidecar.session_id]
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    with subprocess.Popen(
        [*command, *arguments], stdout=subprocess.PIPE, text=True, env=environment
    ) as client:
        assert client.stdout
        try:
            yield (json.loads(line) for line in client.stdout)
        finally:
            client.kill()


@pytest.mark.parametrize("language", ["python", "npm"])
def test_a_subscribed_player_sees_each_change(
    server: ConvexServer, sidecar: Sidecar, scripts: dict[str, list[str]], language: str
) -> None:
    """From a session that does not exist yet to a scene that is ready, without asking again."""
    with subscribed(scripts[language], server, sidecar) as states:
        assert next(states) is None
        sidecar.apply(put(content="A"))
        assert _settled(states, ["uploading", 1]) == ["uploading", 1]
        sidecar.apply(put(content="B"))
        assert _settled(states, ["uploading", 2]) == ["uploading", 2]
        sidecar.apply(facts())
        assert _settled(states, ["ready", 2]) == ["ready", 2]
        assert next(states) == sidecar.session_id


def test_a_quiet_scene_is_not_read_again_for_what_others_write(
    server: ConvexServer, sidecar: Sidecar, scripts: dict[str, list[str]]
) -> None:
    """Neither for assets of other scenes nor for the totals of their session."""
    with subscribed(scripts["python"], server, sidecar) as states:
        sidecar.apply(put(content="A"))
        assert _settled(states, ["uploading", 1]) == ["uploading", 1]
        before = server.control("stats")["calls"]["scenes:get"]
        for number in range(20):
            sidecar.apply(put(f"{number}.mp4", entityId="outro"), facts("outro"))
        sidecar.apply(facts())
        assert _settled(states, ["ready", 1]) == ["ready", 1]
        assert server.control("stats")["calls"]["scenes:get"] - before == 1


def _settled(states: Iterator[object], wanted: object) -> object:
    """Skip repeated states: authenticating and the session's totals run the query again."""
    for state in states:
        if state == wanted:
            return state
        assert state is None or isinstance(state, list)
    raise AssertionError(f"the client ended before it saw {wanted}")
