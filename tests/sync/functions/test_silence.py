"""A sidecar that is gone: a scene that it shared does not wait for it, and one that it had alone says so."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from sidecar.local.convex_server import FUNCTIONS, ConvexServer
from tests.support.convex import COMPONENT, Caller, Sidecar, facts, put
from tests.support.system import eventually

SILENCE, SILENCE_MS = "SILENCE_MS = 15 * 60_000", 3_000
KEPT = "KEPT_MS = 30 * 24 * 60 * 60_000"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConvexServer]:
    """The packaged functions, for which three seconds are a quarter of an hour, and four a month."""
    functions = tmp_path_factory.mktemp("functions") / "convex"
    shutil.copytree(FUNCTIONS, functions)
    liveness = functions / COMPONENT / "lib" / "liveness.ts"
    assert SILENCE in liveness.read_text()
    liveness.write_text(liveness.read_text().replace(SILENCE, f"SILENCE_MS = {SILENCE_MS}"))
    collection = functions / COMPONENT / "lib" / "collection.ts"
    assert KEPT in collection.read_text()
    collection.write_text(collection.read_text().replace(KEPT, "KEPT_MS = 4_000"))
    (functions / COMPONENT / "testing.ts").write_text(TESTING)
    with ConvexServer(functions_dir=Path(functions), dev_auth=True) as running:
        yield running


# What a deployment holds whose functions were installed before there were heartbeats and counters.
TESTING = """
import { v } from "convex/values";
import { internalMutation } from "./_generated/server";
export const age = internalMutation({
  args: { producers: v.array(v.string()), sessionId: v.string() },
  handler: async (ctx, { producers, sessionId }) => {
    for (const table of ["sidecarHeartbeats", "sidecarCounters", "sidecarEpochs"] as const) {
      for (const row of await ctx.db.query(table).collect()) {
        if (!producers.includes(row.producer)) continue;
        if (table === "sidecarEpochs") await ctx.db.patch(row._id, { lastSeenAt: Date.now() + row.epoch });
        else await ctx.db.delete(row._id);
      }
    }
    for (const row of await ctx.db.query("entityTotals").collect()) {
      if (row.sessionId === sessionId) await ctx.db.patch(row._id, { counted: undefined });
    }
    for (const row of await ctx.db.query("videoSessions").collect()) {
      if (row.sessionId !== sessionId) continue;
      await ctx.db.patch(row._id, { assetCount: 77, totalAssetSize: 77, assetsStatus: "error" });
    }
  },
});
export const unwatch = internalMutation({
  args: { producer: v.string(), seenAt: v.number() },
  handler: async (ctx, { producer, seenAt }) => {
    for (const table of ["sidecarHeartbeats", "sceneFacts"] as const) {
      for (const row of await ctx.db.query(table).collect()) {
        if (row.producer !== producer) continue;
        await ctx.db.patch(row._id, { producer: "unwatched", ...(table === "sceneFacts" ? {} : { seenAt }) });
      }
    }
  },
});
"""


@pytest.fixture
def caller(server: ConvexServer) -> Iterator[Caller]:
    """Connect, as anybody."""
    with Caller(server.url) as connected:
        yield connected


def pair(caller: Caller, name: str) -> tuple[Sidecar, Sidecar]:
    """Let two sidecars share a session."""
    one, other = (Sidecar(caller, sidecar_id=f"{name}-{n}", session_id=f"p/{name}") for n in (1, 2))
    return one, other


def shown(caller: Caller, sidecar: Sidecar, scene_id: str = "intro") -> dict[str, Any]:
    """Return the scene's document."""
    scene: dict[str, Any] = caller.query("scenes:get", sessionId=sidecar.session_id, sceneId=scene_id)
    return scene


def session(caller: Caller, sidecar: Sidecar) -> dict[str, Any]:
    """Return the session's document."""
    found: dict[str, Any] = caller.query("sessions:get", sessionId=sidecar.session_id)
    return found


def heartbeat(server: ConvexServer, sidecar: Sidecar) -> dict[str, Any]:
    """Return the sidecar's heartbeat."""
    rows = server.table("renderSidecar/sidecarHeartbeats")
    (row,) = [row for row in rows if row["producer"].endswith(f"|{sidecar.sidecar_id}")]
    return row


