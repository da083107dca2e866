"""The contract of ``MetadataStore``, over the fake and over the real functions behind Convex's wire."""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest

from sidecar.core.clock import SystemClock
from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.model import AssetType, EntityType, Slot
from sidecar.core.ops import AssetVersion, Batch, CurrentAsset, Kept, Op, OpKind, OpOutcome, OpResult
from sidecar.core.scenes import SceneFacts
from sidecar.local.convex_server import ConvexServer
from sidecar.settings.convex import Convex, DeployKeyAuth, NoAuth
from sidecar.settings.secret import Secret
from sidecar.sync.convex import open_store
from sidecar.sync.store import MetadataStore
from tests.support.memory_metadata import MemoryMetadata
from tests.support.ops import make_op
from tests.support.simulation.calm import calm_power
from tests.support.simulation.convex import SimulatedConvex

_numbers = itertools.count(1)
DEPLOYMENT = os.environ.get("CONVEX_URL")  # a real one, with the functions of this version and a deploy key
A, B = "crc64nvme:AAAAAAAAAAA=", "crc64nvme:BBBBBBBBBBA="


@pytest.fixture(scope="module")
def server() -> Iterator[ConvexServer]:
    """The packaged functions; every test takes a sidecar and a session of its own."""
    with ConvexServer(dev_auth=True) as running:
        yield running


def reached(how: str, request: pytest.FixtureRequest) -> Convex:
    """Return the way in."""
    if how == "deployment":
        auth = DeployKeyAuth(mode="deploy_key", deploy_key=Secret(os.environ["CONVEX_DEPLOY_KEY"]))
        return Convex.model_validate({"url": DEPLOYMENT, "auth": auth})
    server: ConvexServer = request.getfixturevalue("server")
    if how == "dev":
        return Convex(url=server.url, auth=NoAuth(mode="none"))
    return Convex(url=server.url, auth=DeployKeyAuth(mode="deploy_key", deploy_key=Secret(server.admin_key)))


@pytest.fixture
def sidecar_id() -> str:
    """A sidecar that nobody was before, on a deployment that outlives the run either."""
    return f"contract-{secrets.token_hex(4)}-{next(_numbers)}"


@pytest.fixture(params=["memory", "simulation", "dev", "deploy key", *(["deployment"] if DEPLOYMENT else [])])
async def store(request: pytest.FixtureRequest, sidecar_id: str) -> AsyncIterator[MetadataStore]:
    """Each implementation, and both ways in."""
    if request.param == "memory":
        yield MemoryMetadata()
        return
    if request.param == "simulation":
        yield SimulatedConvex(calm_power())
        return
    settings = reached(request.param, request)
    async with open_store(settings, sidecar_id=sidecar_id, clock=SystemClock(), version="0.1.0") as opened:
        yield opened


def put(seq: int, checksum: str = A, *, op_id: str | None = None, name: str = "a.mp4", **over: Any) -> Op:
    """Return an op as the outbox makes it."""
    asset = {
        "s3Key": f"k/{seq}",
        "s3Url": f"http://s3.test/k/{seq}",
        "bucket": "lessons",
        "contentType": "video/mp4",
        "size": 10,
        "checksum": checksum,
        "etag": '"e"',
        "uploadedAt": 1_790_000_000_000,
    }
    body = {
        "entityType": "scene",
        "entityId": "intro",
        "assetType": "video_chunk",
        "name": name,
        "index": 1,
        "role": None,
        "transfer": f"T{seq}",
        "metadata": {"quality": "high"},
        "asset": asset,
    }
    return make_op(OpKind.PUT, {**body, **over}, seq=seq, op_id=op_id or f"op-{next(_numbers)}")


def remove(seq: int, name: str = "a.mp4") -> Op:
    """Return the op of a removal."""
    body = {"entityType": "scene", "entityId": "intro", "assetType": "video_chunk", "name": name}
    return make_op(OpKind.REMOVE, body, seq=seq, op_id=f"op-{next(_numbers)}")


def facts(seq: int, scene: str, *, complete: bool = False, owed: int = 1, error: str | None = None) -> Op:
    """Return the op of a scene's facts."""
    reason = "marker" if complete else None
    body = {"sceneId": scene, "complete": complete, "owed": owed, "error": error, "reason": reason}
    return make_op(OpKind.FACTS, body, seq=seq, op_id=f"op-{next(_numbers)}")


