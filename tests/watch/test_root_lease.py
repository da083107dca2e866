"""A lease file keeps all but one out, however its holders and those who wait are stopped in between.

The rules run on a virtual clock over a register with a file's ways: what was opened by name stays what it
was when another takes the name. Between any two steps a process may stand still for long, or die.
"""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from sidecar.core.errors import FatalError
from sidecar.core.lease_record import LeaseRecord, LeaseTiming, LockDomain
from sidecar.watch.ownership.lease_file import BeatOutcome, LeaseFile
from sidecar.watch.ownership.root_lease import LeaseAcquirer, RootLease
from tests.support.simulation.loop import VirtualClock, VirtualLoop

TIMING = LeaseTiming()
SECONDS = 600.0
SEEDS = 40
CALM_SECONDS = 120.0  # within which somebody must hold it once all is quiet


@dataclass(eq=False)
class Inode:
    """A file, whatever its name."""

    content: bytes = b""


@dataclass
class Volume:
    """One name in one folder that everybody sees at once."""

    file: Inode | None = None


@dataclass
class Disk:
    """One process's ``LeaseFile`` on the volume, with pauses where the real one makes system calls."""

    volume: Volume
    pause: Callable[[], Any]

    async def read(self) -> bytes | None:
        """Open, read."""
        file = self.volume.file
        await self.pause()
        return None if file is None else file.content

    async def create(self, content: bytes) -> bool:
        """Open with O_EXCL, write."""
        if self.volume.file is not None:
            return False
        file = self.volume.file = Inode()
        await self.pause()
        file.content = content
        return True

    async def replace(self, content: bytes) -> None:
        """Write elsewhere, rename."""
        await self.pause()
        self.volume.file = Inode(content)

    async def beat(self, before: tuple[bytes, ...], after: bytes) -> BeatOutcome:
        """Open, read, write."""
        file = self.volume.file
        if file is None:
            return BeatOutcome.NOTHING
        await self.pause()
        if file.content not in before:
            return BeatOutcome.OTHER
        await self.pause()
        file.content = after
        return BeatOutcome.DONE

    async def remove(self, content: bytes) -> None:
        """Read, unlink whatever has the name by then."""
        if await self.read() == content:
            await self.pause()
            self.volume.file = None

    def clear_drafts(self) -> None:
        """There are none."""


@dataclass
class Machine:
    """A kernel: its flock keeps apart those who run on it."""

    name: str
    flock: Life | None = None

    @property
    def domain(self) -> LockDomain:
        """What a lease file says of it."""
        return LockDomain(boot=self.name, device=7)


class Life:
    """One process from its start to its death: it claims, keeps, ends or is fenced, and begins again."""

    def __init__(self, world: World, machine: Machine, number: int) -> None:
        self.world, self.machine, self.number = world, machine, number
        self.chance = random.Random(f"{world.seed} {number}")
        self.lease: RootLease | None = None
        self.dead = False

    @property
    def acts(self) -> bool:
        """Whether it would ship something at this moment."""
        return not self.dead and self.lease is not None and self.lease.holds

    async def pause(self) -> None:
        """A step takes no time, some, or as long as a process is stopped; after a kill it never ends."""
        if self.world.over.is_set():
            raise asyncio.CancelledError
        if self.dead:
            await self.world.over.wait()
        luck = 0.0 if self.world.is_quiet else self.chance.random()
        longest = 0.02 if luck < 0.75 else 6.0 if luck < 0.97 else 60.0
        await asyncio.sleep(self.chance.random() * longest)

    async def do(self, work: Callable[[], Any]) -> Any:
        """Run a piece of work; hear of its result later."""
        await self.pause()
        result = work()
        if inspect.isawaitable(result):
            result = await result
        await self.pause()
        asyncio.get_running_loop().call_later(0.001, self.world.check)  # once it has drawn its conclusion
        return result

    async def run(self) -> None:
        """Until killed."""
        while True:
            while self.machine.flock is not None:  # as the real one, that polls
                await asyncio.sleep(0.5)
                await self.pause()
            self.machine.flock = self
            await self._hold()
            self.machine.flock = None

    async def _hold(self) -> None:
        acquirer = LeaseAcquirer(
            root="/renders",
            file=cast("LeaseFile", Disk(self.world.volume, self.pause)),
            record=record(f"{self.number}-{self.chance.random()}", self.machine.domain),
            domain=self.machine.domain,
            run_blocking=self.do,
            timing=TIMING,
            clock=self.world.clock,
            waiting=lambda _: None,
        )
        self.lease = await acquirer.acquire()
        self.world.claims += 1
        try:
            async with asyncio.timeout(None if self.world.is_quiet else self.chance.random() * 100):
                await self.lease.keep()
        except FatalError:
            self.lease = None
        except TimeoutError:
            lease, self.lease = self.lease, None
            await lease.release()


def record(holder: str, domain: LockDomain) -> LeaseRecord:
    """Return a first record."""
    return LeaseRecord(
        holder=holder,
        beat=0,
        sidecar="s",
        host="h",
        pid=1,
        boot=domain.boot,
        device=domain.device,
        flocked=True,
    )


class World:
    """Three machines, two processes on each, one folder."""

    def __init__(self, seed: int, loop: VirtualLoop) -> None:
        self.seed, self.clock = seed, VirtualClock(loop, life=0)
        self.volume, self.is_quiet, self.over = Volume(), False, asyncio.Event()
        self.claims, self.clash = 0, ""
        self.lives: list[Life] = []
        self.tasks: list[asyncio.Task[None]] = []

    def bear(self, machine: Machine) -> None:
        """Begin a life."""
        life = Life(self, machine, len(self.lives))
        self.lives.append(life)
        self.tasks.append(asyncio.create_task(life.run()))

    def kill(self, life: Life) -> None:
        """Let it do nothing more, not even clean up; its flock goes with it."""
        life.dead = True
        if life.machine.flock is life:
            life.machine.flock = None

    async def run(self) -> None:
        """Storm, then quiet."""
        chance = random.Random(self.seed)
        for machine in [Machine(f"machine {n}") for n in range(3)] * 2:
            self.bear(machine)
        end = self.clock.monotonic() + SECONDS
        while self.clock.monotonic() < end:
            await asyncio.sleep(chance.random() * 10)
            if chance.random() < 0.2:
                self.volume.file = None  # somebody swept the folder
            if chance.random() < 0.3:
                life = chance.choice([life for life in self.lives if not life.dead])
                self.kill(life)
                self.bear(life.machine)
        self.is_quiet = True
        await asyncio.sleep(CALM_SECONDS)
        acting = [life for life in self.lives if life.acts]
        self.over.set()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        assert not self.clash
        assert acting, "nobody holds it"

    def check(self) -> None:
        """Whoever begins to hold it must be alone: this is asked after every step of anybody."""
        acting = [life.number for life in self.lives if life.acts]
        if len(acting) > 1:
            self.clash = f"{acting} hold one folder at once"


def test_no_two_hold_a_folder_at_once() -> None:
    """Six processes on three machines, for hours: stopped, killed, ended, and robbed of the file."""
    claims = 0
    for seed in range(SEEDS):
        loop = VirtualLoop(0.0)
        world = World(seed, loop)
        loop.run_until_complete(world.run())
        loop.close()
        claims += world.claims
    assert claims > SEEDS * 10
