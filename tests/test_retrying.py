"""What moves no transfer is tried through the gate until it succeeds, or until its caller ends it."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.core.breaker import BreakerPolicy, BreakerState
from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.retry import Decision
from sidecar.gate import RemoteGate
from sidecar.retrying import attempt, retry

from .test_gate import Remote, VirtualClock, clock, failure, gate, remote

__all__ = ["clock", "gate", "remote"]  # the fixtures of the gate's own tests
FORBIDDEN = failure(ErrorKind.FORBIDDEN)


class Calls:
    """Answers, or fails, one after another."""

    def __init__(self, *outcomes: str | SidecarError) -> None:
        """The last one is not to be passed."""
        self.left = list(outcomes)

    async def __call__(self) -> str:
        """Answer or raise."""
        outcome = self.left.pop(0)
        if isinstance(outcome, SidecarError):
            raise outcome
        return outcome


class Pauses:
    """No pauses, noted; ``ends`` raises at the so many-eth."""

    def __init__(self, *, ends: int = 100) -> None:
        """Begin with none."""
        self.heard: list[tuple[SidecarError, Decision]] = []
        self._ends = ends

    def __call__(self, error: SidecarError, decision: Decision) -> float:
        """Wait for no time."""
        self.heard.append((error, decision))
        if len(self.heard) == self._ends:
            raise error
        return 0.0


async def test_it_is_tried_again_until_it_succeeds(gate: RemoteGate) -> None:
    """The gate hears of each failure and decides; the caller makes the pause of it."""
    lost, pauses = failure(), Pauses()
    assert await retry(gate, "question", Calls(lost, lost, "yes"), pause=pauses) == "yes"
    assert [error for error, _ in pauses.heard] == [lost, lost]
    assert (gate.last_error is not None, gate.state) == (True, BreakerState.CLOSED)


async def test_one_attempt_ends_with_its_pause(gate: RemoteGate) -> None:
    """Its caller may have something else to ask by then."""
    calls = Calls(failure(), "yes")
    assert await attempt(gate, "question", calls, pause=Pauses()) is None
    assert calls.left == ["yes"]


async def test_a_pause_may_end_it(gate: RemoteGate) -> None:
    """What is refused again and again is the caller's to report."""
    with pytest.raises(SidecarError) as caught:
        await retry(gate, "sweep", Calls(FORBIDDEN, FORBIDDEN, "never"), pause=Pauses(ends=2))
    assert caught.value is FORBIDDEN


async def test_an_error_that_is_no_verdict_is_raised_and_told_to_nobody(gate: RemoteGate) -> None:
    """Functions that do not know a question say nothing of Convex: it is not even probed."""
    pauses = Pauses()
    with pytest.raises(SidecarError) as caught:
        await retry(gate, "question", Calls(FORBIDDEN), pause=pauses, raises=lambda error: error is FORBIDDEN)
    assert caught.value is FORBIDDEN
    assert (pauses.heard, gate.last_error, gate.state) == ([], None, BreakerState.CLOSED)


@pytest.mark.parametrize("ends", ["cancelled", "raised"])
async def test_whoever_ends_gives_its_place_at_a_half_open_gate_back(
    gate: RemoteGate, remote: Remote, clock: VirtualClock, ends: str
) -> None:
    """One goes first after an outage: the others would wait for the next probe."""
    remote.error = failure()
    for _ in range(BreakerPolicy().failures):
        await gate.failed("file", failure(), failures=0)
    remote.error = None
    asked = asyncio.Event()

    async def question() -> str:
        asked.set()
        if ends == "raised":
            raise FORBIDDEN
        await asyncio.Event().wait()
        raise AssertionError

    first = asyncio.create_task(
        retry(gate, "question", question, pause=Pauses(), raises=lambda error: error is FORBIDDEN)
    )
    await asked.wait()
    assert gate.state is BreakerState.HALF_OPEN
    first.cancel()
    await asyncio.wait({first})
    now = clock.now
    assert await asyncio.wait_for(retry(gate, "next", Calls("yes"), pause=Pauses()), 5) == "yes"
    assert clock.now == now