async def apply(store: MetadataStore, sidecar_id: str, epoch: int, *ops: Op) -> Sequence[OpResult]:
    """Apply ops to a session that only this sidecar writes."""
    batch = Batch(project_id="p", session_id=f"p/{sidecar_id}", acked_seq=0, ops=ops)
    return await store.apply(batch, sidecar_id=sidecar_id, epoch=epoch)


@pytest.fixture
async def epoch(store: MetadataStore, sidecar_id: str) -> int:
    """The epoch of a first journal."""
    return (await store.register(sidecar_id=sidecar_id, journal_id=f"{sidecar_id}-j1")).epoch


async def test_the_probe_answers(store: MetadataStore) -> None:
    """``sidecar:ping`` needs no registration."""
    await store.probe()


async def test_registering_a_journal_again_changes_nothing(store: MetadataStore, sidecar_id: str) -> None:
    """It happens at every start; only a new journal gets a new epoch, in whole numbers."""
    first = await store.register(sidecar_id=sidecar_id, journal_id=f"{sidecar_id}-a")
    assert first == await store.register(sidecar_id=sidecar_id, journal_id=f"{sidecar_id}-a")
    assert (first.epoch, first.last_seq) == (1, 0)
    assert isinstance(first.epoch, int)
    second = await store.register(sidecar_id=sidecar_id, journal_id=f"{sidecar_id}-b")
    assert second.epoch == 2


async def test_one_result_per_op_in_order(store: MetadataStore, sidecar_id: str, epoch: int) -> None:
    """Applied ops get the slot's version."""
    ops = [put(n, name=f"{n}.mp4") for n in range(1, 6)]
    results = await apply(store, sidecar_id, epoch, *ops)
    assert [r.op_id for r in results] == [op.op_id for op in ops]
    assert {r.outcome for r in results} == {OpOutcome.APPLIED}
    assert {r.version for r in results} == {1}


async def test_a_retry_is_a_duplicate(store: MetadataStore, sidecar_id: str, epoch: int) -> None:
    """The same opId is applied once, also in a batch that is composed anew."""
    first, second = put(1), put(2, name="b.mp4")
    await apply(store, sidecar_id, epoch, first)
    again, new = await apply(store, sidecar_id, epoch, first, second)
    assert (again.outcome, again.version) == (OpOutcome.DUPLICATE, 1)
    assert new.outcome is OpOutcome.APPLIED


async def test_the_same_content_is_unchanged_and_other_content_a_version(
    store: MetadataStore, sidecar_id: str, epoch: int
) -> None:
    """A, A, B, A: versions 1, 1, 2, 3."""
    outcomes = []
    for seq, checksum in enumerate([A, A, B, A], start=1):
        (result,) = await apply(store, sidecar_id, epoch, put(seq, checksum))
        outcomes.append((result.outcome, result.version))
    assert outcomes == [
        (OpOutcome.APPLIED, 1),
        (OpOutcome.UNCHANGED, 1),
        (OpOutcome.APPLIED, 2),
        (OpOutcome.APPLIED, 3),
    ]


async def test_the_answer_names_the_object_that_is_kept(
    store: MetadataStore, sidecar_id: str, epoch: int
) -> None:
    """Unchanged content, also told twice: the version's own object is named, where it is not the one put."""
    first, second = put(1), put(2)
    (applied,) = await apply(store, sidecar_id, epoch, first)
    (unchanged,) = await apply(store, sidecar_id, epoch, second)
    again = await apply(store, sidecar_id, epoch, first, second)
    kept = Kept(key="k/1", transfer_id="T1")
    assert [result.kept for result in (applied, unchanged, *again)] == [None, kept, None, kept]


async def test_the_same_content_in_another_bucket_is_a_version(
    store: MetadataStore, sidecar_id: str, epoch: int
) -> None:
    """Whoever moved to another bucket wants the asset shown from there."""
    moved = put(2, asset={**put(2).body["asset"], "bucket": "elsewhere"})
    (first,), (second,) = [await apply(store, sidecar_id, epoch, op) for op in (put(1), moved)]
    assert (first.version, second.outcome, second.version) == (1, OpOutcome.APPLIED, 2)


