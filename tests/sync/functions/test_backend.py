"""What a platform's backend may do in its projects, what a producer may not, and how an asset is named."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from sidecar.core.model import AssetType, EntityType, Slot
from sidecar.local.convex_server import FUNCTIONS, ConvexServer
from tests.support.convex import (
    COMPONENT,
    Caller,
    Refused,
    Sidecar,
    Signer,
    auth_config,
    facts,
    put,
    remove,
)

PRODUCER, BACKEND, OTHER = (Signer(f"https://{name}.test") for name in ("renderers", "platform", "other"))
ACCESS = """
export const canReadSession = async (ctx: any, session: any) =>
  (await ctx.auth.getUserIdentity())?.subject === session.sessionId.split("/")[1];
const PROJECTS: Record<string, string[]> = {
  "https://renderers.test": ["p", "q"],
  "https://platform.test": ["p"],
  "https://other.test": ["q"],
};
export const projectsOf = (issuer: string) => PROJECTS[issuer] ?? [];
export const roleOf = (issuer: string) => issuer === "https://renderers.test" ? "producer" : "backend";
export const canReadAsset = async (ctx: any, asset: any, viewer: any) =>
  (asset.assetType !== "source_code" && !asset.name.startsWith("draft")) || viewer?.issuer === "https://staff.test";
