"""What `sidecar:applyAssets` and `sidecar:register` promise to a sidecar."""

from __future__ import annotations

import pytest

from sidecar.local.convex_server import ConvexServer
from tests.support.convex import Caller, Refused, Sidecar, facts, put, remove

from .conftest import Connect


def rows(server: ConvexServer, table: str, sidecar: Sidecar) -> list[dict[str, object]]:
    """Return the rows of a table that this test's sidecar wrote."""
    return [
        row
        for row in server.table(f"renderSidecar/{table}")
        if str(row["producer"]).endswith(f"|{sidecar.sidecar_id}")
    ]


def test_an_op_sent_twice_is_applied_once(server: ConvexServer, sidecar: Sidecar) -> None:
    """A retry with the same opId is a duplicate, with the version of the first time."""
    op = put()
    first, second = sidecar.apply(op)[0], sidecar.apply(op)[0]
    assert (first["opId"], first["outcome"], first["version"]) == (op["opId"], "applied", 1)
    assert second == first | {"outcome": "duplicate"}
    assert len(rows(server, "assetVersions", sidecar)) == 1


def test_an_op_twice_in_one_batch_is_applied_once(sidecar: Sidecar) -> None:
    """A batch sees its own earlier ops."""
    op = put()
    assert sidecar.outcomes(op, op) == ["applied", "duplicate"]


def test_a_lost_answer_costs_nothing(server: ConvexServer, sidecar: Sidecar) -> None:
    """The connection drops after the commit: the retry is a duplicate, and nothing is doubled."""
    op = put()
    server.control("faults", [{"action": "drop_after", "path": "sidecar:applyAssets"}])
    with pytest.raises(Exception, match="disconnected"):
        sidecar.apply(op)
    assert sidecar.outcomes(op) == ["duplicate"]


def test_a_b_a_makes_three_versions(server: ConvexServer, sidecar: Sidecar) -> None:
    """Content that comes back is a new version: only the current one counts as the same."""
    versions = [sidecar.apply(put(content=content))[0]["version"] for content in "ABA"]
    assert versions == [1, 2, 3]
    assert [row["version"] for row in rows(server, "assetVersions", sidecar)] == [1, 2, 3]


def test_the_same_content_again_is_unchanged(server: ConvexServer, sidecar: Sidecar) -> None:
    """Size and checksum decide; the slot keeps its object, and the answer says so."""
    sidecar.apply(put(key="first", transfer="one"))
    [result] = sidecar.apply(put(key="second"))
    assert (result["outcome"], result["version"]) == ("unchanged", 1)
    assert result["kept"] == {"s3Key": "first", "transfer": "one"}
    assert [row["s3Key"] for row in rows(server, "assets", sidecar)] == ["first"]


def test_two_sidecars_with_the_same_content_share_one_object(server: ConvexServer, connect: Connect) -> None:
    """The second one hears whose object is shown, also if its first answer was lost."""
    first, second = connect(), connect()
    first.apply(put(key="first", transfer="one"))
    op = put(key="second")
    results = [*second.apply(op), *second.apply(op)]
    assert [result["outcome"] for result in results] == ["unchanged", "duplicate"]
    assert [result["kept"]["s3Key"] for result in results] == ["first", "first"]
    assert rows(server, "assetVersions", second) == []


def test_the_same_checksum_of_another_size_is_new(sidecar: Sidecar) -> None:
    """Identity of content is both."""
    assert sidecar.outcomes(put(size=1), put(size=2)) == ["applied", "applied"]


def test_unchanged_content_takes_its_new_description(sidecar: Sidecar, player: Caller) -> None:
    """A rule that now names the role or the index moves it without a new version."""
    sidecar.apply(put(content="B"), put("b.mp4"))
    assert sidecar.outcomes(put("b.mp4", role="main", metadata={"fps": "30"})) == ["unchanged"]
    scene = player.query("scenes:get", sessionId=sidecar.session_id, sceneId="intro")
    assert scene["videoAsset"]["checksum"] == "crc64nvme:A"
    assert scene["assetVersion"] == 1


