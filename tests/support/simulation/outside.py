"""All that outlives the daemon, as a value that can be copied at any instant, and how a script changes it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.support.memory_metadata import MemoryMetadata
from tests.support.memory_store import MemoryStore

from .ledger import Ledger
from .loop import VirtualLoop, wall_ms
from .world import Place, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something happens ``at`` seconds, or when the ``nth`` call to a remote of that name begins."""

    act: Callable[[Outside], None]
    at: float | None = None
    call: str = ""
    nth: int = 1


def _nobody() -> None:
    """Nobody lives who could be told."""


@dataclass(slots=True, kw_only=True)
class Outside:
    """``image`` is the journal's file while no life has it open; None: there is none.

    ``changes`` grows whenever anything outside changes. ``wishes`` are what an operator asks for until it is
    granted.
    """

    steps: Sequence[Step]
    ledger: Ledger
    bucket: MemoryStore
    world: World = field(default_factory=World)
    deployment: MemoryMetadata = field(default_factory=MemoryMetadata)
    image: bytes | None = None
    backup: bytes | None = None
    time: float = 0.0
    done: set[int] = field(default_factory=set)  # steps
    called: dict[str, int] = field(default_factory=dict)
    wishes: set[str] = field(default_factory=set)
    changes: int = 0
    disturbed: set[str] = field(default_factory=set)  # keys whose objects or rows the script took away
    doubled: set[str] = field(default_factory=set)  # uploads that the second delivery of a Create opened
    loop: VirtualLoop | None = None  # the one that lives now
    news: asyncio.Event | None = None
    on_stop: Callable[[], None] = _nobody
    on_drain: Callable[[], None] = _nobody

    def copy(self) -> Outside:
        """Return what would be found if the power went now."""
        return Outside(
            steps=self.steps,
            ledger=self.ledger,
            bucket=self.bucket.copy(),
            world=self.world.copy(),
            deployment=self.deployment.copy(),
            image=self.image if self.loop is None else self.ledger.image(),
            backup=self.backup,
            time=self.now,
            done=set(self.done),
            called=dict(self.called),
            wishes=set(self.wishes),
            disturbed=set(self.disturbed),
            doubled=set(self.doubled),
            changes=self.changes,
        )

    @property
    def now(self) -> float:
        """The history's time."""
        return self.time if self.loop is None else self.loop.now

    @property
    def now_ns(self) -> int:
        """The wall's."""
        return wall_ms(self.now) * 1_000_000

    def tell_time(self, now: float) -> None:
        """The remotes have clocks, too."""
        self.bucket.now_ms = self.deployment.now_ms = wall_ms(now)

    # -- what a script says -----------------------------------------------------------------------
    def write(self, place: Place, content: bytes, *, in_place: bool = False, complete: bool = True) -> None:
        """Write a file."""
        self.world.write(place, content, at_ns=self.now_ns, in_place=in_place, complete=complete)

    def wish(self, what: str) -> None:
        """An operator asks for something, and goes on asking."""
        self.wishes.add(what)

    def grant(self, what: str) -> None:
        """The operator is content."""
        self.wishes.discard(what)
        self.changes += 1

    def restart(self) -> None:
        """Somebody asks the daemon to end at once, and starts it again."""
        self.on_stop()

    def drain(self) -> None:
        """Somebody asks the daemon to end in order, and starts it again if something is left."""
        self.on_drain()

    def back_up(self) -> None:
        """Somebody copies the journal away."""
        self.backup = self.ledger.image()

    # -- what is to be seen -----------------------------------------------------------------------
    def end_life(self) -> None:
        """Nobody lives any more."""
        self.loop = self.news = None
        self.on_stop = self.on_drain = _nobody

    def shows_removed(self, removal: str) -> bool:
        """Tell whether Convex shows a file that is gone, where that is not to be."""
        world = self.world
        gone = [world.places[path].slot for path in world.deleted] if removal != "keep" else []
        return any(slot in self.deployment.assets for slot in gone)

    # -- the script -------------------------------------------------------------------------------
    def heard(self, name: str) -> None:
        """A call begins: do what waits for it."""
        self.called[name] = self.called.get(name, 0) + 1
        for number, step in enumerate(self.steps):
            if step.call == name and step.nth == self.called[name] and number not in self.done:
                self._do(number)

    def pass_time(self, now: float) -> None:
        """Do what is due by ``now``, each step at its own time."""
        due = [
            (step.at, number)
            for number, step in enumerate(self.steps)
            if step.at is not None and step.at <= now and number not in self.done
        ]
        for at, number in sorted(due):
            self.time = max(self.time, at)
            self._do(number)
        self.time = max(self.time, now)

    def next_at(self) -> float | None:
        """Return when the next step is due."""
        return min(
            (step.at for n, step in enumerate(self.steps) if step.at is not None and n not in self.done),
            default=None,
        )

    def _do(self, number: int) -> None:
        self.done.add(number)
        self.changes += 1
        self.steps[number].act(self)
        if self.news is not None:
            self.news.set()