"""
TESTING = """
import { v } from "convex/values";
import { internalMutation } from "./_generated/server";
export const forget = internalMutation({
  args: {},
  handler: async (ctx) => {
    for (const table of ["assets", "assetVersions"] as const) {
      const rows = await ctx.db.query(table).collect();
      for (const row of rows) await ctx.db.patch(row._id, { assetId: undefined });
    }
  },
});
"""
_numbers = itertools.count(1)
Connect = Callable[..., Sidecar]
Callers = Callable[[str | None], Caller]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConvexServer]:
    """A producer and two backends."""
    functions = tmp_path_factory.mktemp("backend") / "convex"
    shutil.copytree(FUNCTIONS, functions)
    (functions / "sidecarAccess.ts").write_text(ACCESS)
    (functions / COMPONENT / "testing.ts").write_text(TESTING)
    (functions / "auth.config.ts").write_text(auth_config(PRODUCER, BACKEND, OTHER))
    with ConvexServer(functions_dir=Path(functions)) as running:
        yield running


@pytest.fixture
def callers(server: ConvexServer) -> Iterator[Callers]:
    """Make clients by their Authorization header; closed at the end."""
    with ExitStack() as stack:
        yield lambda authorization: stack.enter_context(Caller(server.url, authorization))


@pytest.fixture
def backend(callers: Callers) -> Caller:
    """The backend of project p."""
    return callers(f"Bearer {BACKEND.token('server')}")


@pytest.fixture
def connect(callers: Callers) -> Connect:
    """Make a producer in a session of its own."""

    def one(project_id: str = "p") -> Sidecar:
        name = f"sidecar-{next(_numbers)}"
        caller = callers(f"Bearer {PRODUCER.token(name)}")
        return Sidecar(caller, sidecar_id=name, session_id=f"{project_id}/{name}", project_id=project_id)

    return one


def of(sidecar: Sidecar, **over: Any) -> dict[str, Any]:
    """Return `put` for a project that keeps its objects below its name."""
    name = over.pop("name", "a.mp4")
    return put(name, over.pop("content", "A"), key=f"{sidecar.project_id}/{next(_numbers)}", **over)


def slot_of(sidecar: Sidecar, name: str = "a.mp4", kind: AssetType = AssetType.VIDEO_CHUNK) -> Slot:
    """Return the slot of `of`."""
    return Slot(
        session_id=sidecar.session_id,
        entity_type=EntityType.SCENE,
        entity_id="intro",
        asset_type=kind,
        name=name,
    )


def wire(slot: Slot) -> dict[str, str]:
    """Return a slot as the wire names it."""
    place = {"sessionId": slot.session_id, "entityType": slot.entity_type, "entityId": slot.entity_id}
    return {**place, "assetType": slot.asset_type, "name": slot.name}


CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("query", "listByProject", {"projectId": "p", "cursor": None}),
    (
        "query",
        "listByEntity",
        {"projectId": "p", "sessionId": "s", "entityType": "scene", "entityId": "intro", "cursor": None},
    ),
    ("query", "assetsById", {"ids": []}),
    ("query", "assetsByKey", {"bucket": "lessons", "keys": []}),
    ("mutation", "removeAssets", {"projectId": "p", "removals": []}),
    ("mutation", "expireVersions", {"projectId": "p", "versions": []}),
    ("mutation", "forgetOlder", {"projectId": "p", "versions": []}),
    ("query", "canRead", {"asset": "x", "viewer": None}),
]


@pytest.mark.parametrize(("kind", "function", "args"), CALLS, ids=[name for _, name, _ in CALLS])
def test_only_a_backend_of_the_project_is_answered(
    callers: Callers, kind: str, function: str, args: dict[str, Any]
) -> None:
    """Not nobody, not a render container, not a backend of another project; the twins are not public."""

    def refusal(authorization: str | None, name: str = function) -> str | None:
        with pytest.raises(Refused) as refused:
            getattr(callers(authorization), kind)(f"sidecar:{name}", **args)
        code: str | None = refused.value.code
        return code

    assert refusal(None) == "UNAUTHENTICATED"
    assert refusal(f"Bearer {PRODUCER.token('a')}") == "FORBIDDEN"
    if "projectId" in args:
        assert refusal(f"Bearer {OTHER.token('server')}") == "FORBIDDEN"
    assert refusal(f"Bearer {BACKEND.token('server')}", f"{function}Internal") is None
    getattr(callers(f"Bearer {BACKEND.token('server')}"), kind)(f"sidecar:{function}", **args)


def test_a_backend_lists_its_project_and_no_other(backend: Caller, connect: Connect) -> None:
    """Whichever sidecar wrote it, page by page."""
    sidecars = [connect(), connect()]
    for sidecar in sidecars:
        for first in (0, 60):
            sidecar.apply(*[of(sidecar, name=f"{number}.mp4") for number in range(first, first + 60)])
    connect("q").apply()
    stranger = connect("q")
    stranger.apply(of(stranger))
    found: list[dict[str, Any]] = []
    cursor, is_first = None, True
    while cursor is not None or is_first:
        page = backend.query("sidecar:listByProject", projectId="p", cursor=cursor)
        found, cursor, is_first = found + page["assets"], page["cursor"], False
    assert {asset["projectId"] for asset in found} == {"p"}
    mine = [asset for asset in found if asset["sessionId"] in {one.session_id for one in sidecars}]
    assert len({asset["id"] for asset in mine}) == len(mine) == 240


def test_an_asset_is_named_by_its_slot_in_every_answer(
    server: ConvexServer, backend: Caller, connect: Connect
) -> None:
    """As the sidecar computes it, also for names beyond ASCII; it stays when the content changes."""
    sidecar = connect()
    name = 'ü "x"\u2028\t𝄞.mp4'
    expected = slot_of(sidecar, name).digest
    [first] = sidecar.apply(of(sidecar, name=name))
    [second, told] = sidecar.apply(of(sidecar, name=name, content="B"), facts())
    assert first["assetId"] == second["assetId"] == expected
    assert "assetId" not in told
    [current] = sidecar.caller.query("sidecar:currentAssets", slots=[wire(slot_of(sidecar, name))])
    versions = sidecar.caller.query("sidecar:versions", sidecarId=sidecar.sidecar_id, cursor=None)["versions"]
    [asset] = backend.query("sidecar:assetsById", ids=[expected])
    (scene,) = [row for row in server.table("renderSidecar/scenes") if row["sessionId"] == sidecar.session_id]
    assert scene["videoAsset"]["assetId"] == expected
    assert [one["assetId"] for one in scene["previousAssetVersions"]] == [expected]
    assert current["assetId"] == asset["id"] == expected
    assert [row["assetId"] for row in versions] == [expected, expected]
    assert sidecar.apply(remove(name))[0]["assetId"] == expected
    assert backend.query("sidecar:assetsById", ids=[expected]) == [None]


def test_rows_of_an_earlier_version_are_given_their_identity(
    server: ConvexServer, backend: Caller, connect: Connect
) -> None:
    """By the next sidecar that starts, however many there are; what is asked meanwhile is answered."""
    sidecar = connect()
    names = [f"{number}.mp4" for number in range(150)]
    for first in (0, 75):
        sidecar.apply(*[of(sidecar, name=name) for name in names[first : first + 75]])
    with Caller(server.url, f"Convex {server.admin_key}") as application:
        application.inside("testing:forget")
    [current] = sidecar.caller.query("sidecar:currentAssets", slots=[wire(slot_of(sidecar, "0.mp4"))])
    assert current["assetId"] == slot_of(sidecar, "0.mp4").digest
    sidecar.register("journal-1")
    server.control("settle", {})
    ids = [slot_of(sidecar, name).digest for name in names]
    found = [
        asset for part in (ids[:75], ids[75:]) for asset in backend.query("sidecar:assetsById", ids=part)
    ]
    assert [asset["name"] for asset in found] == names
    assert all(row.get("assetId") for row in server.table("renderSidecar/assetVersions"))


def test_which_assets_show_an_object_is_found_by_its_bucket_and_key(
    callers: Callers, backend: Caller, connect: Connect
) -> None:
    """Of several, each; that one of another project does is told, and not which."""
    sidecar = connect()
    sidecar.apply(of(sidecar))
    [asset] = backend.query("sidecar:assetsById", ids=[slot_of(sidecar).digest])
    asked = {"bucket": asset["bucket"], "keys": [asset["s3Key"], "none"]}
    nothing: dict[str, Any] = {"assets": [], "others": False}
    assert backend.query("sidecar:assetsByKey", **asked) == [{"assets": [asset], "others": False}, nothing]
    assert backend.query("sidecar:assetsByKey", **asked | {"bucket": "another"}) == [nothing, nothing]
    other = callers(f"Bearer {OTHER.token('server')}")
    assert other.query("sidecar:assetsByKey", **asked) == [{"assets": [], "others": True}, nothing]


def test_an_asset_of_another_project_looks_absent(callers: Callers, connect: Connect) -> None:
    """Its id is no secret."""
    sidecar = connect()
    sidecar.apply(of(sidecar))
    other = callers(f"Bearer {OTHER.token('server')}")
    assert other.query("sidecar:assetsById", ids=[slot_of(sidecar).digest]) == [None]
    viewer = {"issuer": "https://users.test", "subject": sidecar.sidecar_id}
    assert other.query("sidecar:canRead", asset=slot_of(sidecar).digest, viewer=viewer) is False


def test_a_backend_removes_what_it_saw(server: ConvexServer, backend: Caller, connect: Connect) -> None:
    """A version that came meanwhile stays; the scene and the totals follow."""
    sidecar = connect()
    sidecar.apply(of(sidecar), of(sidecar, name="b.mp4"), of(sidecar, name="b.mp4", content="B"), facts())
    wanted = [("a.mp4", 1), ("b.mp4", 1), ("none.mp4", 1)]
    removals = [
        {"slot": wire(slot_of(sidecar, name)), "expectedVersion": version} for name, version in wanted
    ]
    results = backend.mutation("sidecar:removeAssets", projectId="p", removals=removals)
    assert [(one["outcome"], one.get("version")) for one in results] == [
        ("removed", 1), ("changed", 2), ("absent", None),
    ]  # fmt: skip
    assert [one["assetId"] for one in results] == [slot_of(sidecar, name).digest for name, _ in wanted]
    with Caller(server.url, f"Bearer {OTHER.token(sidecar.sidecar_id)}") as viewer:
        session = viewer.query("sessions:get", sessionId=sidecar.session_id)
    (scene,) = [row for row in server.table("renderSidecar/scenes") if row["sessionId"] == sidecar.session_id]
    assert scene["videoAsset"]["checksum"] == "crc64nvme:B"
    assert (session["assetCount"], session["totalAssetSize"]) == (1, 1000)
    again = backend.mutation("sidecar:removeAssets", projectId="p", removals=removals[:1])
    assert [one["outcome"] for one in again] == ["absent"]


def test_a_scene_is_listed_without_all_that_lies_beside_it(backend: Caller, connect: Connect) -> None:
    """By index, then name; page by page; nothing of another project's session."""
    one, stranger = connect(), connect("q")
    names = [f"{n:03}.mp4" for n in range(120)]
    one.apply(*(of(one, name=name) for name in names[:100]))
    one.apply(*(of(one, name=name) for name in names[100:]), put("other.mp4", entityId="outro"))
    stranger.apply(of(stranger))
    asked = {"projectId": "p", "entityType": "scene", "entityId": "intro"}
    found, cursor = list[str](), None
    for _ in range(2):
        page = backend.query("sidecar:listByEntity", sessionId=one.session_id, cursor=cursor, **asked)
        found += [asset["name"] for asset in page["assets"]]
        cursor = page["cursor"]
    assert (sorted(found), cursor) == (names, None)
    others = backend.query("sidecar:listByEntity", sessionId=stranger.session_id, cursor=None, **asked)
    assert others == {"assets": [], "cursor": None}


