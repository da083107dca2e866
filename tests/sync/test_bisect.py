"""The search for the op that Convex refuses, and the pace of calls; both without a wire."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.ops import Op, OpKind
from sidecar.sync.bisect import REFUSED_ALONE_MAX, search
from sidecar.sync.concurrency import GROW_AFTER, PARALLEL_MAX, Concurrency
from tests.support.ops import make_op


def ops(count: int) -> list[Op]:
    """Return ops that differ in their seq."""
    return [make_op(OpKind.REMOVE, {}, seq=n, op_id=f"op-{n}") for n in range(1, count + 1)]


def error(kind: ErrorKind) -> SidecarError:
    """Return an error of a kind."""
    return SidecarError(kind, "no", operation="call", target="x")


class Remote:
    """Refuses calls that hold a poison op; is down after ``lives`` calls."""

    def __init__(self, poison: set[int], lives: int = 1_000_000) -> None:
        """``poison`` holds seqs."""
        self.poison, self.lives = poison, lives
        self.calls = 0
        self.settled: list[int] = []

    async def send(self, some: Sequence[Op]) -> SidecarError | None:
        """Settle or refuse."""
        self.calls += 1
        if self.calls > self.lives:
            return error(ErrorKind.NETWORK)
        if self.poison & {op.seq for op in some}:
            return error(ErrorKind.INVALID)
        self.settled += [op.seq for op in some]
        return None


@given(count=st.integers(2, 100), poison=st.sets(st.integers(1, 100), max_size=4), lives=st.integers(0, 60))
async def test_every_op_is_settled_refused_alone_or_left(count: int, poison: set[int], lives: int) -> None:
    """Whatever is poison and whenever the remote goes down: each op has one fate, no good one is refused."""
    remote = Remote(poison, lives)
    found = await search(ops(count), remote.send)
    refused = [op.seq for op, _ in found.refused]
    fates = remote.settled + refused + [op.seq for op in found.left]
    assert sorted(fates) == list(range(1, count + 1))
    assert set(refused) <= poison
    assert (found.outage is not None) == (remote.calls > lives)


async def test_one_poison_op_is_found_in_a_few_calls() -> None:
    """Two calls for each halving of a hundred."""
    remote = Remote({37})
    found = await search(ops(100), remote.send)
    assert [op.seq for op, _ in found.refused] == [37]
    assert len(remote.settled) == 99
    assert remote.calls <= 14


async def test_when_nothing_gets_through_the_search_ends_soon() -> None:
    """A function that always throws is not a hundred poison ops."""
    remote = Remote(set(range(1, 101)))
    found = await search(ops(100), remote.send)
    assert len(found.refused) == REFUSED_ALONE_MAX
    assert len(found.left) == 100 - REFUSED_ALONE_MAX
    assert remote.calls <= 14


def test_throttling_halves_the_calls_in_flight_and_success_gives_them_back_slowly() -> None:
    """Down at once, up one by one, never below one or above the most."""
    pace = Concurrency()
    for _ in range(5):
        pace.throttled()
    assert pace.parallel == 1
    for _ in range(GROW_AFTER):
        pace.succeeded()
    assert pace.parallel == 2
    for _ in range(GROW_AFTER * 20):
        pace.succeeded()
    assert pace.parallel == PARALLEL_MAX
