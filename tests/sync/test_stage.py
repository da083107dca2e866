"""TELL, over a real journal and the real functions, through every fault of Convex's wire."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sidecar.core.breaker import BreakerState
from sidecar.core.errors import FatalError
from sidecar.core.ops import Batch, OpKind, OpResult
from sidecar.journal.journal import Journal
from sidecar.local.convex_server import ConvexServer
from sidecar.sync import signing_keys

from .conftest import OpenDesk

APPLY = "sidecar:applyAssets"
REGISTER = "sidecar:register"
PING = "sidecar:ping"
TOO_LARGE = "json_set(body, '$.role', hex(zeroblob(8500000)))"  # 17 MB: more than one call may hold
BAD_ARGUMENT = "json_set(body, '$.index', 'first')"  # the validator throws; in production it says nothing


def fault(action: str, path: str = APPLY, **over: Any) -> dict[str, Any]:
    """Return a fault for the server's control endpoint."""
    return {"action": action, "path": path, **over}


async def test_what_is_uploaded_becomes_synced(convex: ConvexServer, open_desk: OpenDesk) -> None:
    """Registered, told, acknowledged; Convex shows it once with its checksum."""
    async with open_desk(convex.url) as desk:
        transfers = await desk.shipped("a.mp4", "b.mp4")
        await desk.until_state("synced", *transfers)
        assert desk.stage.registered.is_set()
    rows = convex.table("renderSidecar/assets")
    assert sorted(row["name"] for row in rows) == ["a.mp4", "b.mp4"]
    assert {row["version"] for row in rows} == {1}


@pytest.mark.parametrize(
    "one",
    [
        fault("drop_after"),
        fault("drop_before"),
        fault("error_after", status=500, code="InternalServerError"),
        fault("error", status=503, code="OptimisticConcurrencyControlFailure"),
        fault("error", status=503, code="WorkerOverloaded"),
        fault("error", status=429, code="TooManyConcurrentRequests"),
        fault("error", status=502, body="<html>bad gateway</html>", type="text/html"),
        fault("error", status=401, code="Unauthenticated"),
    ],
    ids=lambda one: f"{one['action']} {one.get('status', '')}",
)
async def test_a_fault_on_the_way_neither_loses_nor_doubles(
    convex: ConvexServer, open_desk: OpenDesk, one: dict[str, Any]
) -> None:
    """Whatever became of the first call, the retry makes it true once, and no attempt is spent in vain."""
    convex.control("faults", [one])
    async with open_desk(convex.url) as desk:
        transfers = await desk.shipped("a.mp4", "b.mp4", "c.mp4")
        await desk.until_state("synced", *transfers)
    assert len(convex.table("renderSidecar/assets")) == 3
    assert len(convex.table("renderSidecar/assetVersions")) == 3


async def test_a_lone_op_goes_again_in_a_quiet_hour(convex: ConvexServer, open_desk: OpenDesk) -> None:
    """Nothing else wakes anybody: no other file, and no remote that is well again."""
    async with open_desk(convex.url) as desk:
        await asyncio.wait_for(desk.stage.registered.wait(), 10)
        convex.control("faults", [fault("drop_before", APPLY, times=3)])
        (transfer,) = await desk.shipped("lone.mp4")
        await desk.until_state("synced", transfer)