def test_older_versions_leave_the_history_of_what_was_removed(
    server: ConvexServer, backend: Caller, connect: Connect
) -> None:
    """Only up to the version that was seen, and of that slot; only then may they expire. So once more."""
    sidecar, stranger = connect(), connect("q")
    for content in "ABCB":
        sidecar.apply(of(sidecar, content=content), of(sidecar, name="b.mp4", content=content))
    stranger.apply(of(stranger), of(stranger, content="B"))
    a, b = (wire(slot_of(sidecar, name)) for name in ("a.mp4", "b.mp4"))
    removal = {"slot": a, "expectedVersion": 4}
    backend.mutation("sidecar:removeAssets", projectId="p", removals=[removal])
    seen = [a | {"version": version} for version in range(1, 5)]
    assert backend.mutation("sidecar:expireVersions", projectId="p", versions=seen) == [False] * 3 + [True]
    asked = [a | {"version": 4}, wire(slot_of(stranger)) | {"version": 2}]
    for _ in range(2):
        older, others = backend.mutation("sidecar:forgetOlder", projectId="p", versions=asked)
        assert [one["version"] for one in older] == [4, 3, 2, 1]
        assert others == []
    assert backend.mutation("sidecar:expireVersions", projectId="p", versions=seen) == [True] * 4
    scenes = {row["sessionId"]: row for row in server.table("renderSidecar/scenes")}
    assert [one["name"] for one in scenes[sidecar.session_id]["previousAssetVersions"]] == ["b.mp4"] * 3
    assert len(scenes[stranger.session_id]["previousAssetVersions"]) == 1
    backend.mutation("sidecar:forgetOlder", projectId="p", versions=[b | {"version": 2}])
    scenes = {row["sessionId"]: row for row in server.table("renderSidecar/scenes")}
    assert [one["version"] for one in scenes[sidecar.session_id]["previousAssetVersions"]] == [3]


