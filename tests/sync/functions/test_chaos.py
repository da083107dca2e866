"""Exactly once, whatever the network does: many senders, faults of every kind, everything out of order."""

from __future__ import annotations

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from sidecar.local.convex_server import ConvexServer
from tests.support.convex import Caller, Refused, Sidecar, facts, put, remove
from tests.support.patience import DEADLINE_SECONDS

from .conftest import Connect

FAULTS: list[dict[str, object]] = [
    {"action": "drop_after"},
    {"action": "drop_before"},
    {"action": "error_after", "status": 500, "code": "InternalServerError"},
    {"action": "error", "status": 503, "code": "OptimisticConcurrencyControlFailure"},
    {"action": "error", "status": 429, "code": "TooManyConcurrentRequests"},
    {"action": "delay", "ms": 5},
]


def deliver(sidecar: Sidecar, op: dict[str, object]) -> str:
    """Send an op until there is a definite outcome, as the outbox does."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        try:
            return sidecar.outcomes(op)[0]
        except httpx.TransportError:
            continue
        except Refused as refused:
            if refused.status < 429:
                raise
    raise AssertionError("no outcome in time")


def test_every_op_counts_once_and_every_slot_ends_with_its_newest(
    server: ConvexServer, connect: Connect, player: Caller
) -> None:
    """Retries, duplicates and reordering leave the truth of an undisturbed run."""
    chance = random.Random(7)
    sidecar = connect()
    slots = [(f"scene-{i % 5}", f"{i}.mp4") for i in range(20)]
    ops = [
        put(name, content=f"c{number}", entityId=scene, size=chance.randrange(1, 9999))
        for number, (scene, name) in enumerate(chance.choices(slots, k=200))
    ]
    newest = {(op["entityId"], op["name"]): op for op in ops}
    sent = ops + chance.sample(ops, 60)
    chance.shuffle(sent)
    server.control("faults", [{**chance.choice(FAULTS), "path": "sidecar:applyAssets"} for _ in range(80)])
    with ThreadPoolExecutor(8) as pool:
        outcomes = Counter(pool.map(lambda op: deliver(sidecar, op), sent))
    assert outcomes.keys() <= {"applied", "duplicate", "stale"}
    mine = [row for row in server.table("renderSidecar/assets") if row["sessionId"] == sidecar.session_id]
    assert {(row["entityId"], row["name"]): row["checksum"] for row in mine} == {
        slot: op["asset"]["checksum"] for slot, op in newest.items()
    }
    versions = [
        row for row in server.table("renderSidecar/assetVersions") if row["sessionId"] == sidecar.session_id
    ]
    assert len({(row["entityId"], row["name"], row["version"]) for row in versions}) == len(versions)
    session = player.query("sessions:get", sessionId=sidecar.session_id)
    assert session["totalAssetSize"] == sum(op["asset"]["size"] for op in newest.values())
    assert session["assetCount"] == len(newest)


WRITERS = 16
Truth = dict[tuple[str, str], dict[str, Any]]


def work_of(sidecar: Sidecar, chance: random.Random, count: int) -> list[dict[str, Any]]:
    """Return ops of one writer, oldest first: it has scenes of its own, and files in one that all share."""
    names = [
        (scene, f"{sidecar.sidecar_id}-{n}.mp4") for scene in (sidecar.sidecar_id, "all") for n in range(4)
    ]
    ops = []
    for number in range(count):
        scene, name = chance.choice(names)
        kind = chance.random()
        if kind < 0.7:
            ops.append(put(name, f"c{number}", entityId=scene, size=chance.randrange(1, 9999)))
        elif kind < 0.85:
            ops.append(remove(name, entityId=scene))
        else:
            ops.append(facts(scene, owed=chance.randrange(2)))
    return ops


def truth_of(work: list[list[dict[str, Any]]]) -> Truth:
    """Return what each slot holds in the end: the newest op's word, whenever it arrived."""
    newest: Truth = {}
    for ops in work:
        newest |= {(op["entityId"], op["name"]): op for op in ops if op["kind"] != "facts"}
    return {slot: op for slot, op in newest.items() if op["kind"] == "put"}


def ready_of(work: list[list[dict[str, Any]]], truth: Truth) -> set[str]:
    """Return the scenes that are ready: each of its writers owes nothing any more, and there is a video."""
    last = {
        (writer, op["sceneId"]): op for writer, ops in enumerate(work) for op in ops if op["kind"] == "facts"
    }
    owed = {scene for (_, scene), op in last.items() if op["owed"]}
    return {scene for _, scene in last if scene not in owed} & {scene for scene, _ in truth}


def test_sixteen_writers_of_one_session_through_faults_at_the_wire(
    server: ConvexServer, connect: Connect, player: Caller, request: pytest.FixtureRequest
) -> None:
    """Everything out of order, some of it twice: each slot ends with its newest, and the totals are exact."""
    faults, count = (1000, 120) if request.config.getoption("--faults") == "all" else (40, 8)
    chance = random.Random(request.config.getoption("--seed"))
    sidecars = [connect() for _ in range(WRITERS)]
    work = [work_of(sidecar, chance, count) for sidecar in sidecars]
    sent = [chance.sample(ops + ops[::4], len(ops) + len(ops[::4])) for ops in work]
    before = server.control("stats")["faulted"]
    plan = [{**chance.choice(FAULTS), "path": "sidecar:applyAssets"} for _ in range(faults)]
    server.control("faults", plan)

    def deliver_all(writer: int) -> Counter[str]:
        return Counter(deliver(sidecars[writer], op) for op in sent[writer])

    with ThreadPoolExecutor(WRITERS) as pool:
        outcomes = sum(pool.map(deliver_all, range(WRITERS)), Counter[str]())
    assert server.control("stats")["faulted"] - before == faults
    assert outcomes.keys() <= {"applied", "unchanged", "duplicate", "stale"}
    session_id, truth = sidecars[0].session_id, truth_of(work)
    mine = [row for row in server.table("renderSidecar/assets") if row["sessionId"] == session_id]
    assert {(row["entityId"], row["name"]): row["checksum"] for row in mine} == {
        slot: op["asset"]["checksum"] for slot, op in truth.items()
    }
    session = player.query("sessions:get", sessionId=session_id)
    assert session["totalAssetSize"] == sum(op["asset"]["size"] for op in truth.values())
    assert (session["assetCount"], session["readyCount"]) == (len(truth), len(ready_of(work, truth)))
    counted = sidecars[0].caller.mutation("sidecar:recount", sessionId=session_id, progress=None)
    assert (counted["outcome"], counted["wrong"]) == ("exact", 0)
