"""What is installed moves into the component and back, with writers that go on and a kill in every batch."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from sidecar.local.convex_server import ConvexServer
from sidecar.sync.moving.deployment import Deployment
from sidecar.sync.moving.project import BACKUP, Home, MigrationError, Project
from sidecar.sync.moving.steps import migrate
from tests.support.convex import COMPONENT, Caller, Refused, Sidecar, facts, put
from tests.support.patience import DEADLINE_SECONDS

from .conftest import SESSION, Killing, Writer, former_project

TABLES = (
    *("sessionProjects", "videoSessions", "scenes", "assets", "assetVersions", "entityTotals"),
    *("sidecarCounters", "sceneFacts", "deletedScenes", "appliedOps", "sidecarEpochs", "sidecarHeartbeats"),
)
PHASES = {"holding", "stopping", "clearing", "copying", "comparing", "resting", "switching", "done"}
STEPS_MAX = 200  # a few rows in twelve tables take about fifty
Connect = Callable[[str], Sidecar]


def rows(server: ConvexServer, table: str) -> list[dict[str, Any]]:
    """Return a table's documents without their places."""
    found = [{k: v for k, v in row.items() if not k.startswith("_")} for row in server.table(table)]
    return sorted(found, key=str)


def write_rows(server: ConvexServer, table: str, *documents: dict[str, Any]) -> None:
    """Write into the component, past all rules."""
    args = {"table": table, "rows": [json.dumps(document) for document in documents]}
    body = {"path": "migration:write", "componentPath": COMPONENT, "args": args}
    headers = {"Authorization": f"Convex {server.admin_key}"}
    with httpx.Client(base_url=server.url, headers=headers, trust_env=False) as http:
        assert http.post("/api/function", json=body).json()["status"] == "success"


def move(server: ConvexServer, into: Path, to: Home) -> list[str]:
    """Migrate in one life; return the phases in their order."""
    with Deployment(server.url, deploy_key=server.admin_key) as deployment:
        project = Project(into=into)
        phases = []
        for step in migrate(project, deployment, to=to, deploy=lambda: server.deploy(into)):
            phases.append(step.phase)
            assert len(phases) < STEPS_MAX, "it does not come to its end"
        return [phase for phase, _ in itertools.groupby(phases)]


@contextmanager
def writing(connect: Connect, count: int) -> Iterator[list[Writer]]:
    """Let sidecars write; end them, and raise what went wrong with one."""
    stop = threading.Event()
    writers = [Writer(sidecar=connect(f"w{i}"), stop=stop) for i in range(count)]
    threads = [threading.Thread(target=writer.run) for writer in writers]
    for thread in threads:
        thread.start()
    try:
        yield writers
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    for writer in writers:
        if writer.error is not None:
            raise writer.error


def test_writers_go_on_though_every_batch_dies(
    server: ConvexServer, into: Path, connect: Connect, request: pytest.FixtureRequest
) -> None:
    """There and back: every op is applied once, versions go on, epochs stay, nothing is lost or doubled."""
    count, homes = (16, 3) if request.config.getoption("--crash") == "all" else (4, 1)
    seed = connect("seed")
    for size in (100, 20):
        seed.apply(*(put(f"{size}-{i}.mp4", entityId=f"scene-{i % 7}") for i in range(size)))
    killing = Killing(server=server, project=Project(into=into))
    with writing(connect, count) as writers:
        for home in (Home.COMPONENT, Home.APPLICATION, Home.COMPONENT)[:homes]:
            killing.until_done(home)
            wait_for_more(writers)
    assert killing.phases >= PHASES
    assert killing.lives > 20
    assert set().union(*(writer.refusals for writer in writers)) == {"MIGRATING"}
    versions = {row["name"]: row["version"] for row in rows(server, "renderSidecar/assets")}
    for writer in writers:
        assert versions.pop(f"{writer.sidecar.sidecar_id}.mp4") == writer.settled
    assert set(versions.values()) == {1}
    assert len(versions) == 120