def test_nothing_is_removed_from_a_scene_that_was_deleted(
    server: ConvexServer, backend: Caller, connect: Connect
) -> None:
    """Its rows may still be there for a moment: the scene does not come back."""
    sidecar = connect()
    sidecar.apply(of(sidecar))
    with Caller(server.url, f"Convex {server.admin_key}") as admin:
        admin.mutation("scenes:remove", sessionId=sidecar.session_id, sceneId="intro")
    removal = {"slot": wire(slot_of(sidecar)), "expectedVersion": 1}
    [result] = backend.mutation("sidecar:removeAssets", projectId="p", removals=[removal])
    assert result["outcome"] == "absent"
    server.control("settle", {})
    assert [
        row for row in server.table("renderSidecar/scenes") if row["sessionId"] == sidecar.session_id
    ] == []


def test_a_session_of_another_project_is_not_a_backends_to_empty(backend: Caller, connect: Connect) -> None:
    """Whatever project it names in the call."""
    sidecar = connect("q")
    sidecar.apply(of(sidecar))
    removal = {"slot": wire(slot_of(sidecar)), "expectedVersion": 1}
    [result] = backend.mutation("sidecar:removeAssets", projectId="p", removals=[removal])
    assert result["outcome"] == "absent"
    assert sidecar.apply(of(sidecar))[0]["outcome"] == "unchanged"