def test_a_late_op_of_the_same_sidecar_is_stale(sidecar: Sidecar, player: Caller) -> None:
    """(epoch, seq) orders the ops of a slot; a late one changes nothing."""
    early, late = put(content="A"), put(content="B")
    assert sidecar.outcomes(late, early) == ["applied", "stale"]
    scene = player.query("scenes:get", sessionId=sidecar.session_id, sceneId="intro")
    assert scene["videoAsset"]["checksum"] == "crc64nvme:B"


def test_a_request_that_wandered_for_hours_is_stale(server: ConvexServer, sidecar: Sidecar) -> None:
    """Its idempotency row is pruned, but the slot still remembers its newest op."""
    first = put(content="A")
    sidecar.apply(first)
    second = put(content="B")
    sidecar.acked_seq = second["seq"]
    sidecar.apply(second)
    assert [row["seq"] for row in rows(server, "appliedOps", sidecar)] == [second["seq"]]
    assert sidecar.outcomes(first) == ["stale"]


def test_rows_go_only_below_what_is_acknowledged(server: ConvexServer, sidecar: Sidecar) -> None:
    """An op that may still be retried keeps its row."""
    ops = [put(content=content) for content in "ABC"]
    sidecar.apply(*ops)
    assert len(rows(server, "appliedOps", sidecar)) == 3
    sidecar.acked_seq = ops[0]["seq"]
    sidecar.apply()
    assert [row["seq"] for row in rows(server, "appliedOps", sidecar)] == [op["seq"] for op in ops[1:]]
    assert sidecar.outcomes(ops[1]) == ["duplicate"]


def test_rows_of_a_fenced_epoch_go(server: ConvexServer, sidecar: Sidecar) -> None:
    """Nobody can retry them; each slot keeps its newest."""
    ops = [put(content=content) for content in "ABC"]
    sidecar.apply(*ops)
    sidecar.epoch = sidecar.register("journal-2")["epoch"]
    sidecar.apply()
    assert [row["seq"] for row in rows(server, "appliedOps", sidecar)] == [ops[-1]["seq"]]


def test_a_new_journal_begins_a_new_epoch(sidecar: Sidecar) -> None:
    """The same journal keeps its epoch and hears the highest seq it ever sent."""
    op = put()
    sidecar.apply(op, facts())
    same = sidecar.register("journal-1")
    assert (same["epoch"], same["contractVersion"]) == (1, 1)
    assert same["lastSeq"] == op["seq"] + 1
    assert sidecar.register("journal-2") == {"epoch": 2, "lastSeq": 0, "contractVersion": 1}


def test_each_sidecar_is_answered_by_its_own_contract(sidecar: Sidecar) -> None:
    """One that names none speaks the first; none is answered by one that it does not know."""
    call, who = sidecar.caller, {"sidecarId": sidecar.sidecar_id, "journalId": "journal-1"}
    for named, answered in [
        ({}, 1),
        ({"contractVersion": 1}, 1),
        ({"contractVersion": 2}, 2),
        ({"contractVersion": 3}, 3),
    ]:
        assert call.query("sidecar:ping", **named) == {"contractVersion": answered}
        assert call.mutation("sidecar:register", **who, **named)["contractVersion"] == answered
    assert call.query("sidecar:ping", contractVersion=9)["contractVersion"] == 3


def test_a_new_journal_may_begin_its_seq_anew(sidecar: Sidecar) -> None:
    """Order is by epoch first: a lost journal's outbox starts at 1 again."""
    sidecar.apply(put(content="A"))
    sidecar.epoch = sidecar.register("journal-2")["epoch"]
    assert sidecar.outcomes({**put(content="B"), "seq": 1}) == ["applied"]


def test_an_older_journal_is_fenced(sidecar: Sidecar) -> None:
    """An old copy of a journal may neither write nor register again."""
    sidecar.register("journal-2")
    with pytest.raises(Refused) as refused:
        sidecar.apply(put())
    assert refused.value.code == "FENCED"
    with pytest.raises(Refused) as refused:
        sidecar.register("journal-1")
    assert refused.value.code == "FENCED"


def test_an_unknown_epoch_must_register_first(sidecar: Sidecar) -> None:
    """So must a sidecar that Convex has never seen."""
    for over in ({"epoch": 7}, {"epoch": 2}):
        with pytest.raises(Refused) as refused:
            sidecar.apply(put(), **over)
        assert refused.value.code == "UNREGISTERED"