def test_another_module_is_deployed_however_often_it_dies(
    server: ConvexServer, into: Path, connect: Connect
) -> None:
    """There and back it is done only when the functions of that side are what sidecars reach."""
    connect("a").apply(put())
    killing = Killing(server=server, project=Project(into=into, module="media"))
    with Deployment(server.url, deploy_key=server.admin_key) as deployment:
        killing.until_done(Home.COMPONENT)
        assert [deployment.is_live(module) for module in ("media", "sidecar")] == [True, False]
        assert len(rows(server, "renderSidecar/assets")) == 1
        killing.until_done(Home.APPLICATION)
        assert [deployment.is_live(module) for module in ("media", "sidecar")] == [False, True]
    assert not (into / "media.ts").exists()
    assert connect("a").apply(put(content="back"))[0]["version"] == 2


def wait_for_more(writers: list[Writer]) -> None:
    """Wait until each has got something through."""
    before = [writer.settled for writer in writers]
    deadline = time.monotonic() + DEADLINE_SECONDS
    while any(writer.settled <= n for writer, n in zip(writers, before, strict=True)):
        assert time.monotonic() < deadline, "the writers do not go on"
        time.sleep(0.02)


def test_what_is_held_is_copied_row_for_row(server: ConvexServer, into: Path, connect: Connect) -> None:
    """Readers see the same before, during and after; the old tables are kept."""
    one = connect("a")
    one.apply(put(), put("b.mp4"), put(entityId="gone"), facts())
    with Caller(server.url, f"Convex {server.admin_key}") as owner:
        before = owner.query("scenes:get", sessionId=SESSION, sceneId="intro")
        seen = []
        with Deployment(server.url, deploy_key=server.admin_key) as deployment:
            for step in migrate(
                Project(into=into), deployment, to=Home.COMPONENT, deploy=lambda: server.deploy(into)
            ):
                seen.append(owner.query("scenes:get", sessionId=SESSION, sceneId="intro"))
                if step.phase == "resting":
                    former = {table: rows(server, table) for table in TABLES}
                    copies = {table: rows(server, f"renderSidecar/{table}") for table in TABLES}
    strangers = {"_id", "_creationTime"}
    plain = [{k: v for k, v in scene.items() if k not in strangers} for scene in [before, *seen]]
    assert all(scene == plain[0] for scene in plain)
    assert set(TABLES) - {table for table in TABLES if former[table]} == {"deletedScenes"}
    beats = {former.pop("sidecarHeartbeats")[0]["producer"], copies.pop("sidecarHeartbeats")[0]["producer"]}
    assert (len(beats), former) == (1, copies)
    assert {table: rows(server, table) for table in former} == former


def test_ledger_and_tombstones_go_along(server: ConvexServer, into: Path, connect: Connect) -> None:
    """An op of before is a duplicate, a deleted scene stays deleted, a journal keeps its epoch."""
    one = connect("a")
    op, late = put(), put(entityId="gone")
    one.apply(op, put(entityId="gone"))
    with Caller(server.url, f"Convex {server.admin_key}") as owner:
        owner.mutation("scenes:remove", sessionId=SESSION, sceneId="gone")
    move(server, into, Home.COMPONENT)
    assert one.outcomes(op) == ["duplicate"]
    assert one.apply(late)[0]["outcome"] == "rejected"
    assert one.register("journal-1")["epoch"] == one.epoch


def test_the_way_back_restores_files_and_what_was_written_since(
    server: ConvexServer, into: Path, connect: Connect
) -> None:
    """Every file is as it was; the functions of before go on with the component's rows, and watch again."""
    texts = {path: path.read_text() for path in into.rglob("*.ts")}
    one = connect("a")
    one.apply(put())
    move(server, into, Home.COMPONENT)
    one.apply(put(content="since"), put("new.mp4"))
    phases = move(server, into, Home.APPLICATION)
    assert phases[-3:] == ["switching", "starting", "done"]
    assert {path: path.read_text() for path in texts} == texts
    assert not (into / BACKUP).exists()
    assert sorted(row["name"] for row in rows(server, "assets")) == ["a.mp4", "new.mp4"]
    assert one.apply(put(content="back"))[0]["version"] == 3
    jobs = server.table("_scheduled_functions")
    watching = [job for job in jobs if job["name"] == "sidecarLib/liveness.js:watch"]
    assert [job["state"]["kind"] for job in watching].count("pending") == 1


