"""A sidecar that waits for what the application makes: it makes neither sessions nor scenes."""

from __future__ import annotations

from typing import Any

from sidecar.local.convex_server import ConvexServer
from tests.support.convex import Caller, Sidecar, facts, put, remove

from .conftest import NARROW_WRITERS, Connect


def waiting(sidecar: Sidecar, *ops: dict[str, Any]) -> list[tuple[str, str | None]]:
    """Send ops that wait; return what became of each, and why."""
    return [(one["outcome"], one.get("code")) for one in sidecar.apply(*ops, onUnknownEntity="wait")]


def rows(server: ConvexServer, session_id: str) -> list[str]:
    """Return the tables that hold anything of a session."""
    tables = ["sessionProjects", "videoSessions", "scenes", "assets", "entityTotals", "sceneFacts", "notices"]
    return [
        name
        for name in tables
        if any(row["sessionId"] == session_id for row in server.table(f"renderSidecar/{name}"))
    ]


def make(server: ConvexServer, sidecar: Sidecar, *scenes: str) -> None:
    """Make the session and its scenes, as the application does."""
    of = {"sessionId": sidecar.session_id, "projectId": sidecar.project_id}
    with Caller(server.url, f"Convex {server.admin_key}") as admin:
        admin.inside("sessions:ensure", **of)
        for scene in scenes:
            admin.inside("scenes:ensure", **of, sceneId=scene)


def test_nothing_is_made_of_a_session_that_the_application_has_not_made(
    server: ConvexServer, sidecar: Sidecar
) -> None:
    """Not a row, not a claim; the same op applies once it is there. An asset may be removed from nowhere."""
    op = put()
    assert waiting(sidecar, op, facts(), remove("b.mp4")) == [
        ("unknown", "UNKNOWN_SESSION"),
        ("unknown", "UNKNOWN_SESSION"),
        ("unchanged", None),
    ]
    assert rows(server, sidecar.session_id) == []
    make(server, sidecar, "intro")
    assert waiting(sidecar, op, facts()) == [("applied", None)] * 2
    assert waiting(sidecar, op) == [("duplicate", None)]


def test_an_unknown_scene_keeps_nothing_else_of_its_session_back(
    server: ConvexServer, sidecar: Sidecar
) -> None:
    """In the same call, and assets of the session itself, too."""
    make(server, sidecar, "intro")
    manifest = put("m.m3u8", entityType="session", entityId=sidecar.session_id, assetType="manifest")
    unmade = put(entityId="outro")
    assert waiting(sidecar, unmade, put(), manifest, facts("outro")) == [
        ("unknown", "UNKNOWN_SCENE"),
        ("applied", None),
        ("applied", None),
        ("unknown", "UNKNOWN_SCENE"),
    ]
    scenes = [row for row in server.table("renderSidecar/scenes") if row["sessionId"] == sidecar.session_id]
    assert [row["sceneId"] for row in scenes] == ["intro"]
    make(server, sidecar, "outro")
    assert waiting(sidecar, unmade) == [("applied", None)]


def test_whose_session_it_is_the_application_says(server: ConvexServer, connect: Connect) -> None:
    """Who waits claims nothing, so nobody is refused before it is known whose it is."""
    narrow = connect(signer=NARROW_WRITERS, project_id="lab", session_id="foreign/waits")
    assert waiting(narrow, put(key="lab/a")) == [("unknown", "UNKNOWN_SESSION")]
    assert narrow.apply(put(key="lab/a"))[0]["code"] == "FOREIGN_SESSION"
    make(server, connect(session_id="foreign/waits"), "intro")
    assert waiting(narrow, put(key="lab/a")) == [("rejected", "SESSION_OF_OTHER_PROJECT")]


def test_what_was_deleted_is_not_waited_for(server: ConvexServer, sidecar: Sidecar) -> None:
    """A tombstone says no for good, to whoever waits as well."""
    make(server, sidecar, "intro")
    with Caller(server.url, f"Convex {server.admin_key}") as admin:
        admin.inside("scenes:remove", sessionId=sidecar.session_id, sceneId="intro")
    assert waiting(sidecar, put()) == [("rejected", "SCENE_DELETED")]


def test_who_does_not_wait_makes_what_is_missing(sidecar: Sidecar) -> None:
    """As before, and as sidecars of the contracts before do."""
    assert sidecar.outcomes(put(), facts()) == ["applied"] * 2
    assert [one["outcome"] for one in sidecar.apply(put(entityId="b"), onUnknownEntity="create")] == [
        "applied"
    ]
