"""Every crash point of a scenario: one life shows them all, and each is lived on from the outside as found.

So nothing is lived twice that is the same (``sameness.py``): a start on an outside that is known by now is
not lived again. Where no new one is found any more, all crashes are covered, however many in a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from .calm import Unwatched
from .history import History, Plan, begun, live_on, simulation
from .outside import Outside
from .power import AFTER, BEFORE, BETWEEN, Crash, Power
from .sameness import sameness

Check = Callable[[History], list[str]]
WHERE = (BEFORE, BETWEEN, AFTER)


@dataclass(slots=True, kw_only=True)
class Tally:
    """What an exploration came to.

    ``points`` are the crash points that were met, ``lives`` the lives, ``left`` the new outsides from
    which nothing was lived on.
    """

    points: int = 0
    lives: int = 0
    histories: int = 0
    left: int = 0
    found: list[str] = field(default_factory=list)  # what is wrong, with the line that replays it

    def add(self, other: Tally) -> None:
        """Count another one in."""
        self.points += other.points
        self.lives += other.lives
        self.histories += other.histories
        self.left += other.left
        self.found += other.found


class _Everywhere:
    """Keeps how each outside goes on that differs from the one found before."""

    def __init__(self, history: History) -> None:
        self.cuts: list[History] = []
        self._history = history
        self._newest: tuple[int, ...] = ()

    def wants(self, _crash: Crash, power: Power) -> bool:
        return not power.is_off and self._newest != (power.outside.changes, *power.flying)

    def keep(self, crash: Crash, power: Power, found: Outside) -> None:
        self._newest = (found.changes, *power.flying)
        plan = replace(self._history.plan, crashes=(*self._history.plan.crashes, crash))
        self.cuts.append(self._history.cut(crash, power, found, plan=plan))


def explore(
    plan: Plan, *, crashes: int, at_a_crash: Check, at_the_end: Check, lives_max: int | None = None
) -> Tally:
    """Live ``plan``, and from every crash point on, so many crashes deep; stop where something is wrong.

    ``lives_max``: or after so many lives.
    """
    tally, known = Tally(), set[bytes]()
    with simulation() as machine, begun(plan, machine) as first:
        waiting = [first]
        while waiting and not tally.found and (lives_max is None or tally.lives < lives_max):
            history = waiting.pop()  # the newest first: few wait then, and each holds a journal
            before = len(history.effects)
            deeper = len(history.plan.crashes) < crashes
            everywhere = _Everywhere(history)
            live_on(history, machine, everywhere if deeper else Unwatched())
            tally.lives += len(history.effects) - before
            tally.histories += 1
            tally.points += sum(len(WHERE) * len(life) for life in history.effects[before:] if deeper)
            if wrong := at_the_end(history):
                tally.found += [*wrong, history.plan.command]
            waiting += _new(everywhere.cuts, known, at_a_crash)
        tally.left = len(waiting)
    return tally


def _new(cuts: Iterable[History], known: set[bytes], at_a_crash: Check) -> Iterator[History]:
    """Pick what was found at crash points and is new, and look at it."""
    for cut in cuts:
        if (name := sameness(cut.outside)) not in known:
            known.add(name)
            cut.problems += at_a_crash(cut)
            yield cut