def test_the_way_back_drops_what_the_tables_of_before_do_not_know(
    server: ConvexServer, into: Path, connect: Connect
) -> None:
    """A field that a later component adds, at any depth: the rows go back without it, and are compared so."""
    one = connect("a")
    one.apply(put())
    move(server, into, Home.COMPONENT)
    shapes = into / "renderSidecar/lib/shapes.ts"
    etag = "\n  etag: v.string(),"  # of every asset, in a scene's document too
    shapes.write_text(shapes.read_text().replace(etag, f"{etag} novelty: v.optional(v.number()),"))
    server.deploy(into)
    (scene,) = rows(server, "renderSidecar/scenes")
    scene |= {"sceneId": "later", "videoAsset": {**scene["videoAsset"], "novelty": 1.0}}
    write_rows(server, "scenes", scene)
    move(server, into, Home.APPLICATION)
    del scene["videoAsset"]["novelty"]
    assert scene in rows(server, "scenes")


def test_a_way_that_was_given_up_leaves_the_rows_where_they_were(
    server: ConvexServer, into: Path, connect: Connect
) -> None:
    """Half of them copied: back is only a matter of files and jobs."""
    one = connect("a")
    one.apply(put())
    with Deployment(server.url, deploy_key=server.admin_key) as deployment:
        steps = migrate(Project(into=into), deployment, to=Home.COMPONENT, deploy=lambda: server.deploy(into))
        assert next(step for step in steps if step.phase == "copying")
    assert "copying" not in move(server, into, Home.APPLICATION)
    assert one.apply(put(content="B"))[0]["version"] == 2


def test_the_backup_is_that_of_before_however_often_it_begins(tmp_path: Path) -> None:
    """Whoever died while sidecars were held off has the functions of before still."""
    into = former_project(tmp_path / "convex")
    module = (into / "sidecar.ts").read_text()
    for _ in range(2):
        Project(into=into).hold()
    assert json.loads((into / BACKUP).read_text())["sidecar.ts"] == module


def test_a_way_back_that_was_given_up_starts_the_components_jobs_again(
    server: ConvexServer, into: Path, connect: Connect
) -> None:
    """They had been cancelled; what was written goes on where it is."""
    one = connect("a")
    one.apply(put())
    move(server, into, Home.COMPONENT)
    with Deployment(server.url, deploy_key=server.admin_key) as deployment:
        steps = migrate(
            Project(into=into), deployment, to=Home.APPLICATION, deploy=lambda: server.deploy(into)
        )
        assert next(step for step in steps if step.phase == "copying")
    assert move(server, into, Home.COMPONENT) == ["starting", "resting", "switching", "done"]
    assert one.apply(put(content="B"))[0]["version"] == 2
    ours = server.table("renderSidecar/_scheduled_functions")
    pending = [job["name"] for job in ours if job["state"]["kind"] == "pending"]
    assert pending.count("lib/liveness.js:watch") == 1


def test_nothing_is_copied_while_sidecars_may_write(server: ConvexServer, into: Path) -> None:
    """The step itself looks, in its transaction, what a sidecar would be answered."""
    project = Project(into=into)
    project.hold()
    module = into / "sidecar.ts"
    module.write_text((Path(__file__).parent / "former/sidecar.ts").read_text())
    server.deploy(into)
    with (
        Deployment(server.url, deploy_key=server.admin_key) as deployment,
        pytest.raises(MigrationError, match="sidecars may still write"),
    ):
        deployment.step(Home.COMPONENT, module="sidecar")