@contextmanager
def kept_alive(server: ConvexServer, sidecar: Sidecar) -> Iterator[None]:
    """Let a sidecar that has nothing to tell give a sign of life every moment."""
    over = Event()

    def beat() -> None:
        with Caller(server.url) as own:
            while not over.wait(0.2):
                own.mutation("sidecar:heartbeat", sidecarId=sidecar.sidecar_id, epoch=sidecar.epoch)

    thread = Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_scene_is_ready_again_once_the_one_that_it_waited_for_is_gone(
    server: ConvexServer, caller: Caller
) -> None:
    """Nobody says a word: the one that is done is idle, the other was killed in the middle."""
    done, killed = pair(caller, "gone")
    done.apply(put(), facts())
    killed.apply(put("b.mp4"), facts(complete=False, owed=1))
    assert shown(caller, done)["assetsStatus"] == "uploading"
    eventually("it is ready", lambda: shown(caller, done)["assetsStatus"] == "ready", seconds=60)
    assert shown(caller, done)["stalledSince"] == heartbeat(server, killed)["seenAt"]
    assert (session(caller, done)["assetsStatus"], session(caller, done)["assetCount"]) == ("ready", 2)


def test_a_dead_lone_sidecar_is_shown(server: ConvexServer, caller: Caller) -> None:
    """Its scenes, however many, say since when they wait; what it had finished says nothing."""
    alone, _ = pair(caller, "alone")
    scenes = [f"scene-{number}" for number in range(120)]
    alone.apply(*[facts(scene, complete=number % 2 == 0, owed=1) for number, scene in enumerate(scenes[:99])])
    alone.apply(*[facts(scene, complete=False, owed=0) for scene in scenes[99:]], put(), facts())
    since = heartbeat(server, alone)["seenAt"]
    eventually(
        "all are marked",
        lambda: all(
            shown(caller, alone, scene).get("stalledSince") == since for scene in (scenes[0], scenes[-1])
        ),
        seconds=60,
    )
    server.control("settle", {})
    rows = [row for row in server.table("renderSidecar/scenes") if row["sessionId"] == alone.session_id]
    assert {row["sceneId"] for row in rows if row.get("stalledSince") == since} == set(scenes)
    assert {row["assetsStatus"] for row in rows if row["sceneId"] in scenes} == {"uploading"}
    assert shown(caller, alone)["assetsStatus"] == "ready"


def test_a_sidecar_that_nobody_watches_any_more_is_found_gone(server: ConvexServer, caller: Caller) -> None:
    """A scheduled job that fails for good is not run again: the next sign of life of any sidecar looks."""
    lost, other = pair(caller, "unwatched")
    lost.apply(put(), facts(complete=False, owed=1))
    seen = heartbeat(server, lost)["seenAt"] - 10 * SILENCE_MS
    with Caller(server.url, f"Convex {server.admin_key}") as admin:
        admin.inside("testing:unwatch", producer=f"dev|{lost.sidecar_id}", seenAt=seen)
    with kept_alive(server, other):
        eventually("it is shown", lambda: shown(caller, lost).get("stalledSince") == seen, seconds=60)


def test_an_idle_sidecar_is_not_gone(server: ConvexServer, caller: Caller) -> None:
    """It has nothing to tell for longer than the silence that counts, but it lives."""
    idle, done = pair(caller, "idle")
    idle.apply(facts(complete=False, owed=1))
    done.apply(put(), facts())
    began, heard = heartbeat(server, idle)["seenAt"], list[dict[str, Any]]()

    def is_long_enough() -> bool:
        heard.append(heartbeat(server, idle))
        return bool(heard[-1]["seenAt"] > began + 1.5 * SILENCE_MS)

    with kept_alive(server, idle):
        eventually("it was silent for long", is_long_enough, seconds=60)
        eventually("the other is gone", lambda: "goneSince" in heartbeat(server, done), seconds=60)
    assert [row for row in heard if "goneSince" in row] == []
    beats = sorted({began, *(row["seenAt"] for row in heard)})
    assert all(after - before < SILENCE_MS for before, after in itertools.pairwise(beats)), (
        "not even for a moment"
    )
    scene = shown(caller, idle)
    assert (scene["assetsStatus"], "stalledSince" in scene) == ("uploading", False)


def test_a_sidecar_that_was_only_away_is_waited_for_again(server: ConvexServer, caller: Caller) -> None:
    """A sign of life suffices; its scenes need not be told anew."""
    away, done = pair(caller, "away")
    away.apply(facts(complete=False, owed=1))
    done.apply(put(), facts())
    eventually("it is ready", lambda: shown(caller, away)["assetsStatus"] == "ready", seconds=60)
    with kept_alive(server, away):
        eventually("it waits", lambda: shown(caller, away)["assetsStatus"] == "uploading", seconds=60)
        assert "stalledSince" not in shown(caller, away)
    away.apply(facts())
    assert shown(caller, away)["assetsStatus"] == "ready"


