"""What each file costs, counted and not timed: statements, hops between threads, bytes read, calls of Convex.

``python -m tests.bench.counts`` prints what the numbers are made of.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sidecar.local.bench.stub import ConvexStub
from sidecar.local.seaweed import SeaweedServer
from tests.support.counted import MIB, SMALL_BYTES, CountedSystem

BURST, TRICKLE, LARGE_BYTES = 1000, 20, 64 * MIB
# At most so much today, and what it is to be. Whoever makes the way shorter lowers the first.
LIMITS: dict[str, tuple[float, float]] = {
    "burst: statements a file": (4, 4),
    "burst: hops a file": (1.4, 2),
    "burst: bytes read for each byte sent": (2.25, 1),
    "burst: calls of Convex for each 1,000 files": (40, 12),
    "trickle: statements a file": (53, 20),
    "trickle: hops a file": (12.5, 4),
    "trickle: calls of Convex a file": (1.5, 1),
    "large file: bytes read for each byte sent": (2.02, 1),
}


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory, seaweed: SeaweedServer) -> Iterator[dict[str, float]]:
    """Count once, in one life of the daemon."""
    with ConvexStub() as stub:
        system = CountedSystem(tmp_path_factory.mktemp("counted"), seaweed, stub)
        try:
            yield _counted(system)
        finally:
            if system.process:
                system.kill()


def _counted(system: CountedSystem) -> dict[str, float]:
    system.start_counted()
    large = system.large(LARGE_BYTES)
    trickle = system.trickle(TRICKLE).each(TRICKLE)
    burst = system.burst(BURST)
    each = burst.each(BURST)
    return {
        "burst: statements a file": each["statements"],
        "burst: hops a file": each["hops"],
        "burst: calls of Convex for each 1,000 files": each["calls"] * 1000,
        "burst: bytes read for each byte sent": burst.read_bytes / (BURST * SMALL_BYTES),
        "trickle: statements a file": trickle["statements"],
        "trickle: hops a file": trickle["hops"],
        "trickle: calls of Convex a file": trickle["calls"],
        "large file: bytes read for each byte sent": large.read_bytes / LARGE_BYTES,
    }


@pytest.mark.parametrize("what", LIMITS)
def test_a_file_costs_no_more_than_it_did(what: str, counted: dict[str, float]) -> None:
    """A limit that is far above what is counted is to be lowered, so that it bites again."""
    most, target = LIMITS[what]
    assert counted[what] <= most, f"{what}: {counted[what]:.2f}, at most {most:g} until now, {target:g} to be"
