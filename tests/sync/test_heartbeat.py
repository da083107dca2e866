"""A sign of life for Convex, whatever else there is to tell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sidecar.core.breaker import BreakerPolicy, BreakerState
from sidecar.core.clock import SystemClock
from sidecar.core.errors import ErrorKind, FatalError, SidecarError
from sidecar.core.ids import sidecar_tag
from sidecar.gate import RemoteGate
from sidecar.journal.journal import Journal
from sidecar.journal.writer import JournalWriter
from sidecar.sync import heartbeat
from sidecar.sync.heartbeat import HeartbeatStage
from sidecar.sync.registration import Registrar
from tests.support.gates import QUICK, convex_gate
from tests.support.memory_metadata import MemoryMetadata
from tests.support.patience import DEADLINE_SECONDS

SIDECAR = "test-sidecar"
UNKNOWN_FUNCTION = SidecarError(
    ErrorKind.UNKNOWN, "Could not find public function", operation="call", target="sidecar:heartbeat",
    redacted=True,
)  # fmt: skip
AWAY = SidecarError(ErrorKind.NETWORK, "no connection", operation="call", target="sidecar:heartbeat")


class Scripted(MemoryMetadata):
    """A deployment that answers a beat as it is told to, then as ever."""

    def __init__(self, *answers: SidecarError) -> None:
        super().__init__()
        self.answers, self.epochs_heard = list(answers), list[int]()

    async def beat(self, *, sidecar_id: str, epoch: int) -> None:
        """Answer as the script says."""
        self.epochs_heard.append(epoch)
        if self.answers:
            raise self.answers.pop(0)
        await super().beat(sidecar_id=sidecar_id, epoch=epoch)


@dataclass(slots=True, kw_only=True)
class Desk:
    """The stage, running."""

    gate: RemoteGate
    task: asyncio.Task[None]

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for it, unless the stage ends before."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not is_so():
                if self.task.done():
                    self.task.result()
                await asyncio.sleep(0.005)


@asynccontextmanager
async def beating(tmp_path: Path, metadata: Scripted) -> AsyncIterator[Desk]:
    """Run the stage beside a gate."""
    clock = SystemClock()
    db = Journal(tmp_path / "journal.db", tag=sidecar_tag(SIDECAR), bucket="lessons", clock=clock)
    async with JournalWriter(db) as writer:
        gate = convex_gate(
            metadata.probe,
            clock,
            retry=QUICK,
            breaker=BreakerPolicy(failures=1, reset_seconds=0.05),
            jitter=1.0,
        )
        registrar = Registrar(store=metadata, journal=writer, gate=gate, sidecar_id=SIDECAR)
        await registrar.register()
        stage = HeartbeatStage(store=metadata, gate=gate, registrar=registrar, sidecar_id=SIDECAR)
        tasks = [asyncio.create_task(work) for work in (gate.run(), stage.run())]
        yield Desk(gate=gate, task=tasks[1])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five minutes are ten milliseconds."""
    monkeypatch.setattr(heartbeat, "EVERY_SECONDS", 0.01)


async def test_it_beats_for_ever_through_outages(tmp_path: Path) -> None:
    """The gate hears of them, as of any other call's."""
    metadata = Scripted(AWAY, AWAY)
    async with beating(tmp_path, metadata) as desk:
        await desk.until(lambda: len(metadata.epochs_heard) > 5)
        await desk.until(lambda: desk.gate.state is BreakerState.CLOSED)
        assert set(metadata.epochs_heard) == {1}


async def test_older_functions_are_named_once_and_stop_nothing(tmp_path: Path) -> None:
    """One sentence; the gate stays open for ops; after a deployment it beats."""
    metadata = Scripted(*[UNKNOWN_FUNCTION] * 4)
    with capture_logs() as lines:
        async with beating(tmp_path, metadata) as desk:
            await desk.until(lambda: len(metadata.epochs_heard) > 5)
            assert desk.gate.state is BreakerState.CLOSED
    told = [line for line in lines if line["event"] == "heartbeat_refused"]
    assert len(told) == 1
    assert "idle for 15 minutes" in told[0]["why"]


async def test_credentials_that_fail_are_the_gates_business(tmp_path: Path) -> None:
    """They say nothing of how old the functions are."""
    refused = SidecarError(ErrorKind.UNAUTHORIZED, "no token", operation="call", target="sidecar:heartbeat")
    metadata = Scripted(refused, UNKNOWN_FUNCTION)
    with capture_logs() as lines:
        async with beating(tmp_path, metadata) as desk:
            await desk.until(lambda: len(metadata.epochs_heard) > 2)
    told = [line["error"] for line in lines if line["event"] == "heartbeat_refused"]
    assert len(told) == 1
    assert "Could not find" in told[0]


async def test_a_fenced_sidecar_ends(tmp_path: Path) -> None:
    """Also one that has nothing to tell."""
    metadata = Scripted()
    async with beating(tmp_path, metadata) as desk:
        await metadata.register(sidecar_id=SIDECAR, journal_id="a newer one")
        with pytest.raises(FatalError, match="fenced"):
            await asyncio.wait_for(desk.task, DEADLINE_SECONDS)


async def test_a_forgotten_journal_is_announced_again(tmp_path: Path) -> None:
    """As after the deployment's data were cleared."""
    metadata = Scripted()
    async with beating(tmp_path, metadata) as desk:
        metadata.epochs.clear()
        await desk.until(lambda: SIDECAR in metadata.epochs)
        heard = len(metadata.epochs_heard)
        await desk.until(lambda: len(metadata.epochs_heard) > heard + 2)