async def test_an_older_op_is_stale(store: MetadataStore, sidecar_id: str, epoch: int) -> None:
    """Order is by seq, not by arrival."""
    await apply(store, sidecar_id, epoch, put(5, B))
    (late,) = await apply(store, sidecar_id, epoch, put(4, A))
    assert late.outcome is OpOutcome.STALE


async def test_the_server_remembers_the_last_seq(store: MetadataStore, sidecar_id: str, epoch: int) -> None:
    """A restored old journal is found out by it."""
    await apply(store, sidecar_id, epoch, put(7))
    again = await store.register(sidecar_id=sidecar_id, journal_id=f"{sidecar_id}-j1")
    assert again.last_seq == 7


async def test_a_refused_op_disturbs_no_other(store: MetadataStore, sidecar_id: str, epoch: int) -> None:
    """Rejected with its reason, beside one that is applied."""
    bad, good = await apply(store, sidecar_id, epoch, put(1, assetType="hologram"), put(2, name="b.mp4"))
    assert (bad.outcome, bad.code) == (OpOutcome.REJECTED, "UNKNOWN_TYPE")
    assert bad.message
    assert good.outcome is OpOutcome.APPLIED


async def test_facts_are_applied(store: MetadataStore, sidecar_id: str, epoch: int) -> None:
    """What the scenes' derivation reports is what the functions take."""
    body = {"sceneId": "intro", "complete": True, "owed": 0, "error": None, "reason": "marker"}
    op = make_op(OpKind.FACTS, body, op_id=f"op-{next(_numbers)}")
    (result,) = await apply(store, sidecar_id, epoch, op)
    assert result.outcome is OpOutcome.APPLIED


async def test_a_settled_op_is_forgotten_and_a_late_one_is_stale_for_ever(
    store: MetadataStore, sidecar_id: str, epoch: int
) -> None:
    """``ackedSeq`` says that nobody will retry: the slot's newest op alone decides on what comes late."""
    first = put(1, A)
    await apply(store, sidecar_id, epoch, first, put(2, B))
    batch = Batch(project_id="p", session_id=f"p/{sidecar_id}", acked_seq=2, ops=(put(3, name="b.mp4"),))
    await store.apply(batch, sidecar_id=sidecar_id, epoch=epoch)
    (late,) = await apply(store, sidecar_id, epoch, first)
    assert late.outcome is OpOutcome.STALE


def slot(sidecar_id: str, name: str = "a.mp4") -> Slot:
    """Return the slot of ``put``."""
    return Slot(
        session_id=f"p/{sidecar_id}",
        entity_type=EntityType.SCENE,
        entity_id="intro",
        asset_type=AssetType.VIDEO_CHUNK,
        name=name,
    )


async def test_what_slots_hold_is_told_in_order(store: MetadataStore, sidecar_id: str, epoch: int) -> None:
    """The newest version of each, and None for an empty one."""
    await apply(store, sidecar_id, epoch, put(1, A), put(2, B, name="b.mp4"))
    await apply(store, sidecar_id, epoch, put(3, B))
    slots = [slot(sidecar_id, name) for name in ("b.mp4", "none.mp4", "a.mp4")]
    b, none, a = await store.current_assets(slots)
    assert none is None
    assert a == CurrentAsset(
        bucket="lessons", key="k/3", transfer_id="T3", checksum=B, size_bytes=10, version=2
    )
    assert b is not None
    assert (b.key, b.version) == ("k/2", 1)


async def test_more_than_500_slots_are_refused(store: MetadataStore, sidecar_id: str) -> None:
    """Whoever asks, asks in pieces."""
    with pytest.raises(SidecarError) as caught:
        await store.current_assets([slot(sidecar_id, str(n)) for n in range(501)])
    assert (caught.value.kind, caught.value.code) == (ErrorKind.INVALID, "BATCH_TOO_LARGE")


async def all_versions(store: MetadataStore, sidecar_id: str) -> list[AssetVersion]:
    """Read every page."""
    page = await store.versions(sidecar_id=sidecar_id, cursor=None)
    found = list(page.versions)
    while page.cursor is not None:
        page = await store.versions(sidecar_id=sidecar_id, cursor=page.cursor)
        found += page.versions
    return found