def test_a_component_with_rows_of_its_own_is_not_written_over(
    server: ConvexServer, into: Path, connect: Connect
) -> None:
    """Whoever installed it beside the old functions and used it has to decide."""
    connect("a").apply(put())
    project = Project(into=into)
    project.hold()
    server.deploy(into)
    write_rows(server, "sessionProjects", {"sessionId": "p/x", "projectId": "p"})
    with (
        Deployment(server.url, deploy_key=server.admin_key) as deployment,
        pytest.raises(MigrationError, match="already holds rows"),
    ):
        deployment.step(Home.COMPONENT, module="sidecar")


def test_a_row_that_changes_while_it_is_copied_is_copied_again(
    server: ConvexServer, into: Path, connect: Connect
) -> None:
    """An application that writes our tables itself is not held off; comparing finds it."""
    (into / "mine.ts").write_text(MINE)
    one = connect("a")
    one.apply(put())
    project = Project(into=into)
    project.hold()
    server.deploy(into)
    with (
        Deployment(server.url, deploy_key=server.admin_key) as deployment,
        Caller(server.url, f"Convex {server.admin_key}") as owner,
    ):
        seen: list[str] = []
        while not seen or seen[-1] != "resting":
            seen.append(deployment.step(Home.COMPONENT, module="sidecar").phase)
            if seen.count("comparing") == 1 and seen[-1] == "comparing":
                owner.mutation("mine:touch")
    assert seen[seen.index("comparing") :].count("copying") > 0
    assert rows(server, "renderSidecar/videoSessions")[0]["ownerId"] == "ada"


MINE = """
import { internalMutation } from "./_generated/server";
export const touch = internalMutation({
  args: {},
  handler: async (ctx) => {
    const rows = await ctx.db.query("videoSessions").collect();
    for (const row of rows) await ctx.db.patch(row._id, { ownerId: "ada" });
  },
});
"""


OWN = """
import { v } from "convex/values";
import { internalMutation } from "./_generated/server";
import { deleteScene } from "./sidecarLib/deletion";
export const begin = internalMutation({
  args: { sceneId: v.string() },
  handler: async (ctx, { sceneId }) => {
    const of = { sessionId: `p/${sceneId}`, projectId: "p", updatedAt: Date.now() };
    const rows = await ctx.db.query("videoSessions").collect();
    for (const row of rows) await ctx.db.patch(row._id, { ownerId: "ada" });
    await ctx.db.insert("videoSessions", { ...of, ownerId: "bob" });
    await ctx.db.insert("scenes", {
      ...of, sceneId, sortKey: sceneId, assetsStatus: "pending", assetVersion: 1, previousAssetVersions: [],
    });
    await ctx.db.insert("deletedScenes", { sessionId: "p/lesson", sceneId: "intro", deletedAt: 1 });
  },
});
export const own = internalMutation({
  args: { sessionId: v.string(), ownerId: v.string() },
  handler: async (ctx, session) => {
    await ctx.db.insert("videoSessions", { ...session, projectId: "p", updatedAt: Date.now() });
  },
});
export const give = internalMutation({
  args: { sessionId: v.string(), ownerId: v.string() },
  handler: async (ctx, { sessionId, ownerId }) => {
    const rows = await ctx.db.query("videoSessions").collect();
    for (const row of rows) if (row.sessionId === sessionId) await ctx.db.patch(row._id, { ownerId });
  },
});
export const drop = internalMutation({
  args: {},
  handler: async (ctx) => { await deleteScene(ctx, "p/lesson", "intro"); },
});
"""


