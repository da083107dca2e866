"""Objects of removed assets: their versions are marked before they go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from sidecar.core.breaker import BreakerPolicy
from sidecar.core.clock import SystemClock
from sidecar.core.errors import ErrorKind, FatalError, SidecarError
from sidecar.core.ids import sidecar_tag
from sidecar.core.model import Slot, Transfer
from sidecar.journal.journal import Journal
from sidecar.journal.stores.answers import Answers
from sidecar.journal.stores.cleanup import Cleanup
from sidecar.journal.stores.removal_decisions import RemovalDecisions
from sidecar.journal.writer import JournalWriter
from sidecar.sync.expiry import ExpiryStage
from sidecar.sync.registration import Registrar
from tests.support import journals
from tests.support.gates import QUICK, convex_gate
from tests.support.memory_metadata import MemoryMetadata
from tests.support.patience import DEADLINE_SECONDS

SIDECAR = "test-sidecar"


class Scripted(MemoryMetadata):
    """A deployment that says what it is told to when it is asked to mark versions."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[SidecarError | list[bool]] = []

    async def expire(
        self, versions: Sequence[tuple[Slot, int]], *, sidecar_id: str, epoch: int
    ) -> Sequence[bool]:
        """Answer as the script says, then as ever."""
        if not self.answers:
            return await super().expire(versions, sidecar_id=sidecar_id, epoch=epoch)
        answer = self.answers.pop(0)
        if isinstance(answer, SidecarError):
            raise answer
        return answer


@dataclass(slots=True, kw_only=True)
class Desk:
    """A stage over a journal that owes the expiry of one removed version."""

    writer: JournalWriter
    metadata: Scripted
    stage: ExpiryStage
    transfer: Transfer

    async def debts(self) -> list[str]:
        """Return the keys of objects that are to be deleted."""
        return [task.key for task in await self.writer.do(Cleanup.claim_cleanup, limit=9, now=1e9)]

    async def until_settled(self) -> None:
        """Run the stage until nothing is to be marked; its own end is the test's."""
        running = asyncio.create_task(self.stage.run())
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                while await self.writer.do(RemovalDecisions.expiries, limit=9) and not running.done():
                    await asyncio.sleep(0.01)
            if running.done():
                running.result()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """Ship a file, remove it with its object, and have Convex acknowledge that."""
    clock, metadata = SystemClock(), Scripted()
    db = Journal(tmp_path / "journal.db", tag=sidecar_tag(SIDECAR), bucket="lessons", clock=clock)
    async with JournalWriter(db) as writer:
        gate = convex_gate(
            metadata.probe, clock, retry=QUICK, breaker=BreakerPolicy(reset_seconds=0.05), jitter=1.0
        )
        registrar = Registrar(store=metadata, journal=writer, gate=gate, sidecar_id=SIDECAR)
        await registrar.register()
        stage = ExpiryStage(
            store=metadata, journal=writer, gate=gate, registrar=registrar, sidecar_id=SIDECAR
        )
        transfer = await writer.run(lambda journal: journals.ready(journal, "A"))
        await writer.run(journals.ship, transfer)
        await told(writer, metadata)
        await writer.run(remove)
        await told(writer, metadata)
        running = asyncio.create_task(gate.run())
        yield Desk(writer=writer, metadata=metadata, stage=stage, transfer=transfer)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def told(writer: JournalWriter, metadata: MemoryMetadata) -> None:
    """Let Convex hear all that it is owed."""
    while (batch := await writer.run(journals.claim)) is not None:
        await writer.do(Answers.settle, await metadata.apply(batch, sidecar_id=SIDECAR, epoch=1))


def remove(journal: Journal) -> None:
    """Let the usual file be gone in as many looks as it takes."""
    for _ in range(2):
        journal.files.missing(journals.ROOT, ["demo/lesson/s1/chunk_001.mp4"])
    journal.removals.confirm_absence(journals.ROOT)
    assert (
        journal.removals.evaluate_absences(journals.ROOT, after="", ask=False, delete_object=True).enqueued
        == 1
    )


async def test_a_version_is_marked_and_its_object_owed(desk: Desk) -> None:
    """In this order."""
    assert await desk.debts() == []
    await desk.until_settled()
    assert {version for _, version in desk.metadata.expired} == {1}
    assert await desk.debts() == [desk.transfer.key]


async def test_an_outage_is_waited_out(desk: Desk) -> None:
    """However long; then it is done as ever."""
    away = SidecarError(ErrorKind.NETWORK, "away", operation="call", target="x")
    desk.metadata.answers = [away] * 7
    await desk.until_settled()
    assert desk.metadata.answers == []
    assert await desk.debts() == [desk.transfer.key]


async def test_what_convex_does_not_mark_stays(desk: Desk) -> None:
    """Something shows it, or it is another sidecar's, whatever the journal thought."""
    desk.metadata.answers = [[False]]
    await desk.until_settled()
    assert await desk.debts() == []


async def test_a_fenced_sidecar_marks_nothing(desk: Desk) -> None:
    """A newer journal has taken over."""
    desk.metadata.answers = [
        SidecarError(ErrorKind.CONFLICT, "a newer one", operation="call", target="x", code="FENCED")
    ]
    with pytest.raises(FatalError, match="fenced"):
        await desk.until_settled()
    assert await desk.debts() == []
