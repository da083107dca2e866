"""What the renderer does in one life, and where in it the network may fail."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.support.faults import Fault
from tests.support.system import eventually

from .rig import MIB, Rig

# The number of requests that a scenario makes to each remote when nothing fails; a test holds it.
POSITIONS = {
    "small": {"s3": 1, "convex": 2},
    "multipart": {"s3": 6, "convex": 2},
    "replace": {"s3": 1, "convex": 1},
    "batch": {"s3": 8, "convex": 4},
    "registration": {"s3": 2, "convex": 4},
}
REMOTES = ("s3", "convex")
S3_ONLY = {Fault.WRONG_ETAG, Fault.REDIRECT_REGION, Fault.EARLY_REFUSAL, Fault.RESET_IN_BODY}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The ``nth`` request of a scenario to a remote."""

    scenario: str
    remote: str
    nth: int


def small(rig: Rig) -> None:
    """One small file in a new scene."""
    rig.write(f"source/small{rig.lives}.py", f"print({rig.lives})\n".encode())


def multipart(rig: Rig) -> None:
    """Three parts."""
    rig.write(f"video/film{rig.lives}.mp4", rig.data(10 * MIB + 12345))


def replace(rig: Rig) -> None:
    """Another content of a file that is synced."""
    rig.write(f"source/again{rig.lives}.py", f"print('B', {rig.lives})\n".encode())


def batch(rig: Rig) -> None:
    """Eight files of one scene at once."""
    for n in range(8):
        rig.write(f"source/batch{rig.lives}_{n}.py", f"print({n}, {rig.lives})\n".encode())


def registration(rig: Rig) -> None:
    """The inside starts anew, as after a restart, and has a file to send."""
    assert rig.process
    before = rig.log.read_text().count('"event": "registered"')
    rig.process.send_signal(signal.SIGHUP)
    eventually("it is registered again", lambda: rig.log.read_text().count('"event": "registered"') > before)
    small(rig)


SCENARIOS: dict[str, Callable[[Rig], None]] = {
    "small": small,
    "multipart": multipart,
    "replace": replace,
    "batch": batch,
    "registration": registration,
}


def prepare(rig: Rig, scenario: str) -> None:
    """Begin a life; what must be there before the network fails is there and synced."""
    rig.lives += 1
    if scenario == "replace":
        rig.write(f"source/again{rig.lives}.py", f"print('A', {rig.lives})\n".encode())
        rig.wait_quiet()


def places(remote: str) -> Iterator[Place]:
    """Return every place of every scenario where a remote is asked."""
    for scenario, positions in POSITIONS.items():
        for nth in range(1, positions[remote] + 1):
            yield Place(scenario=scenario, remote=remote, nth=nth)


def drawn(fault: Fault, remote: str) -> list[Place]:
    """Return all places for one fault, in an order by a seed that is the fault's own."""
    found = list(places(remote))
    return random.Random(f"{fault} {remote}").sample(found, len(found))
