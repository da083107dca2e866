"""What a scenario is made of. Times are virtual seconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.support.memory_store import MemoryStore

from .outside import Outside, Step
from .world import Place

Trouble = Callable[[str, float, int], str | None]


def _calm(_name: str, _now: float, _nth: int) -> str | None:
    return None


def _all_is_well(_outside: Outside) -> list[str]:
    return []


def _nothing(_outside: Outside) -> None:
    """Nothing is there before, and nothing befalls the journal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """``trouble`` spoils calls (name, time, how often that name was called); it is over at ``calm_at``.

    ``prepare`` makes what is there before; ``befalls`` is what happens to the journal after the first life.
    ``expects`` says what else is wrong with what there is in the end.
    ``first_looks``: files are looked at before they are journaled, as the daemon does with small ones.
    ``in_file``: the journal is read by other connections, or must be opened as production opens it.
    """

    steps: Sequence[Step]
    trouble: Trouble = _calm
    calm_at: float = 0.0
    prepare: Callable[[Outside], None] = _nothing
    befalls: Callable[[Outside], None] = _nothing
    tidy: bool = False
    prune: bool = False  # journal.keep and retention.events are half a minute
    reconciles: bool = False
    removal: str = "keep"
    expects: Callable[[Outside], list[str]] = _all_is_well
    first_looks: bool = False
    in_file: bool = False
    takes_back: bool = False  # convex.on_refused is delete
    forgets: bool = False  # S3 does not know an upload any more that it has completed

    def bucket(self, pread: Callable[[int, int, int], bytes]) -> MemoryStore:
        """Return the bucket, empty."""
        return MemoryStore(pread=pread, forgets=self.forgets)

    @property
    def settled_at(self) -> float:
        """From here on nothing is in the daemon's way."""
        return max([self.calm_at, *(step.at for step in self.steps if step.at is not None)])


def text(word: str, size: int) -> bytes:
    """Return bytes that name themselves and differ in every part."""
    return b"".join(b"%s %d\n" % (word.encode(), n) for n in range(size // 4))[:size]


def write(
    place: Place, content: bytes, at: float = 0.0, *, in_place: bool = False, complete: bool = True
) -> Step:
    """Write a file at a time."""
    return Step(at=at, act=lambda o: o.write(place, content, in_place=in_place, complete=complete))


def mark(scene: str, at: float) -> Step:
    """Write a scene's marker at a time."""
    return Step(at=at, act=lambda o: o.world.mark(scene, at_ns=o.now_ns))


def delete(place: Place, at: float) -> Step:
    """Delete a file at a time."""
    return Step(at=at, act=lambda o: o.world.delete(place))


def wish(what: str, at: float) -> Step:
    """Ask the daemon for something, from a time on until it is granted."""
    return Step(at=at, act=lambda o: o.wish(what))


def during(call: str, act: Callable[[Outside], None], nth: int = 1) -> Step:
    """Do something while a call is on its way."""
    return Step(call=call, nth=nth, act=act)


def down(prefix: str, begin: float, end: float, how: str = "lost-before") -> Trouble:
    """All calls of a remote (or one kind of them) fail for a while."""
    return lambda name, now, _nth: how if name.startswith(prefix) and begin <= now < end else None


def once(call: str, nth: int, how: str) -> Trouble:
    """Spoil one call."""
    return lambda name, _now, n: how if (name, n) == (call, nth) else None


def from_part(nth: int, until: float) -> Trouble:
    """S3 goes away in the middle of a multipart upload."""
    return lambda name, now, n: "lost-before" if now < until and name == "s3.part" and n >= nth else None