async def test_a_burst_is_told_in_few_calls(
    convex: ConvexServer, open_desk: OpenDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ops gather while a call is in flight, however long it takes: a hundred files, two calls."""
    calls, answered = list[int](), asyncio.Event()
    async with open_desk(convex.url) as desk:
        store = desk.stage._delivery._store
        apply = store.apply

        async def held(batch: Batch, **named: Any) -> list[OpResult]:
            calls.append(sum(op.kind is OpKind.PUT for op in batch.ops))
            await answered.wait()
            return list(await apply(batch, **named))

        async def is_called() -> bool:
            return bool(calls)

        monkeypatch.setattr(store, "apply", held)
        transfers = await desk.shipped("0.mp4")
        await desk.until(is_called)
        transfers += await desk.shipped(*(f"{n}.mp4" for n in range(1, 100)))
        answered.set()
        await desk.until_state("synced", *transfers)
    assert calls == [1, 99]
    assert desk.metrics.registry.get_sample_value("sidecar_sync_duration_seconds_count") in range(1, 21)


async def test_convex_down_spends_no_attempt(convex: ConvexServer, open_desk: OpenDesk) -> None:
    """A single op waits out an outage: the breaker opens, tells why, and closes after it."""
    async with open_desk(convex.url) as desk:
        await asyncio.wait_for(desk.stage.registered.wait(), 10)
        convex.control("faults", [fault("drop_before", path, times=1000) for path in (APPLY, PING)])
        (transfer,) = await desk.shipped("lone.mp4")

        async def is_open() -> bool:
            return desk.gate.state is BreakerState.OPEN

        await desk.until(is_open)
        assert desk.gate.reason is not None
        assert desk.gate.reason.startswith("Convex is unreachable since")
        assert await desk.writer.run(_failures) == 0
        convex.control("faults", [])
        await desk.until_state("synced", transfer)
        assert desk.gate.state is BreakerState.CLOSED
        assert desk.gate.reason is None


async def test_a_paused_deployment_kills_nothing(convex: ConvexServer, open_desk: OpenDesk) -> None:
    """Redacted errors look like bugs; the queue pauses and goes on."""
    async with open_desk(convex.url) as desk:
        await asyncio.wait_for(desk.stage.registered.wait(), 10)
        convex.control("paused", {"paused": True})
        transfers = await desk.shipped("a.mp4", "b.mp4")

        async def is_open() -> bool:
            return desk.gate.state is BreakerState.OPEN

        await desk.until(is_open)
        assert await desk.writer.run(_failures) == 0
        convex.control("paused", {"paused": False})
        await desk.until_state("synced", *transfers)


async def test_starting_while_convex_is_down_waits_for_it(convex: ConvexServer, open_desk: OpenDesk) -> None:
    """Registration is tried until it succeeds; then everything is told."""
    convex.control("faults", [fault("drop_before", path, times=1000) for path in (REGISTER, PING)])
    async with open_desk(convex.url) as desk:
        (transfer,) = await desk.shipped("a.mp4")

        async def is_degraded() -> bool:
            return desk.gate.reason is not None

        await desk.until(is_degraded)
        assert not desk.stage.registered.is_set()
        convex.control("faults", [])
        await desk.until_state("synced", transfer)


async def test_a_poison_op_dies_alone(convex: ConvexServer, open_desk: OpenDesk) -> None:
    """A batch that is refused as a whole is halved until the poison stands alone and is given up."""
    async with open_desk(convex.url) as desk:
        await asyncio.wait_for(desk.stage.registered.wait(), 10)
        good = await desk.shipped(*(f"{n}.mp4" for n in range(5)))
        (poison,) = await desk.shipped("poison.mp4", spoil=TOO_LARGE)
        good += await desk.shipped(*(f"{n}.mp4" for n in range(5, 10)))
        await desk.until_state("synced", *good)
        await desk.until_state("dead", poison)
        assert desk.gate.state is BreakerState.CLOSED


async def test_a_redacted_poison_op_holds_up_nobody(convex: ConvexServer, open_desk: OpenDesk) -> None:
    """The others get through although the cause is hidden; the op itself waits, alive."""
    async with open_desk(convex.url) as desk:
        await asyncio.wait_for(desk.stage.registered.wait(), 10)
        (poison,) = await desk.shipped("poison.mp4", spoil=BAD_ARGUMENT)
        good = await desk.shipped(*(f"{n}.mp4" for n in range(20)))
        await desk.until_state("synced", *good)
        assert await desk.state_of(poison) == "uploaded"
        assert await desk.writer.run(_failures) == 0


async def test_cleared_data_are_told_to_register_again(convex: ConvexServer, open_desk: OpenDesk) -> None:
    """A deployment that forgot us gets a registration, then the op."""
    async with open_desk(convex.url) as desk:
        await desk.until_state("synced", *await desk.shipped("a.mp4"))
        convex.control("reset", {})
        await desk.until_state("synced", *await desk.shipped("b.mp4"))
        assert desk.stage.registered.is_set()


async def test_a_restart_tells_the_rest_once(convex: ConvexServer, open_desk: OpenDesk) -> None:
    """The answer to the last call was lost with the process; the op is not applied twice."""
    async with open_desk(convex.url) as desk:
        await asyncio.wait_for(desk.stage.registered.wait(), 10)
        convex.control("faults", [fault("error_after", status=500, code="InternalServerError", times=1000)])
        (transfer,) = await desk.shipped("a.mp4")

        async def is_there() -> bool:
            return len(convex.table("renderSidecar/assets")) == 1

        await desk.until(is_there)
    convex.control("faults", [])
    async with open_desk(convex.url) as desk:
        await desk.until_state("synced", transfer)
    assert len(convex.table("renderSidecar/assetVersions")) == 1


async def test_a_newer_journal_of_the_same_sidecar_stops_us(
    convex: ConvexServer, open_desk: OpenDesk, tmp_path: Path
) -> None:
    """Fenced: exit 1 with a sentence, nothing is written over the newer one's work."""
    (tmp_path / "other").mkdir()
    with pytest.raises(BaseExceptionGroup) as caught:  # noqa: PT012 - the group leaves the whole block
        async with open_desk(convex.url) as old:
            await asyncio.wait_for(old.stage.registered.wait(), 10)
            async with open_desk(convex.url, journal=tmp_path / "other") as new:
                await asyncio.wait_for(new.stage.registered.wait(), 10)
            (transfer,) = await old.shipped("a.mp4")

            async def is_over() -> bool:
                return old.running.done()

            await old.until(is_over)
            assert await old.state_of(transfer) == "uploaded"
    fatal = caught.value.exceptions[0]
    assert isinstance(fatal, FatalError)
    assert fatal.exit_status == 1


async def test_wrong_credentials_stop_the_queue_and_say_so(
    convex: ConvexServer, open_desk: OpenDesk, tmp_path: Path
) -> None:
    """A key that Convex does not know: degraded at once with the hint, nothing dies."""
    signing_keys.create(tmp_path / "unknown.pem")
    async with open_desk(convex.url, key_file=tmp_path / "unknown.pem") as desk:
        (transfer,) = await desk.shipped("a.mp4")

        async def is_open() -> bool:
            return desk.gate.state is BreakerState.OPEN

        await desk.until(is_open)
        assert desk.gate.reason is not None
        assert "does not accept our credentials" in desk.gate.reason
        assert "convex.auth" in desk.gate.reason
        assert await desk.state_of(transfer) == "uploaded"


def _failures(journal: Journal) -> int:
    """Return the most attempts that any op of the outbox has spent."""
    return int(journal.db.execute("SELECT max(failures) AS n FROM outbox").fetchone()["n"] or 0)