def test_an_error_outlives_its_sidecar(server: ConvexServer, caller: Caller) -> None:
    """It is a last word, not something that is owed."""
    failed, _ = pair(caller, "failed")
    failed.apply(put(), facts(complete=False, owed=1, error="It could not be delivered."))
    eventually("it is gone", lambda: "goneSince" in heartbeat(server, failed), seconds=60)
    server.control("settle", {})
    scene = shown(caller, failed)
    assert (scene["assetsStatus"], "stalledSince" in scene) == ("error", False)


def test_an_error_of_one_that_is_gone_is_made_good_by_another(server: ConvexServer, caller: Caller) -> None:
    """Whoever rendered the whole scene again has the last word; while it is at it, the error stands."""
    again, failed = pair(caller, "again")
    failed.apply(put("b.mp4"), facts(complete=False, owed=1, error="It could not be delivered."))
    again.apply(put(), facts())
    assert shown(caller, again)["assetsStatus"] == "error"
    with kept_alive(server, again):
        eventually("it is ready", lambda: shown(caller, again)["assetsStatus"] == "ready", seconds=60)
        assert not {"stalledSince", "assetsErrorMessage"} & shown(caller, again).keys()
        again.apply(facts(complete=False, owed=1))
        assert shown(caller, again)["assetsErrorMessage"] == "It could not be delivered."
        again.apply(facts(error="The disk is full."))
        assert shown(caller, again)["assetsErrorMessage"] == "The disk is full."


def test_the_hundred_and_first_sidecar_of_a_scene_is_heard(caller: Caller) -> None:
    """A scene that ephemeral renderers worked on waits for the one that still owes something."""

    def sidecar(n: int) -> Sidecar:
        return Sidecar(caller, sidecar_id=f"many-{n:03}", session_id="p/many")

    first = sidecar(0)
    first.apply(put(), facts())
    for n in range(1, 101):
        sidecar(n).apply(facts())  # at once: on a busy machine one that says nothing is soon forgotten
    assert shown(caller, first)["assetsStatus"] == "ready"
    sidecar(101).apply(facts(complete=True, owed=1))
    assert shown(caller, first)["assetsStatus"] == "uploading"


def test_the_counters_of_those_that_are_gone_are_one_row(server: ConvexServer, caller: Caller) -> None:
    """Three hundred jobs leave no three hundred rows; the totals stay what they are."""
    jobs = [Sidecar(caller, sidecar_id=f"job-{n}", session_id="p/jobs") for n in range(12)]
    for number, job in enumerate(jobs):
        job.apply(put(entityId=f"scene-{number}"), facts(f"scene-{number}"))
    before = session(caller, jobs[0])
    assert (before["assetCount"], before["sceneCount"], before["readyCount"]) == (12, 12, 12)

    def producers() -> set[str]:
        return {
            row["producer"]
            for row in server.table("renderSidecar/sidecarCounters")
            if row["sessionId"] == "p/jobs"
        }

    eventually("all are folded", lambda: producers() == {""}, seconds=60)
    after = session(caller, jobs[0])
    changed = {name for name in before if before[name] != after[name]}
    assert changed <= {"updatedAt"}
    jobs[0].apply(put(content="B", entityId="scene-0", size=1))
    with Caller(server.url, f"Convex {server.admin_key}") as admin:
        admin.mutation("scenes:remove", sessionId="p/jobs", sceneId="scene-1")
    total = session(caller, jobs[0])
    assert (total["assetCount"], total["sceneCount"], total["totalAssetSize"]) == (11, 11, 10_001)


def test_many_backends_leave_no_row_for_each(
    server: ConvexServer, caller: Caller, request: pytest.FixtureRequest
) -> None:
    """Each removes one asset under a name of its own, and is not heard again: 300 with ``--faults=all``."""
    backends = 300 if request.config.getoption("--faults") == "all" else 40
    sidecar, _ = pair(caller, "backends")
    for first in range(0, backends + 10, 50):
        last = min(first + 50, backends + 10)
        sidecar.apply(*[put(f"{number}.mp4") for number in range(first, last)])
    with Caller(server.url, f"Convex {server.admin_key}") as admin:
        for number in range(backends):
            backend = {"producer": f"backend {number}", "projects": ["p"]}
            slot = {"sessionId": sidecar.session_id, "entityType": "scene", "entityId": "intro"}
            slot |= {"assetType": "video_chunk", "name": f"{number}.mp4"}
            removal = {"slot": slot, "expectedVersion": 1}
            [done] = admin.inside("sidecar:removeAssets", caller=backend, projectId="p", removals=[removal])
            assert done["outcome"] == "removed"
    for table in ("sidecarCounters", "sidecarHeartbeats"):
        eventually(
            f"none is left in {table}",
            lambda table=table: producers_in(server, table, "backend ") == set(),  # type: ignore[misc]
            seconds=60,
        )
    assert (session(caller, sidecar)["assetCount"], session(caller, sidecar)["totalAssetSize"]) == (
        10,
        10_000,
    )