async def test_versions_come_page_by_page_and_say_what_shows_them(
    store: MetadataStore, sidecar_id: str, epoch: int
) -> None:
    """All of this sidecar's, more than a page of them; a scene's history counts as shown."""
    for seq in range(1, 13):
        await apply(store, sidecar_id, epoch, put(seq, f"crc64nvme:{seq}", name="slot.mp4"))
    await apply(store, sidecar_id, epoch, *(put(n, name=f"{n}.mp4") for n in range(20, 115)))
    found = await all_versions(store, sidecar_id)
    assert len(found) == 107
    history = {one.version: one for one in found if one.slot.name == "slot.mp4"}
    assert {n: str(one.status) for n, one in history.items()} == {
        1: "superseded",
        **dict.fromkeys(range(2, 13), "current"),
    }
    assert (history[1].newer, history[12].newer, history[12].superseded_ms) == (11, 0, None)
    assert (history[1].key, history[1].size_bytes, history[1].transfer_id) == ("k/1", 10, "T1")


async def test_unfinished_scenes_come_page_by_page(store: MetadataStore, sidecar_id: str, epoch: int) -> None:
    """This sidecar's, of which something is owed; not those that are over, one way or the other."""
    over = [facts(1, "over", complete=True, owed=0), facts(2, "failed", error="it broke")]
    await apply(store, sidecar_id, epoch, *over, facts(3, "s1", complete=True))
    await apply(store, sidecar_id, epoch, *(facts(n, f"s{n}") for n in range(4, 103)))
    await apply(
        store, sidecar_id, epoch, *(facts(n, f"s{n}") for n in range(103, 120)), facts(200, "s110", owed=0)
    )
    other = f"{sidecar_id}-other"
    theirs = (await store.register(sidecar_id=other, journal_id=f"{other}-j")).epoch
    batch = Batch(project_id="p", session_id=f"p/{other}", acked_seq=0, ops=(facts(1, "theirs"),))
    await store.apply(batch, sidecar_id=other, epoch=theirs)
    found, cursor = dict[str, SceneFacts](), None
    while (page := await store.unfinished_scenes(sidecar_id=sidecar_id, cursor=cursor)).cursor is not None:
        found |= {scene.scene_id: scene.facts for scene in page.scenes}
        cursor = page.cursor
    found |= {scene.scene_id: scene.facts for scene in page.scenes}
    assert found.keys() == {"s1", *(f"s{n}" for n in range(4, 120))} - {"s110"}
    assert found["s1"] == SceneFacts(complete=True, owed=1, error=None, reason="marker")
    assert found["s7"] == SceneFacts(complete=False, owed=1, error=None, reason=None)
    assert {(s.project_id, s.session_id) for s in page.scenes} == {("p", f"p/{sidecar_id}")}


async def test_only_what_nothing_shows_expires(store: MetadataStore, sidecar_id: str, epoch: int) -> None:
    """And stays expired; an unknown version and one that is shown do not."""
    for seq in range(1, 13):
        await apply(store, sidecar_id, epoch, put(seq, f"crc64nvme:{seq}"))
    names = [(slot(sidecar_id), 1), (slot(sidecar_id), 2), (slot(sidecar_id), 12), (slot(sidecar_id), 99)]
    for _ in range(2):
        marks = await store.expire(names, sidecar_id=sidecar_id, epoch=epoch)
        assert marks == [True, False, False, False]
    found = await all_versions(store, sidecar_id)
    assert [one.version for one in found if one.status == "expired"] == [1]


async def test_an_old_version_does_not_expire_while_its_object_is_shown_again(
    store: MetadataStore, sidecar_id: str, epoch: int
) -> None:
    """After a journal's loss, content that came back is found under its old key, and told again."""
    for seq in range(1, 13):
        await apply(store, sidecar_id, epoch, put(seq, f"crc64nvme:{seq}"))
    asset = {**put(13, "crc64nvme:1").body["asset"], "s3Key": "k/1"}
    back = put(13, transfer="T1", asset=asset)
    (result,) = await apply(store, sidecar_id, epoch, back)
    assert (result.outcome, result.version) == (OpOutcome.APPLIED, 13)
    assert [one.version for one in await all_versions(store, sidecar_id) if one.status != "current"] == [2]
    names = [(slot(sidecar_id), 1), (slot(sidecar_id), 2)]
    assert await store.expire(names, sidecar_id=sidecar_id, epoch=epoch) == [False, True]


