"""Assets that a backend takes down: whatever fails in between, their objects go in the end, or they stay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from sidecar.core.breaker import BreakerPolicy
from sidecar.core.clock import SystemClock
from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.ids import sidecar_tag
from sidecar.core.model import Slot
from sidecar.journal.journal import Journal
from sidecar.journal.stores.cleanup import Cleanup
from sidecar.journal.stores.takedowns import AskedTakedown, Takedowns
from sidecar.journal.writer import JournalWriter
from sidecar.sync import takedown
from sidecar.sync.backend import BackendStore, OlderVersion, RemovalOutcome, ShownObject
from sidecar.sync.errors import NOT_INSTALLED
from sidecar.sync.takedown import Takedown, TakenDown
from tests.support import journals
from tests.support.gates import QUICK, convex_gate
from tests.support.patience import DEADLINE_SECONDS

Names = Sequence[tuple[Slot, int]]


def failure(kind: ErrorKind, *, redacted: bool = False) -> SidecarError:
    """Return what Convex may say."""
    return SidecarError(kind, "no", operation="removeAssets", target="demo", redacted=redacted)


SERVER_ERROR = failure(ErrorKind.UNKNOWN, redacted=True)
FORBIDDEN = failure(ErrorKind.FORBIDDEN)
REMOVED = TakenDown(outcome=RemovalOutcome.REMOVED, is_marked=True)


@dataclass(slots=True)
class Convex:
    """A deployment that fails as it is told to; what is removed twice is absent."""

    removals: list[SidecarError] = field(default_factory=list)
    expiries: list[SidecarError] = field(default_factory=list)
    forgettings: list[SidecarError] = field(default_factory=list)
    is_away: bool = False
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    gone: set[str] = field(default_factory=set)
    shared: set[str] = field(default_factory=set)

    async def probe(self) -> None:
        """Answer, unless it is away."""
        if self.is_away:
            raise failure(ErrorKind.NETWORK)

    async def remove_assets(self, project_id: str, removals: Names) -> Sequence[RemovalOutcome]:
        """Remove, once it may answer."""
        del project_id
        await self.probe()
        await self.answers.wait()
        if self.removals:
            raise self.removals.pop(0)
        names = [slot.name for slot, _ in removals]
        found = [RemovalOutcome.ABSENT if name in self.gone else RemovalOutcome.REMOVED for name in names]
        self.gone.update(names)
        return found

    async def assets_by_key(self, bucket: str, keys: Sequence[str]) -> Sequence[ShownObject]:
        """Tell which objects other assets show."""
        assert bucket == "lessons"
        return [ShownObject(others=key in self.shared) for key in keys]

    async def forget_older(self, project_id: str, versions: Names) -> Sequence[Sequence[OlderVersion]]:
        """Tell of the version before, once what fails has failed."""
        del project_id
        if self.forgettings:
            raise self.forgettings.pop(0)
        return [
            [
                OlderVersion(version=n, transfer_id=f"0{n}", bucket="lessons", key=f"k.0{n}")
                for n in range(version, 0, -1)
            ]
            for _, version in versions
        ]

    async def expire_versions(self, project_id: str, versions: Names) -> Sequence[bool]:
        """Mark all of them."""
        del project_id
        if self.expiries:
            raise self.expiries.pop(0)
        return [True for _ in versions]


@dataclass(slots=True, kw_only=True)
class Desk:
    """A worker over a journal, and what it told of."""

    writer: JournalWriter
    convex: Convex
    takedown: Takedown
    forgotten: list[str]

    async def ask(self, *, version: int = 1, with_older: bool = False) -> list[TakenDown]:
        """Ask for one removal."""
        asked = AskedTakedown(
            project_id="demo",
            slot=journals.route("a.mp4").slot,
            version=version,
            bucket="lessons",
            key=f"k.0{version}",
            transfer_id=f"0{version}",
            with_older=with_older,
        )
        return await self.takedown.take_down([asked])

    async def settled(self) -> list[str]:
        """Wait until nothing is left to be removed; return the keys of objects that are to be deleted."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while await self.writer.do(Takedowns.left, limit=9):
                await asyncio.sleep(0.01)
        return [task.key for task in await self.writer.do(Cleanup.claim_cleanup, limit=9, now=1e9)]