def test_the_last_sidecar_to_arrive_wins_and_the_takeover_is_told(connect: Connect, player: Caller) -> None:
    """Between sidecars there is no order but arrival; versions go on."""
    one, other = connect(), connect()
    late_of_one = put(content="A")
    one.apply(put(content="B"))
    [result] = other.apply(put(content="C"))
    assert (result["outcome"], result["version"], result["code"]) == ("applied", 2, "TAKEOVER")
    assert one.sidecar_id in result["message"]
    assert one.outcomes(late_of_one) == ["stale"]
    scene = player.query("scenes:get", sessionId=one.session_id, sceneId="intro")
    assert scene["videoAsset"]["checksum"] == "crc64nvme:C"


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (put(assetType="hologram"), "UNKNOWN_TYPE"),
        (put(assetType="manifest"), "UNKNOWN_TYPE"),
        (put(assetType="constructor"), "UNKNOWN_TYPE"),
        (put(entityType="planet"), "UNKNOWN_TYPE"),
        (put(entityType="session", assetType="video_chunk"), "UNKNOWN_TYPE"),
        (put(entityType="session", assetType="manifest", entityId="p/other"), "WRONG_SESSION"),
        (put(size=-1), "INVALID"),
        (put(size=0.5), "INVALID"),
        (put(size=2**53), "INVALID"),
        (put(size=10**15), "INVALID"),
        (put(name=""), "INVALID"),
        (put(name="n" * 2000), "INVALID"),
        (put(entityId=""), "INVALID"),
        (put(key=""), "INVALID"),
        (put(metadata={"k": "v" * 20_000}), "INVALID"),
        (put(media={"duration": -1}), "INVALID"),
        (put(media={"codec": "c" * 5000}), "INVALID"),
        ({**put(), "opId": ""}, "INVALID"),
        ({**put(), "seq": 0}, "INVALID"),
        (facts(owed=-1), "INVALID"),
        (facts(""), "INVALID"),
        (remove(assetType="hologram"), "UNKNOWN_TYPE"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_op_is_rejected_alone(sidecar: Sidecar, bad: dict[str, object], code: str) -> None:
    """It says why; the ops around it are applied; nothing remembers it."""
    before, rejected, after = sidecar.apply(put("a.mp4"), bad, put("b.mp4"))
    assert (before["outcome"], after["outcome"]) == ("applied", "applied")
    assert (rejected["outcome"], rejected["code"]) == ("rejected", code)
    assert rejected["message"]


def test_an_op_id_used_for_other_content_is_rejected(sidecar: Sidecar) -> None:
    """It is a bug of the sender, never a duplicate."""
    op = put(content="A")
    sidecar.apply(op)
    other = put(content="B", opId=op["opId"])
    assert [result.get("code") for result in sidecar.apply(other)] == ["OP_ID_REUSED"]
    elsewhere = {**op, "name": "other.mp4"}
    assert [result.get("code") for result in sidecar.apply(elsewhere)] == ["OP_ID_REUSED"]


def test_two_sidecars_may_mint_the_same_op_id(connect: Connect) -> None:
    """An opId is its sidecar's own."""
    assert connect().outcomes(put(opId="same")) == ["applied"]
    assert connect().outcomes(put(content="B", opId="same")) == ["applied"]


def test_a_session_of_another_project_is_refused(connect: Connect, server: ConvexServer) -> None:
    """The first project that writes a session owns it."""
    connect(project_id="mine").apply(put())
    thief = connect(project_id="theirs")
    results = thief.apply(put(), facts())
    assert {(result["outcome"], result["code"]) for result in results} == {
        ("rejected", "SESSION_OF_OTHER_PROJECT")
    }
    assert rows(server, "assets", thief) == []


def test_a_deleted_scene_refuses_ops(server: ConvexServer, sidecar: Sidecar, player: Caller) -> None:
    """The tombstone stays; its rows go; what was acknowledged before is still a duplicate."""
    op = put()
    sidecar.apply(op, put(entityId="outro"), facts())
    with Caller(server.url, f"Convex {server.admin_key}") as admin:
        admin.mutation("scenes:remove", sessionId=sidecar.session_id, sceneId="intro")
    server.control("settle", {})
    assert sidecar.outcomes(op) == ["duplicate"]
    assert [result.get("code") for result in sidecar.apply(put(), facts(), remove())] == ["SCENE_DELETED"] * 3
    scenes = player.query("scenes:bySession", sessionId=sidecar.session_id)
    assert [scene["sceneId"] for scene in scenes] == ["outro"]
    session = player.query("sessions:get", sessionId=sidecar.session_id)
    assert (session["assetCount"], session["sceneCount"]) == (1, 1)
    assert [row["entityId"] for row in rows(server, "assets", sidecar)] == ["outro"]


def test_a_removed_asset_is_gone_and_its_versions_go_on(sidecar: Sidecar, player: Caller) -> None:
    """The scene shows what is left; a name that comes back does not reuse a version."""
    sidecar.apply(put("a.mp4", "A", index=1), put("b.mp4", "B", index=2))
    assert sidecar.outcomes(remove("a.mp4"), remove("never.mp4")) == ["applied", "unchanged"]
    scene = player.query("scenes:get", sessionId=sidecar.session_id, sceneId="intro")
    assert scene["videoAsset"]["checksum"] == "crc64nvme:B"
    assert sidecar.apply(put("a.mp4", "A"))[0]["version"] == 2


def test_the_last_removed_asset_leaves_no_trace_in_its_scene(sidecar: Sidecar, player: Caller) -> None:
    """A field without an asset is absent."""
    sidecar.apply(put())
    sidecar.apply(remove())
    scene = player.query("scenes:get", sessionId=sidecar.session_id, sceneId="intro")
    assert "videoAsset" not in scene


def test_nobody_removes_what_another_sidecar_took_over(connect: Connect) -> None:
    """A file that vanished here says nothing about the version that came from elsewhere."""
    one, other = connect(), connect()
    one.apply(put(content="A"))
    other.apply(put(content="B"))
    assert one.outcomes(remove()) == ["stale"]
    assert other.outcomes(remove()) == ["applied"]


def test_a_hundred_ops_are_the_limit(sidecar: Sidecar) -> None:
    """More is refused as a whole, and the client bisects."""
    ops = [put(f"{i}.mp4") for i in range(100)]
    assert sidecar.outcomes(*ops) == ["applied"] * 100
    with pytest.raises(Refused) as refused:
        sidecar.apply(*ops, put())
    assert refused.value.code == "BATCH_TOO_LARGE"


def test_an_empty_batch_makes_no_session(sidecar: Sidecar, player: Caller) -> None:
    """Nor does one whose ops are all rejected."""
    assert sidecar.apply() == []
    sidecar.apply(put(name=""))
    assert player.query("sessions:get", sessionId=sidecar.session_id) is None


def test_current_assets_answers_slot_by_slot(sidecar: Sidecar) -> None:
    """A sidecar that lost its journal finds what Convex holds, in the order it asked."""
    sidecar.apply(put("a.mp4", "A"), put("a.mp4", "B", index=3, metadata={"fps": "30"}))
    slot = {"sessionId": sidecar.session_id, "entityType": "scene", "entityId": "intro"}
    slot |= {"assetType": "video_chunk", "name": "a.mp4"}
    empty, held = sidecar.caller.query("sidecar:currentAssets", slots=[{**slot, "name": "b.mp4"}, slot])
    assert empty is None
    assert (held["version"], held["checksum"], held["index"]) == (2, "crc64nvme:B", 3)
    assert held["metadata"] == {"fps": "30"}


def test_the_internal_twins_answer_to_a_deploy_key(server: ConvexServer) -> None:
    """The same write path for deployments without JWTs."""
    with Caller(server.url, f"Convex {server.admin_key}") as deployed:
        assert deployed.query("sidecar:pingInternal") == {"contractVersion": 1}
        who = {"sidecarId": "deployed"}
        epoch = deployed.mutation("sidecar:registerInternal", journalId="j", **who)["epoch"]
        batch = {"projectId": "d", "sessionId": "d/s", "epoch": epoch, "ackedSeq": 0, "ops": [put()]}
        [result] = deployed.mutation("sidecar:applyAssetsInternal", **who, **batch)
        assert result["outcome"] == "applied"
        assert deployed.query("sidecar:currentAssetsInternal", slots=[]) == []
