"""``on_unknown_entity: wait``, over a real journal and the real functions: nothing is lost or held up."""

from __future__ import annotations

import pytest

from sidecar.core import unknown_entities
from sidecar.core.model import Transfer
from sidecar.journal.journal import Journal
from sidecar.local.convex_server import ConvexServer
from tests.support import journals
from tests.support.convex import Caller

from .conftest import Desk, OpenDesk

APPLY = "sidecar:applyAssets"


def make(convex: ConvexServer, *scenes: str) -> None:
    """Make the session of the desk's files and scenes of it, as the application does."""
    of = {"sessionId": "demo/lesson", "projectId": "demo"}
    with Caller(convex.url, f"Convex {convex.admin_key}") as admin:
        admin.inside("sessions:ensure", **of)
        for scene in scenes:
            admin.inside("scenes:ensure", **of, sceneId=scene)


def shipped(journal: Journal, name: str, scene: str) -> Transfer:
    """Bring a file of a scene to ``uploaded``."""
    transfer = journals.ready(journal, name, at=journals.route(name, scene=scene))
    journals.ship(journal, transfer)
    return transfer


def calls(convex: ConvexServer) -> int:
    """Return how many batches came."""
    return int(convex.control("stats")["calls"].get(APPLY, 0))


async def spent(desk: Desk) -> int:
    """Return the most attempts that any op has spent."""
    found = await desk.writer.run(
        lambda journal: journal.db.execute("SELECT max(failures) AS n FROM outbox").fetchone()["n"]
    )
    return int(found or 0)


async def test_what_is_not_made_is_waited_for_and_shown(
    convex: ConvexServer, open_desk: OpenDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither dead nor told; the breaker hears nothing of it; once it is made it goes, whole and once."""
    monkeypatch.setattr(unknown_entities, "PAUSE_SECONDS", 0.05)
    async with open_desk(convex.url, on_unknown_entity="wait") as desk:
        transfers = await desk.shipped(*(f"{n}.mp4" for n in range(20)))

        async def asked_again() -> bool:
            return calls(convex) >= 4

        await desk.until(asked_again)
        assert {await desk.state_of(one) for one in transfers} == {"uploaded"}
        assert (convex.table("renderSidecar/assets"), convex.table("renderSidecar/sessionProjects")) == (
            [],
            [],
        )
        assert await spent(desk) == 0
        assert desk.gate.reason is None
        [why] = desk.stage.unknown.reasons()
        assert why == 'the application has not made session "demo/lesson" yet (ensureSession)'
        assert desk.stage.unknown.why("demo/lesson", "s1") == why
        make(convex, "s1")
        await desk.until_state("synced", *transfers)
        assert desk.stage.unknown.reasons() == []
    assert len(convex.table("renderSidecar/assetVersions")) == 20


async def test_a_scene_that_is_not_made_keeps_no_other_back(
    convex: ConvexServer, open_desk: OpenDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files wait, one of them asks; a restart asks anew."""
    monkeypatch.setattr(unknown_entities, "PAUSE_SECONDS", 0.05)
    make(convex, "made")
    async with open_desk(convex.url, on_unknown_entity="wait") as desk:
        late = [await desk.writer.run(shipped, f"late-{n}.mp4", "unmade") for n in range(5)]
        early = [await desk.writer.run(shipped, f"early-{n}.mp4", "made") for n in range(5)]
        await desk.until_state("synced", *early)
        assert {await desk.state_of(one) for one in late} == {"uploaded"}
        assert desk.stage.unknown.why("demo/lesson", "made") is None
    async with open_desk(convex.url, on_unknown_entity="wait") as desk:

        async def noticed() -> bool:
            return desk.stage.unknown.why("demo/lesson", "unmade") is not None

        await desk.until(noticed)
        make(convex, "unmade")
        await desk.until_state("synced", *late)
    assert len(convex.table("renderSidecar/scenes")) == 2