@pytest.fixture
async def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    """Open a journal, and let its worker run."""
    monkeypatch.setattr(takedown, "RETRY_SECONDS", 0.01)
    clock, convex, forgotten = SystemClock(), Convex(), list[str]()
    convex.answers.set()
    gate = convex_gate(convex.probe, clock, retry=QUICK, breaker=BreakerPolicy(reset_seconds=0.05))

    async def removed(one: AskedTakedown) -> None:
        forgotten.append(one.slot.name)

    db = Journal(tmp_path / "journal.db", tag=sidecar_tag("test-sidecar"), bucket="lessons", clock=clock)
    async with JournalWriter(db) as writer:
        desk = Takedown(
            backend=cast("BackendStore", convex),
            gate=gate,
            journal=writer,
            patience_seconds=0.3,
            removed=removed,
        )
        working = [asyncio.create_task(desk.work()), asyncio.create_task(gate.run())]
        yield Desk(writer=writer, convex=convex, takedown=desk, forgotten=forgotten)
        for one in working:
            one.cancel()
        await asyncio.gather(*working, return_exceptions=True)


async def test_a_removed_asset_is_forgotten_at_once_and_its_object_goes(desk: Desk) -> None:
    assert await desk.ask() == [REMOVED]
    assert desk.forgotten == ["a.mp4"]
    assert await desk.settled() == ["k.01"]


async def test_an_object_that_another_asset_shows_as_well_stays(desk: Desk) -> None:
    desk.convex.shared = {"k.01"}
    assert await desk.ask() == [TakenDown(outcome=RemovalOutcome.REMOVED)]
    assert await desk.settled() == []


@pytest.mark.parametrize("forgettings", [[], [SERVER_ERROR]])
async def test_older_versions_objects_go_with_it_if_asked_for(
    desk: Desk, forgettings: list[SidecarError]
) -> None:
    """Each once; one that another asset shows stays; what fails is done later."""
    desk.convex.shared, desk.convex.forgettings = {"k.02"}, forgettings
    is_marked = not forgettings
    assert await desk.ask(version=3, with_older=True) == [
        TakenDown(outcome=RemovalOutcome.REMOVED, is_marked=is_marked)
    ]
    assert await desk.settled() == ["k.03", "k.01"]


async def test_functions_that_know_no_older_versions_remove_the_asset_alone(desk: Desk) -> None:
    """An installation of before."""
    unknown = SidecarError(
        ErrorKind.UNKNOWN, "Could not find it", operation="o", target="t", redacted=True, hint=NOT_INSTALLED
    )
    desk.convex.forgettings = [unknown]
    assert await desk.ask(version=3, with_older=True) == [REMOVED]
    assert await desk.settled() == ["k.03"]


@pytest.mark.parametrize("error", [SERVER_ERROR, FORBIDDEN])
async def test_a_mark_that_fails_is_made_later_and_the_object_goes_then(
    desk: Desk, error: SidecarError
) -> None:
    """The asset is gone by then, whatever Convex says of the second call."""
    desk.convex.expiries = [error, error]
    assert await desk.ask() == [TakenDown(outcome=RemovalOutcome.REMOVED)]
    assert await desk.settled() == ["k.01"]


async def test_an_answer_that_does_not_say_what_was_done_is_no_refusal(desk: Desk) -> None:
    desk.convex.removals = [SERVER_ERROR, SERVER_ERROR]
    assert await desk.ask() == [REMOVED]
    assert await desk.settled() == ["k.01"]


async def test_what_convex_refuses_is_told_and_kept(desk: Desk) -> None:
    desk.convex.removals = [FORBIDDEN]
    with pytest.raises(SidecarError) as refused:
        await desk.ask()
    assert refused.value is FORBIDDEN
    assert await desk.settled() == []
    assert desk.forgotten == []


async def test_what_a_cancelled_caller_asked_is_carried_out_by_this_process(desk: Desk) -> None:
    desk.convex.answers.clear()
    asking = asyncio.create_task(desk.ask())
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not await desk.writer.do(Takedowns.left, limit=9):
            await asyncio.sleep(0.01)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    desk.convex.answers.set()
    assert await desk.settled() == ["k.01"]
    assert desk.forgotten == ["a.mp4"]


async def test_who_asks_while_convex_is_away_hears_so_in_time_and_it_is_done_later(desk: Desk) -> None:
    desk.convex.is_away = True
    with pytest.raises(SidecarError, match="is carried out once Convex answers"):
        await desk.ask()
    desk.convex.is_away = False
    assert await desk.settled() == ["k.01"]
