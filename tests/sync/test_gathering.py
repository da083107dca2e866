"""Which ops go in which call and when, on a virtual clock; and how often the journal is asked for them."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import pytest

from sidecar.core.clock import Clock
from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.model import Route, Transfer
from sidecar.core.ops import Batch, OpKind, OpResult
from sidecar.journal.db.store import S
from sidecar.journal.journal import Journal
from sidecar.metrics import Metrics
from sidecar.settings.convex import BatchSettings
from sidecar.sync.errors import value_of
from sidecar.sync.stage import PAUSE_SECONDS, SyncStage
from tests.support import journals
from tests.support.gates import convex_gate
from tests.support.memory_metadata import MemoryMetadata
from tests.support.virtual import InlineWriter, virtually

P = ParamSpec("P")
T = TypeVar("T")
WAIT_SECONDS = 0.2
CALL_SECONDS = 0.05
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call: when it began, seconds since the first op entered; whose; the assets it puts."""

    at: float
    session: str
    puts: tuple[str, ...]
    ops: int


@dataclass(slots=True)
class SlowMetadata(MemoryMetadata):
    """A deployment that takes its time for each call, and notes them."""

    seconds: float = CALL_SECONDS
    calls: list[Call] = field(default_factory=list)
    errors: list[SidecarError] = field(default_factory=list)
    slow: dict[str, float] = field(default_factory=dict)  # seconds of a session's calls
    in_flight: int = 0
    in_flight_max: int = 0

    async def apply(self, batch: Batch, *, sidecar_id: str, epoch: int) -> Sequence[OpResult]:
        """Apply a batch, later."""
        puts = tuple(op.body["name"] for op in batch.ops if op.kind is OpKind.PUT)
        at = asyncio.get_running_loop().time()
        self.calls.append(Call(at=at, session=batch.session_id, puts=puts, ops=len(batch.ops)))
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight, self.in_flight_max)
        await asyncio.sleep(self.slow.get(batch.session_id, self.seconds))
        self.in_flight -= 1
        if self.errors:
            raise self.errors.pop(0)
        return await MemoryMetadata.apply(self, batch, sidecar_id=sidecar_id, epoch=epoch)