def producers_in(server: ConvexServer, table: str, prefix: str) -> set[str]:
    """Return those of a table whose names begin so."""
    rows = server.table(f"renderSidecar/{table}")
    return {row["producer"] for row in rows if row["producer"].startswith(prefix)}


def test_a_short_lived_sidecar_leaves_no_rows_of_its_own(server: ConvexServer, caller: Caller) -> None:
    """What it made stays, and another journal of it goes on where it ended."""
    job, other = pair(caller, "short")
    for number in range(5):
        job.apply(*[put(f"{number}-{n}.mp4") for n in range(60)])
    job.register("journal-2")

    def left() -> list[str]:
        tables = ("appliedOps", "sidecarEpochs", "sidecarHeartbeats")
        mine = f"|{job.sidecar_id}"
        return [
            table
            for table in tables
            for row in server.table(f"renderSidecar/{table}")
            if row["producer"].endswith(mine)
        ]

    with kept_alive(server, other):
        eventually("all is collected", lambda: left() == [], seconds=60)
        assert heartbeat(server, other)
    assert session(caller, job)["assetCount"] == 300
    back = Sidecar(caller, sidecar_id=job.sidecar_id, session_id=job.session_id)
    assert (back.epoch, back.outcomes(put("0-0.mp4"), put("0-1.mp4", "B"))) == (1, ["unchanged", "applied"])


def test_a_deployment_of_yesterday_counts_and_buries_as_well(server: ConvexServer, caller: Caller) -> None:
    """The next sidecar that starts brings the rows up to date, also those of sidecars that died before."""
    dead, done = pair(caller, "old")
    dead.apply(put(), put("b.mp4"), facts(complete=False, owed=1))
    done.apply(put(entityId="outro"), facts("outro"), facts())
    with Caller(server.url, f"Convex {server.admin_key}") as admin:
        producers = [f"dev|{one.sidecar_id}" for one in (dead, done)]
        admin.inside("testing:age", producers=producers, sessionId=dead.session_id)
    done.apply(put("c.mp4", entityId="outro"))
    Sidecar(caller, sidecar_id="old-3", session_id=dead.session_id)
    server.control("settle", {})
    total = session(caller, dead)
    assert (total["assetCount"], total["totalAssetSize"], total["sceneCount"]) == (4, 4000, 2)
    (row,) = [
        row for row in server.table("renderSidecar/videoSessions") if row["sessionId"] == dead.session_id
    ]
    assert "assetCount" not in row
    eventually("it is ready", lambda: shown(caller, dead)["assetsStatus"] == "ready", seconds=60)


def test_a_sidecar_of_yesterday_was_last_seen_by_its_newest_journal(
    server: ConvexServer, caller: Caller
) -> None:
    """Each of its journals had a time of its own."""
    dead, _ = pair(caller, "journals")
    dead.apply(facts(complete=False, owed=1))
    for number in range(2, 5):
        dead.register(f"journal-{number}")
    producer = f"dev|{dead.sidecar_id}"
    with Caller(server.url, f"Convex {server.admin_key}") as admin:
        admin.inside("testing:age", producers=[producer], sessionId=dead.session_id)
    seen = [
        row["lastSeenAt"]
        for row in server.table("renderSidecar/sidecarEpochs")
        if row["producer"] == producer
    ]
    Sidecar(caller, sidecar_id="journals-3", session_id=dead.session_id)

    def heard() -> list[float]:
        return [
            row["seenAt"]
            for row in server.table("renderSidecar/sidecarHeartbeats")
            if row["producer"] == producer
        ]

    eventually("it has a heartbeat", lambda: heard() != [], seconds=60)
    assert (len(seen), heard()) == (4, [max(seen)])


def test_functions_that_are_replaced_under_a_running_sidecar_count_as_well(
    server: ConvexServer, caller: Caller
) -> None:
    """No sidecar starts for days: a sign of life of one that is idle suffices."""
    idle, _ = pair(caller, "replaced")
    idle.apply(put(), put("b.mp4"), facts())
    with Caller(server.url, f"Convex {server.admin_key}") as admin:
        admin.inside("testing:age", producers=[f"dev|{idle.sidecar_id}"], sessionId=idle.session_id)
    caller.mutation("sidecar:heartbeat", sidecarId=idle.sidecar_id, epoch=idle.epoch)
    eventually("it is counted", lambda: session(caller, idle)["assetCount"] == 2, seconds=60)
    (row,) = [
        row for row in server.table("renderSidecar/videoSessions") if row["sessionId"] == idle.session_id
    ]
    assert not {"assetCount", "totalAssetSize", "assetsStatus"} & row.keys()
    assert session(caller, idle)["assetsStatus"] == "ready"