async def test_a_removed_asset_is_gone_and_its_version_may_expire(
    store: MetadataStore, sidecar_id: str, epoch: int
) -> None:
    """Once; its history stays shown, and content that comes back is the next version."""
    await apply(store, sidecar_id, epoch, put(1, A), put(2, B))
    first, again = await apply(store, sidecar_id, epoch, remove(3), remove(4))
    assert (first.outcome, first.version) == (OpOutcome.APPLIED, 2)
    assert again.outcome is OpOutcome.UNCHANGED
    assert await store.current_assets([slot(sidecar_id)]) == [None]
    names = [(slot(sidecar_id), 2), (slot(sidecar_id), 1)]
    assert await store.expire(names, sidecar_id=sidecar_id, epoch=epoch) == [True, False]
    statuses = {one.version: (str(one.status), one.newer) for one in await all_versions(store, sidecar_id)}
    assert statuses == {1: ("current", 1), 2: ("expired", 0)}
    (back,) = await apply(store, sidecar_id, epoch, put(5, B))
    assert (back.outcome, back.version) == (OpOutcome.APPLIED, 3)


async def test_nobody_removes_what_another_sidecar_shows(
    store: MetadataStore, sidecar_id: str, epoch: int
) -> None:
    """Its content took the slot over, and stays."""
    await apply(store, sidecar_id, epoch, put(1, A))
    other = f"{sidecar_id}-other"
    theirs = (await store.register(sidecar_id=other, journal_id=f"{other}-j")).epoch
    batch = Batch(project_id="p", session_id=f"p/{sidecar_id}", acked_seq=0, ops=(put(1, B),))
    await store.apply(batch, sidecar_id=other, epoch=theirs)
    (result,) = await apply(store, sidecar_id, epoch, remove(2))
    assert result.outcome is OpOutcome.STALE
    (shown,) = await store.current_assets([slot(sidecar_id)])
    assert shown is not None
    assert shown.checksum == B


async def test_an_old_journal_is_fenced(store: MetadataStore, sidecar_id: str, epoch: int) -> None:
    """After a newer one registered, the older one may neither apply nor register."""
    await store.register(sidecar_id=sidecar_id, journal_id=f"{sidecar_id}-j2")
    with pytest.raises(SidecarError) as applied:
        await apply(store, sidecar_id, epoch, put(1))
    with pytest.raises(SidecarError) as registered:
        await store.register(sidecar_id=sidecar_id, journal_id=f"{sidecar_id}-j1")
    with pytest.raises(SidecarError) as beaten:
        await store.beat(sidecar_id=sidecar_id, epoch=epoch)
    assert {applied.value.code, registered.value.code, beaten.value.code} == {"FENCED"}
    assert applied.value.kind is ErrorKind.CONFLICT


async def test_a_sign_of_life_changes_nothing_else(store: MetadataStore, sidecar_id: str, epoch: int) -> None:
    """It is taken as often as it comes."""
    for _ in range(2):
        await store.beat(sidecar_id=sidecar_id, epoch=epoch)
    again = await store.register(sidecar_id=sidecar_id, journal_id=f"{sidecar_id}-j1")
    assert (again.epoch, again.last_seq) == (epoch, 0)


async def test_an_unknown_journal_is_told_to_register(store: MetadataStore, sidecar_id: str) -> None:
    """As after the deployment's data were cleared."""
    with pytest.raises(SidecarError) as caught:
        await apply(store, sidecar_id, 1, put(1))
    assert (caught.value.kind, caught.value.code) == (ErrorKind.CONFLICT, "UNREGISTERED")


async def test_more_than_a_hundred_ops_are_refused_whole(
    store: MetadataStore, sidecar_id: str, epoch: int
) -> None:
    """The stage halves such a batch."""
    ops = [put(n, name=f"{n}.mp4") for n in range(1, 102)]
    with pytest.raises(SidecarError) as caught:
        await apply(store, sidecar_id, epoch, *ops)
    assert (caught.value.kind, caught.value.code) == (ErrorKind.INVALID, "BATCH_TOO_LARGE")
    assert not caught.value.maybe_done
