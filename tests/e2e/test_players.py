"""Players with the official clients see what the daemon writes, with the daemon's own signed tokens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from sidecar.local.convex_modules import find_node, modules_folder
from sidecar.local.convex_server import ConvexServer, JwtTrust
from sidecar.local.seaweed import SeaweedServer
from tests.support.system import System, eventually, write

ISSUER, AUDIENCE = "https://renders.example.com", "render-sidecar"

# Each prints one line of JSON per state of the scene: its status and the key of its video.
PYTHON = """
    import asyncio, json, sys
    from convex import ConvexClient
    async def main():
        scene = {"sessionId": sys.argv[2], "sceneId": "s1"}
        async for scene in ConvexClient(sys.argv[1]).subscribe("scenes:get", scene):
            video = (scene or {}).get("videoAsset") or {}
            print(json.dumps([scene and scene["assetsStatus"], video.get("s3Key")]), flush=True)
    asyncio.run(main())
"""
JAVASCRIPT = """
    import { ConvexClient } from "convex/browser";
    import { anyApi as api } from "convex/server";
    const [url, sessionId] = process.argv.slice(2);
    new ConvexClient(url).onUpdate(api.scenes.get, { sessionId, sceneId: "s1" }, (scene) =>
      console.log(JSON.stringify([scene && scene.assetsStatus, scene?.videoAsset?.s3Key ?? null])));
"""


@pytest.fixture
def signed(tmp_path: Path, seaweed: SeaweedServer) -> Iterator[System]:
    """Set up a daemon that signs its tokens with a key that the command line made."""
    key = tmp_path / "sidecar.pem"
    made = subprocess.run(
        [sys.executable, "-m", "sidecar", "convex", "keys", "new", "--out", str(key)],
        capture_output=True,
        text=True,
        check=True,
    )
    data_uri = made.stdout.rsplit("'", 2)[1]
    trust = JwtTrust(issuer=ISSUER, audience=AUDIENCE, jwks_data_uri=data_uri)
    with ConvexServer(dev_auth=True, jwt=trust) as convex:
        system = System(tmp_path, seaweed, convex)
        system.settings["convex"]["auth"] = {
            "mode": "jwt",
            "issuer": ISSUER,
            "audience": AUDIENCE,
            "private_key_file": str(key),
        }
        yield system
        if system.process and system.process.poll() is None:
            system.kill()


def player(language: str, folder: Path, url: str, session: str) -> subprocess.Popen[str]:
    """Start a subscribed player."""
    if language == "python":
        script, command = folder / "player.py", [sys.executable]
        script.write_text(textwrap.dedent(PYTHON))
    else:
        node = find_node()
        (folder / "node_modules").symlink_to(modules_folder(node=node) / "node_modules")
        script, command = folder / "player.mjs", [node.binary]
        script.write_text(textwrap.dedent(JAVASCRIPT))
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return subprocess.Popen(
        [*command, str(script), url, session], stdout=subprocess.PIPE, text=True, env=environment
    )


@pytest.mark.parametrize("language", ["python", "npm"])
def test_a_subscribed_player_sees_a_chunk_and_then_the_scene_ready(
    signed: System, tmp_path: Path, language: str
) -> None:
    """Nobody polls: the state comes to the player; the object is there by then."""
    signed.start()
    with player(language, tmp_path, signed.convex.url, "demo/lesson") as subscribed:
        assert subscribed.stdout
        states = (json.loads(line) for line in subscribed.stdout)
        assert next(states) == [None, None]
        data = write(signed.root / "demo/lesson/s1/video/c1.mp4", b"not really a video" * 100)
        status, key = next(state for state in states if state[1])
        assert status == "uploading"
        assert signed.client.get_object(Bucket=signed.bucket, Key=unquote(key))["Body"].read() == data
        write(signed.root / "demo/lesson/s1/.complete", b"")
        assert next(state for state in states if state[0] == "ready")[1] == key
        subscribed.kill()
    (row,) = eventually("the row", signed.assets)
    assert row["version"] == 1