class CountingWriter(InlineWriter):
    """Counts what the journal is asked."""

    def __init__(self, journal: Journal) -> None:
        """Nothing was asked yet."""
        super().__init__(journal)
        self.asked = Counter[str]()

    async def do(self, method: Callable[Concatenate[S, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Count, and run."""
        self.asked[method.__name__] += 1
        return await super().do(method, *args, **kwargs)


@dataclass(slots=True, kw_only=True)
class Desk:
    """A journal whose outbox is told by the stage."""

    writer: CountingWriter
    convex: SlowMetadata

    async def ready(self, name: str, session: str = "demo/lesson", scene: str = "s1") -> Transfer:
        """Bring a file to ready: it waits for a place among the uploads."""
        n, at = next(_numbers), route(name, session, scene)
        return await self.writer.run(lambda journal: journals.ready(journal, f"{name}-{n}", n, at=at))

    async def uploaded(self, *transfers: Transfer) -> None:
        """Upload files, for which there is one place: their ops enter the outbox."""
        await self.writer.run(upload, *transfers)

    async def file(self, name: str, session: str = "demo/lesson", scene: str = "s1") -> None:
        """Bring a file to uploaded."""
        await self.uploaded(await self.ready(name, session, scene))

    def calls(self) -> list[tuple[str, ...]]:
        """Return what was put, call by call."""
        return [call.puts for call in self.convex.calls]

    async def until(self, condition: Callable[[], bool], seconds: float = 10.0) -> float:
        """Wait; return the seconds that it took."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while not condition():
            assert loop.time() < began + seconds
            await asyncio.sleep(0.001)
        return loop.time() - began


def route(name: str, session: str, scene: str) -> Route:
    """Return the usual place in another session."""
    at = journals.route(name, scene=scene)
    return replace(
        at, slot=replace(at.slot, session_id=session), key=f"{session}/{scene}/{name}.{{transfer}}"
    )


@pytest.fixture
def at_desk(tmp_path: Path) -> Callable[[Callable[[Desk], Coroutine[Any, Any, None]]], None]:
    """Run work beside a stage; Convex knows the usual scene already."""

    def run(work: Callable[[Desk], Coroutine[Any, Any, None]]) -> None:
        async def timed(clock: Clock) -> None:
            with closing_journal(tmp_path) as journal:
                await beside_a_stage(journal, clock, work)

        virtually(timed)

    return run


@contextmanager
def closing_journal(folder: Path) -> Iterator[Journal]:
    """Open a journal that no power cut will meet."""
    journal = journals.open_journal(folder)
    journal.db.execute("PRAGMA synchronous = OFF")
    try:
        yield journal
    finally:
        journal.close()


async def beside_a_stage(
    journal: Journal, clock: Clock, work: Callable[[Desk], Coroutine[Any, Any, None]]
) -> None:
    """Run work beside the stage of a journal."""
    convex, writer = SlowMetadata(), CountingWriter(journal)
    gate = convex_gate(convex.probe, clock)
    stage = SyncStage(
        store=convex,
        journal=writer,
        gate=gate,
        batch=BatchSettings(wait=WAIT_SECONDS),
        sidecar_id="test-sidecar",
        clock=clock,
        metrics=Metrics(),
    )
    running = asyncio.ensure_future(stage.run())
    desk = Desk(writer=writer, convex=convex)
    await desk.file("first.mp4")
    await asyncio.sleep(1.0)
    convex.calls.clear()
    writer.asked.clear()
    await work(desk)
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def test_an_op_of_an_idle_session_goes_at_once(at_desk: Any) -> None:
    """Nothing is waited for, and the journal is asked once for it and told once of its outcome."""

    async def work(desk: Desk) -> None:
        await desk.file("a.mp4")
        assert await desk.until(lambda: bool(desk.calls())) < 0.002
        await asyncio.sleep(60.0)
        assert desk.calls() == [("a.mp4",)]
        assert desk.writer.asked == {"claim_batches": 1, "settle": 1}

    at_desk(work)


def test_while_files_of_the_session_wait_for_a_place_ops_gather(at_desk: Any) -> None:
    """For ``batch.wait`` and no longer, counted from the first of them."""

    async def work(desk: Desk) -> None:
        files = [await desk.ready(f"{n}.mp4") for n in range(3)]
        await desk.uploaded(files[0])
        await asyncio.sleep(0.1)
        await desk.uploaded(files[1])
        took = 0.1 + await desk.until(lambda: bool(desk.calls()))
        assert took == pytest.approx(WAIT_SECONDS, abs=0.005)
        assert desk.calls() == [("0.mp4", "1.mp4")]

    at_desk(work)


def test_a_full_call_goes_before_the_wait_is_over(at_desk: Any) -> None:
    """A hundred ops have nothing to gather for, whatever else waits."""

    async def work(desk: Desk) -> None:
        files = [await desk.ready(f"{n}.mp4") for n in range(101)]
        await desk.writer.run(upload, *files[:-1])
        assert await desk.until(lambda: bool(desk.calls())) <= PAUSE_SECONDS + 0.002
        assert [len(puts) for puts in desk.calls()] == [100]

    at_desk(work)


def test_gathering_ends_when_no_file_waits_any_more(at_desk: Any) -> None:
    """The last file's op takes all along."""

    async def work(desk: Desk) -> None:
        first, last = await desk.ready("first.mp4"), await desk.ready("last.mp4")
        await desk.uploaded(first)
        await asyncio.sleep(0.05)
        assert desk.calls() == []
        await desk.uploaded(last)
        assert await desk.until(lambda: bool(desk.calls())) <= PAUSE_SECONDS
        assert desk.calls() == [("first.mp4", "last.mp4")]

    at_desk(work)


def test_a_file_that_waits_out_a_backoff_is_waited_for_by_no_op(at_desk: Any) -> None:
    """It may wait for a minute. Nor is one that somebody else's folder holds."""

    async def work(desk: Desk) -> None:
        failed, sent = await desk.ready("failed.mp4"), await desk.ready("sent.mp4")
        error = SidecarError(ErrorKind.NETWORK, "no", operation="put", target="x")
        await desk.writer.run(
            lambda journal: journal.upload_claims.fail_upload(failed.row_id, error, due=1e12, spent=False)
        )
        await desk.uploaded(sent)
        assert await desk.until(lambda: bool(desk.calls())) <= PAUSE_SECONDS + 0.002

    at_desk(work)


def test_a_file_that_is_claimed_in_a_moment_is_waited_for_by_no_op(at_desk: Any) -> None:
    """While there are places, what is ready waits for nobody: a trickle's ops go at once."""

    async def work(desk: Desk) -> None:
        await desk.writer.run(journals.ship, await desk.ready("sent.mp4"))  # there are a hundred places
        await desk.ready("next.mp4")
        assert await desk.until(lambda: bool(desk.calls())) < 0.002

    at_desk(work)


@pytest.mark.parametrize(("is_film", "seconds"), [(True, 0.0), (False, WAIT_SECONDS)])
def test_no_op_waits_for_films_that_wait_for_a_place(is_film: bool, seconds: float, at_desk: Any) -> None:
    """They may for long: a thumbnail that was uploaded beside those that hold all places is told at once."""

    async def work(desk: Desk) -> None:
        thumbnail, other = await desk.ready("thumb.png"), await desk.ready("other.mp4")
        part_bytes = other.size_bytes + (0 if is_film else 1)
        await desk.writer.run(partial(journals.ship, transfer=thumbnail, places=1, part_bytes=part_bytes))
        assert await desk.until(lambda: bool(desk.calls())) == pytest.approx(seconds, abs=0.005)

    at_desk(work)


def test_facts_of_a_scene_that_begins_wait_for_its_first_asset(at_desk: Any) -> None:
    """That something is on its way is said in the call that brings it, or after ``batch.wait``."""

    async def work(desk: Desk) -> None:
        file = await desk.ready("a.mp4", scene="s2")
        await asyncio.sleep(0.1)
        assert desk.convex.calls == []
        await desk.uploaded(file)
        assert await desk.until(lambda: bool(desk.calls())) < 0.002
        assert [(call.puts, call.ops) for call in desk.convex.calls] == [(("a.mp4",), 2)]
        await asyncio.sleep(1.0)
        await desk.ready("b.mp4", scene="s3")
        took = await desk.until(lambda: len(desk.calls()) == 2)
        assert took == pytest.approx(WAIT_SECONDS, abs=0.005)

    at_desk(work)


def test_facts_that_end_a_scene_go_at_once(at_desk: Any) -> None:
    """A player waits for them."""

    async def work(desk: Desk) -> None:
        await desk.writer.run(complete_the_scene)
        assert await desk.until(lambda: bool(desk.calls())) < 0.002

    at_desk(work)


def test_ops_that_come_during_a_call_go_when_it_ends(at_desk: Any) -> None:
    """One call of a session at a time: its ops stay in order."""

    async def work(desk: Desk) -> None:
        await desk.file("a.mp4")
        await desk.until(lambda: bool(desk.calls()))
        for n in range(3):
            await desk.file(f"{n}.mp4")
        await desk.until(lambda: len(desk.calls()) == 2)
        first, second = desk.convex.calls
        assert second.puts == ("0.mp4", "1.mp4", "2.mp4")
        assert CALL_SECONDS <= second.at - first.at < CALL_SECONDS + 0.002

    at_desk(work)


def test_sessions_are_told_side_by_side(at_desk: Any) -> None:
    """A session whose calls take for ever holds up no other; eight are told at once."""

    async def work(desk: Desk) -> None:
        sessions = [f"demo/{n}" for n in range(9)]
        desk.convex.slow = dict.fromkeys(sessions, 30.0)
        for session in sessions:
            await desk.file("a.mp4", session=session)
        await asyncio.sleep(1.0)
        assert sorted(call.session for call in desk.convex.calls) == sessions[:8]
        await asyncio.sleep(30.0)
        assert [call.session for call in desk.convex.calls[8:]] == sessions[8:]

    at_desk(work)


def test_an_op_whose_backoff_ends_goes_although_another_session_is_busy(at_desk: Any) -> None:
    """Nobody waits for a call of somebody else's."""

    async def work(desk: Desk) -> None:
        error = SidecarError(ErrorKind.THROTTLED, "no", operation="call", target="x")
        await desk.file("first.mp4", session="demo/slow")
        await asyncio.sleep(1.0)
        desk.convex.errors = [error]
        await desk.file("a.mp4")
        await asyncio.sleep(2 * CALL_SECONDS)
        desk.convex.slow = {"demo/slow": 600.0}
        await desk.file("b.mp4", session="demo/slow")
        await desk.until(lambda: ("b.mp4",) in desk.calls())
        assert desk.calls().count(("a.mp4",)) == 1
        await desk.until(lambda: desk.calls().count(("a.mp4",)) == 2)

    at_desk(work)


def test_each_op_of_a_trickle_costs_two_questions(at_desk: Any) -> None:
    """What comes while nothing is in flight is claimed and settled, and nothing is asked in vain."""

    async def work(desk: Desk) -> None:
        for n in range(10):
            await desk.file(f"{n}.mp4")
            await asyncio.sleep(0.1)
        assert desk.writer.asked == {"claim_batches": 10, "settle": 10}

    at_desk(work)


@pytest.mark.parametrize(("files_per_second", "calls"), [(500, 12), (250, 20)])
def test_a_burst_is_told_in_few_calls(at_desk: Any, files_per_second: int, calls: int) -> None:
    """For each 1,000 files, at the pace of their uploads; the last ones are not waited for."""
    number = 500

    async def work(desk: Desk) -> None:
        files = [await desk.ready(f"{n}.mp4") for n in range(number)]
        for file in files:
            await asyncio.sleep(1 / files_per_second)
            await desk.uploaded(file)
        assert await desk.until(lambda: len(desk.convex.assets) == number + 1) < 2 * CALL_SECONDS + 0.1
        assert len(desk.calls()) * 1000 / number <= calls
        assert desk.writer.asked["claim_batches"] < number / files_per_second / PAUSE_SECONDS + 2 * calls

    at_desk(work)


@pytest.mark.parametrize(
    ("status", "body", "at_once"),
    [
        (429, b'{"code":"TooManyConcurrentRequests"}', 1),
        (503, b'{"code":"WorkerOverloaded"}', 1),
        (503, b'{"code":"OptimisticConcurrencyControlFailure"}', 1),
        (503, b"<html>too busy</html>", 1),
        (500, b'{"code":"InternalServerError"}', 4),
    ],
)
def test_fewer_calls_are_made_at_once_while_convex_has_too_much_to_do(
    at_desk: Any, status: int, body: bytes, at_once: int
) -> None:
    """However it says so. Any other trouble is the breaker's affair."""

    async def work(desk: Desk) -> None:
        desk.convex.errors = [refusal(status, body) for _ in range(4)]
        for n in range(4):
            await desk.file("a.mp4", session=f"demo/{n}")
        await desk.until(lambda: not desk.convex.errors)
        assert desk.convex.in_flight_max == 4
        desk.convex.in_flight_max = 0
        await desk.until(lambda: len(desk.convex.assets) == 5)
        assert desk.convex.in_flight_max <= at_once

    at_desk(work)


def refusal(status: int, body: bytes) -> SidecarError:
    """Return what an answer of Convex's becomes."""
    with pytest.raises(SidecarError) as caught:
        value_of(status, body, operation="call", target="sidecar:applyAssets")
    return caught.value


def upload(journal: Journal, *transfers: Transfer) -> None:
    """Upload files, for which there is one place."""
    for transfer in transfers:
        journals.ship(journal, transfer, places=1)


def complete_the_scene(journal: Journal) -> None:
    """Let the renderer say that the usual scene is complete."""
    journal.scenes.mark_scene(
        project_id="demo", session_id="demo/lesson", scene_id="s1", marker="complete", mtime_ns=10**15
    )
