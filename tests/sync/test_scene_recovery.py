"""Scenes that a lost journal left unfinished: asked for once, whatever Convex makes of the question."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from sidecar.core.breaker import BreakerPolicy, BreakerState
from sidecar.core.clock import SystemClock
from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.ids import sidecar_tag
from sidecar.core.ops import Batch, OpKind, ScenePage
from sidecar.gate import RemoteGate
from sidecar.journal.journal import Journal
from sidecar.journal.stores.recovery import Recovery
from sidecar.journal.stores.scenes import Scenes
from sidecar.journal.writer import JournalWriter
from sidecar.sync import scene_recovery
from sidecar.sync.registration import Registrar
from sidecar.sync.scene_recovery import SceneRecoveryStage
from tests.support.gates import QUICK, convex_gate
from tests.support.memory_metadata import MemoryMetadata
from tests.support.ops import make_op
from tests.support.patience import DEADLINE_SECONDS

SIDECAR = "test-sidecar"
UNKNOWN_FUNCTION = SidecarError(
    ErrorKind.UNKNOWN, "Could not find public function", operation="call", target="x", redacted=True
)
AWAY = SidecarError(ErrorKind.NETWORK, "away", operation="call", target="x")


class Scripted(MemoryMetadata):
    """A deployment where two scenes are unfinished, and whose first answers are errors."""

    def __init__(self, *errors: SidecarError) -> None:
        super().__init__()
        self.errors, self.asked = list(errors), 0
        self.on_asked: Callable[[], object] = lambda: None

    async def begin(self) -> None:
        """Let a journal before ours tell of two scenes."""
        await self.register(sidecar_id=SIDECAR, journal_id="lost")
        body = {"complete": False, "owed": 1, "error": None, "reason": None}
        ops = tuple(
            make_op(OpKind.FACTS, {"sceneId": f"s{n}", **body}, seq=n, op_id=f"op{n}") for n in (1, 2)
        )
        batch = Batch(project_id="p", session_id="p/lesson", acked_seq=0, ops=ops)
        await self.apply(batch, sidecar_id=SIDECAR, epoch=1)

    async def unfinished_scenes(self, *, sidecar_id: str, cursor: str | None) -> ScenePage:
        """Answer as the script says, then as ever."""
        self.asked += 1
        self.on_asked()
        if self.errors:
            raise self.errors.pop(0)
        return await super().unfinished_scenes(sidecar_id=sidecar_id, cursor=cursor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A stage over a new journal."""

    writer: JournalWriter
    gate: RemoteGate
    stage: SceneRecoveryStage
    task: asyncio.Task[None]  # the stage's

    async def list_all(self) -> None:
        """Let the first scan be over."""
        await self.writer.do(Recovery.end_recovery)
        self.stage.begin()

    async def taken_up(self) -> list[str]:
        """Wait until the question is settled; return the scenes that the journal knows then."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while await self.writer.do(Recovery.has_scenes_to_recover):
                await asyncio.sleep(0.01)
        return [scene.scene_id for scene in await self.writer.do(Scenes.open_scenes)]


@asynccontextmanager
async def running(path: Path, metadata: Scripted, *, is_away: bool = False) -> AsyncIterator[Desk]:
    """Run the stage over a new journal, which Convex knows unless it ``is_away``."""
    clock = SystemClock()
    db = Journal(path / "journal.db", tag=sidecar_tag(SIDECAR), bucket="lessons", clock=clock)
    async with JournalWriter(db) as writer:
        await writer.do(Recovery.begin_recovery)
        gate = convex_gate(
            metadata.probe,
            clock,
            retry=QUICK,
            breaker=BreakerPolicy(failures=1, reset_seconds=0.05),
            jitter=1.0,
        )
        registrar = Registrar(store=metadata, journal=writer, gate=gate, sidecar_id=SIDECAR)
        if not is_away:
            await registrar.register()
        stage = SceneRecoveryStage(
            store=metadata, journal=writer, gate=gate, registrar=registrar, sidecar_id=SIDECAR
        )
        tasks = [asyncio.create_task(work) for work in (gate.run(), stage.run())]
        yield Desk(writer=writer, gate=gate, stage=stage, task=tasks[1])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("error", [UNKNOWN_FUNCTION, AWAY], ids=["older functions", "outage"])
async def test_it_is_asked_until_it_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: SidecarError
) -> None:
    """Not before all folders were listed; all pages; and never again."""
    monkeypatch.setattr(scene_recovery, "REFUSED_SECONDS", 0.01)
    metadata = Scripted(error, error, error)
    await metadata.begin()
    async with running(tmp_path, metadata) as desk:
        assert metadata.asked == 0
        await desk.list_all()
        assert await desk.taken_up() == ["s1", "s2"]
        assert metadata.asked == 5
        await asyncio.wait_for(desk.task, 10)
        assert not desk.stage.is_asking


async def test_functions_that_do_not_know_the_question_stop_nothing(tmp_path: Path) -> None:
    """They take every op: one failure would open the breaker, and it stays closed; nor does a drain wait."""
    metadata = Scripted(*[UNKNOWN_FUNCTION] * 3)
    await metadata.begin()
    async with running(tmp_path, metadata) as desk:
        waited = list[bool]()
        metadata.on_asked = lambda: waited.append(desk.stage.is_asking)
        await desk.list_all()
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not waited or desk.stage.is_asking:
                await asyncio.sleep(0.01)
        assert waited == [True]
        await desk.gate.admit("an op")
        assert desk.gate.state is BreakerState.CLOSED


async def test_the_first_journal_of_a_sidecar_asks_nothing(tmp_path: Path) -> None:
    """There was none before it."""
    metadata = Scripted()
    async with running(tmp_path, metadata) as desk:
        await desk.list_all()
        await asyncio.wait_for(desk.task, 10)
        assert metadata.asked == 0


async def test_while_convex_knows_no_journal_a_drain_waits_for_no_answer(tmp_path: Path) -> None:
    """It may be the first one; and nobody can be asked."""
    async with running(tmp_path, Scripted(), is_away=True) as desk:
        await desk.list_all()
        await asyncio.wait({desk.task}, timeout=0.05)
        assert not desk.task.done()
        assert not desk.stage.is_asking