def test_what_the_application_writes_after_the_comparison_is_taken_over(
    server: ConvexServer, into: Path, connect: Connect
) -> None:
    """Sessions, scenes, owners and tombstones that its own mutations made before the switch was deployed."""
    (into / "mine.ts").write_text(OWN)
    connect("a").apply(put(), put(entityId="outro"))
    seen = []
    with (
        Deployment(server.url, deploy_key=server.admin_key) as deployment,
        Caller(server.url, f"Convex {server.admin_key}") as owner,
    ):
        project = Project(into=into)
        for step in migrate(project, deployment, to=Home.COMPONENT, deploy=lambda: server.deploy(into)):
            if step.phase == "switching":
                owner.mutation("mine:begin", sceneId="late")
            seen.append((step.phase, step.table, step.rows))
        again = list(deployment.adopt())
    assert [step for step in seen if step[0] == "adopting"] == [
        ("adopting", "videoSessions", 2),
        ("adopting", "scenes", 1),
        ("adopting", "deletedScenes", 1),
    ]
    owners = {row["sessionId"]: row["ownerId"] for row in rows(server, "renderSidecar/videoSessions")}
    assert owners == {"p/lesson": "ada", "p/late": "bob"}
    assert {row["sceneId"] for row in rows(server, "renderSidecar/scenes")} == {"late", "outro"}
    assert again == []


def test_an_owner_that_the_application_changes_after_the_comparison(
    server: ConvexServer, into: Path, connect: Connect
) -> None:
    """It is taken over, unless the component was told of another one since: then it is named, and stays."""
    (into / "mine.ts").write_text(OWN)
    connect("a").apply(put(), put(entityId="outro"))
    sessions = ["p/one", "p/two"]
    told = list[str]()
    with (
        Deployment(server.url, deploy_key=server.admin_key) as deployment,
        Caller(server.url, f"Convex {server.admin_key}") as owner,
    ):
        server.deploy(into)
        for session in sessions:
            owner.mutation("mine:own", sessionId=session, ownerId="ada")

        def deploy() -> None:
            server.deploy(into)
            if told:
                owner.inside("sessions:ensure", sessionId="p/two", projectId="p", ownerId="zoe")

        for step in migrate(Project(into=into), deployment, to=Home.COMPONENT, deploy=deploy):
            if step.phase == "switching":
                told = [str(owner.mutation("mine:give", sessionId=one, ownerId="eve")) for one in sessions]
            told += [step.table] if step.phase == "unclear" else []
    assert told[2:] == ['session "p/two"']
    owners = {row["sessionId"]: row.get("ownerId") for row in rows(server, "renderSidecar/videoSessions")}
    assert {session: owners[session] for session in sessions} == {"p/one": "eve", "p/two": "zoe"}


def test_the_application_deletes_no_scene_while_rows_are_moved(
    server: ConvexServer, into: Path, connect: Connect
) -> None:
    """There and back scenes:remove and deleteScene refuse as sidecars are refused; later they delete."""
    (into / "mine.ts").write_text(OWN)
    connect("a").apply(put())
    project = Project(into=into)
    with (
        Deployment(server.url, deploy_key=server.admin_key) as deployment,
        Caller(server.url, f"Convex {server.admin_key}") as owner,
    ):
        for to in (Home.COMPONENT, Home.APPLICATION):
            for step in migrate(project, deployment, to=to, deploy=lambda: server.deploy(into)):
                if step.phase == "comparing":
                    for call, args in (("mine:drop", {}), ("scenes:remove", SCENE)):
                        with pytest.raises(Refused) as refused:
                            owner.mutation(call, **args)
                        assert refused.value.code == "MIGRATING"
        owner.mutation("mine:drop")
    assert rows(server, "scenes") == []


SCENE = {"sessionId": SESSION, "sceneId": "intro"}


def test_a_job_of_before_changes_nothing_any_more(server: ConvexServer, into: Path, connect: Connect) -> None:
    """It is cancelled; the component's own watches instead."""
    connect("a").apply(put())
    move(server, into, Home.COMPONENT)
    jobs = server.table("_scheduled_functions")
    assert {job["state"]["kind"] for job in jobs if job["name"].startswith("sidecarLib/")} <= {
        "canceled",
        "success",
    }
    ours = server.table("renderSidecar/_scheduled_functions")
    assert [job["name"] for job in ours if job["state"]["kind"] == "pending"] == ["lib/liveness.js:watch"]
