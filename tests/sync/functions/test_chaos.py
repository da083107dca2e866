"""Exactly once, whatever the network does: many senders, faults of every kind, everything out of order."""

from __future__ import annotations

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx

from sidecar.local.convex_server import ConvexServer
from tests.support.convex import Caller, Refused, Sidecar, put
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