def test_a_backend_expires_what_any_sidecar_left(backend: Caller, connect: Connect) -> None:
    """But nothing that is shown, and nothing of another project."""
    one, stranger = connect(), connect("q")
    for sidecar in (one, stranger):
        sidecar.apply(of(sidecar))
        sidecar.apply(remove())
    one.apply(of(one, name="b.mp4"))
    names = [
        wire(slot_of(sidecar, name)) | {"version": 1}
        for sidecar, name in ((one, "a.mp4"), (one, "b.mp4"), (stranger, "a.mp4"))
    ]
    assert backend.mutation("sidecar:expireVersions", projectId="p", versions=names) == [True, False, False]


def test_a_backend_asks_for_a_viewer(backend: Caller, connect: Connect) -> None:
    """The rules answer as if the viewer had called: the session's, and the asset's."""
    sidecar = connect()
    sidecar.apply(of(sidecar), of(sidecar, name="a.py", assetType="source_code"))
    learner = {"issuer": "https://users.test", "subject": sidecar.sidecar_id}
    staff = {"issuer": "https://staff.test", "subject": sidecar.sidecar_id}
    video, code = slot_of(sidecar).digest, slot_of(sidecar, "a.py", AssetType.SOURCE_CODE).digest

    def may(asset: str, viewer: dict[str, str] | None) -> bool:
        answer: bool = backend.query("sidecar:canRead", asset=asset, viewer=viewer)
        return answer

    assert [may(video, learner), may(code, learner), may(code, staff)] == [True, False, True]
    assert [may(video, None), may(video, learner | {"subject": "eve"}), may("none", staff)] == [False] * 3


def test_a_learner_never_receives_the_key_of_source_code(callers: Callers, connect: Connect) -> None:
    """Not in a scene, a list, its history, nor among the assets; what it may see is there."""
    sidecar = connect()
    for content in "AB":
        code = of(sidecar, name="a.py", content=content, assetType="source_code")
        sidecar.apply(of(sidecar, content=content), code)
    learner = callers(f"Bearer {OTHER.token(sidecar.sidecar_id)}")
    where = {"sessionId": sidecar.session_id, "sceneId": "intro"}
    opts = {"paginationOpts": {"numItems": 9, "cursor": None}}
    entity = {"sessionId": sidecar.session_id, "entityType": "scene", "entityId": "intro"}
    answers = [
        learner.query("scenes:get", **where),
        learner.query("scenes:bySession", sessionId=sidecar.session_id),
        learner.query("scenes:bySession", sessionId=sidecar.session_id, **opts),
        learner.query("scenes:sceneHistory", **where, **opts),
        learner.query("assets:byEntity", **entity, **opts),
        learner.query("assets:chunks", **where),
    ]
    for answer in answers:
        text = json.dumps(answer)
        assert "source_code" not in text
        assert "sourceCodeAsset" not in text
        assert '"s3Key": "p/' in text


def test_a_rule_about_names_holds_for_documents_too(callers: Callers, connect: Connect) -> None:
    """canReadAsset is asked with the name of the asset that a scene shows."""
    sidecar = connect()
    sidecar.apply(of(sidecar, name="draft.mp4"), of(sidecar, name="a.png", assetType="thumbnail"))
    learner = callers(f"Bearer {OTHER.token(sidecar.sidecar_id)}")
    scene = learner.query("scenes:get", sessionId=sidecar.session_id, sceneId="intro")
    assert ("videoAsset" in scene, scene["thumbnailAsset"]["name"]) == (False, "a.png")
    sidecar.apply(of(sidecar, name="0.mp4", role="main"))
    scene = learner.query("scenes:get", sessionId=sidecar.session_id, sceneId="intro")
    assert scene["videoAsset"]["name"] == "0.mp4"


def test_a_hundred_are_the_limit(backend: Caller) -> None:
    """As of every call."""
    with pytest.raises(Refused) as refused:
        backend.query("sidecar:assetsById", ids=["x"] * 101)
    assert refused.value.code == "BATCH_TOO_LARGE"
