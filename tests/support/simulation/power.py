"""Counts what the daemon does outside itself, shows where it may be cut off, and spoils calls by plan."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from sidecar.core.errors import SidecarError

from .faults import LATE_SECONDS, SLOW_SECONDS, failure, refuse, spoil
from .loop import PowerCut
from .outside import Outside

T = TypeVar("T")
BEFORE, BETWEEN, AFTER, STOP = "before", "between", "after", "stop"
WHEN = (BEFORE, BETWEEN, AFTER, STOP)
Request = Callable[[Outside], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """Where a life (from 1) ends, by its n-th effect (from 1).

    ``before`` it; ``between`` it and the daemon's hearing of it; ``after`` that. ``stop``: after it the
    daemon is asked to end, at once, but in order.
    """

    life: int
    effect: int
    when: str

    def __str__(self) -> str:
        """Return it as the command line takes it."""
        return f"{self.life}/{self.effect}:{self.when}"


class Watch(Protocol):
    """Who wants to know where a life might be cut off."""

    def wants(self, crash: Crash, power: Power) -> bool:
        """Tell whether to copy the outside, as it would be found there."""
        ...

    def keep(self, crash: Crash, power: Power, found: Outside) -> None:
        """Take the copy."""
        ...


@dataclass(slots=True, kw_only=True)
class Power:
    """One life's. ``calls`` belongs to the whole history: every call to a remote, as they began."""

    life: int
    outside: Outside
    chance: random.Random
    strand_seed: str
    watch: Watch
    stop: Crash | None
    calls: list[str]
    spoilt: set[int]  # those that an outage spoils
    faults: Mapping[int, str]
    trouble: Callable[[str], str | None]  # what an outage makes of a call
    on_call: Callable[[str], None]  # before that
    effects: list[str] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    is_off: bool = False
    last_at: float = 0.0  # of an effect or a call
    in_flight: int = 0  # calls
    flying: dict[int, Request] = field(default_factory=dict)  # requests that may yet arrive

    async def pause(self, most_seconds: float) -> None:
        """Let a little time pass, a different one each time."""
        self.check()
        await asyncio.sleep(self.chance.random() * most_seconds)
        self.check()

    def check(self) -> None:
        """Raise PowerCut where nothing may happen any more."""
        if self.is_off:
            raise PowerCut

    def cut(self) -> None:
        """From here on nothing happens any more."""
        self.is_off = True
        self.ended.set()

    # -- where it may end -------------------------------------------------------------------------
    def before(self) -> Outside | None:
        """Return the outside as the next effect would find it, if anybody wants to know."""
        crash = Crash(life=self.life, effect=len(self.effects) + 1, when=BEFORE)
        return self._found(crash) if self.watch.wants(crash, self) else None

    def happened(self, name: str, before: Outside | None) -> int:
        """Note an effect, and show the points before it and right after it; return its number."""
        self.effects.append(name)
        number = len(self.effects)
        if before is not None:
            self.watch.keep(Crash(life=self.life, effect=number, when=BEFORE), self, before)
        self.outside.changes += 1
        self.last_at = asyncio.get_running_loop().time()
        self._show(number, BETWEEN)
        if self.stop is not None and self.stop.effect == number:
            self.ended.set()
        return number

    def heard(self, number: int) -> None:
        """The daemon is about to hear of an effect."""
        self._show(number, AFTER)

    def _show(self, number: int, when: str) -> None:
        crash = Crash(life=self.life, effect=number, when=when)
        if self.watch.wants(crash, self):
            self.watch.keep(crash, self, self._found(crash))

    def _found(self, crash: Crash) -> Outside:
        """Copy the outside. The sender is gone: what is on its way arrives, or not."""
        found, chance = self.outside.copy(), random.Random(f"{self.strand_seed} {crash}")
        for request in self.flying.values():
            if chance.random() < 0.5:
                quietly(request, found)
        return found

    # -- effects ----------------------------------------------------------------------------------
    def change_file(self, name: str, change: Callable[[], None]) -> None:
        """Change the disk."""
        self.check()
        before = self.before()
        change()
        self.heard(self.happened(name, before))
        self.check()

    async def call(self, name: str, request: Callable[[Outside], T], *, changes: bool) -> T:
        """Make a call to a remote: it travels, is carried out, and its answer travels back."""
        self.in_flight += 1
        try:
            return await self._call(name, request, changes=changes)
        finally:
            self.in_flight -= 1
            self.last_at = asyncio.get_running_loop().time()

    async def _call(self, name: str, request: Callable[[Outside], T], *, changes: bool) -> T:
        self.check()
        self.calls.append(name)
        number = len(self.calls)
        self.on_call(name)
        how = self.faults.get(number) or self._trouble(name, number)
        if how == "slow":
            await self.pause(SLOW_SECONDS)
        if changes and how is None:
            self.flying[number] = request
        try:
            await self.pause(0.05)
        finally:
            self.flying.pop(number, None)
        await refuse(how, name)
        if how == "late":
            asyncio.get_running_loop().call_later(LATE_SECONDS, self._arrive, request)
            raise failure("network", name, maybe_done=True)
        result, effect = self._carried_out(name, request, changes=changes, twice=how == "twice")
        result = await spoil(how, name, result)
        await self.pause(SLOW_SECONDS if how == "slow" else 0.05)
        if effect:
            self.heard(effect)
            self.check()
        return result

    def _trouble(self, name: str, number: int) -> str | None:
        how = self.trouble(name)
        if how is not None:
            self.spoilt.add(number)
        return how

    def _carried_out(
        self, name: str, request: Callable[[Outside], T], *, changes: bool, twice: bool
    ) -> tuple[T, int]:
        """Return the answer, and the effect's number, 0 if it was none."""
        self.outside.tell_time(asyncio.get_running_loop().time())
        if not changes:
            return request(self.outside), 0
        before = self.before()
        result = request(self.outside)
        number = self.happened(name, before)
        self.check()
        if twice:
            self._arrive_again(request)  # the answer to the first delivery is the one that comes
        return result, number

    def _arrive_again(self, request: Request) -> None:
        """Deliver a request for the second time, and note what nobody will ever be told of."""
        known = set(self.outside.bucket.uploads)
        self._arrive(request)
        self.outside.doubled |= self.outside.bucket.uploads.keys() - known

    def _arrive(self, request: Request) -> None:
        """Carry out a request whose sender does not hear of it any more."""
        self.outside.changes += 1
        quietly(request, self.outside)


def quietly(request: Request, outside: Outside) -> None:
    """Carry out a request; whatever the answer is, nobody hears it."""
    try:
        request(outside)
    except (SidecarError, OSError):
        return
