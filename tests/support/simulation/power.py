"""Counts what the daemon does outside itself, and cuts its power, or spoils a call, where the plan says."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import NoReturn, TypeVar

from sidecar.core.errors import ErrorKind, SidecarError

T = TypeVar("T")
SLOW_SECONDS = 45.0
LATE_SECONDS = 5.0
REFUSALS = tuple(f"refused-{kind}" for kind in ErrorKind)
FAULTS = (
    *REFUSALS,  # the kind of error, nothing done
    "lost-before",  # no answer, nothing done
    "lost-after",  # no answer, all done
    "late",  # no answer, all done some seconds later
    "unknown-after",
    "corrupt-after",  # the answer does not fit what was asked
    "throttled-after",  # a proxy turned it down that had passed it on
    "redacted",  # Convex hides why
    "twice",  # delivered twice
    "slow",
)
WHEN = ("before", "after", "stop")


class PowerCut(BaseException):
    """What a task gets that touches a port after the end: no effect follows any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """Where a life ends: ``before`` or ``after`` its n-th effect (from 1); ``stop``: it is asked to end."""

    effect: int
    when: str

    def __str__(self) -> str:
        """Return it as the command line takes it."""
        return f"{self.effect}:{self.when}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What becomes of the n-th call (from 1, over all lives) to a remote."""

    call: int
    how: str

    def __str__(self) -> str:
        """Return it as the command line takes it."""
        return f"{self.call}:{self.how}"


@dataclass(slots=True, kw_only=True)
class Power:
    """One life's. ``calls`` and ``on_call`` belong to the whole history."""

    crash: Crash | None
    chance: random.Random
    calls: list[str]  # every call to a remote, in the order of their beginning
    faults: dict[int, str]
    outage: Callable[[str], str | None]  # what an outage makes of a call now
    on_call: Callable[[str], None]  # before the outage is asked
    effects: list[str] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    is_off: bool = False
    last_effect_at: float = 0.0
    last_call_at: float = 0.0
    _flying: dict[int, Callable[[], object]] = field(default_factory=dict)

    async def pause(self, most_seconds: float) -> None:
        """Let a little time pass, a different one each time."""
        self.check()
        await asyncio.sleep(self.chance.random() * most_seconds)
        self.check()

    def check(self) -> None:
        """Raise PowerCut where nothing may happen any more."""
        if self.is_off:
            raise PowerCut

    async def effect(
        self,
        name: str,
        commit: Callable[[], T],
        *,
        counts: Callable[[], bool] = lambda: True,
        atomic: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> T:
        """Commit; if it ``counts``, it is the next effect. ``atomic`` undoes it on the way out."""
        try:
            with atomic():
                result = commit()
                if counts() and self._is_next("before"):
                    raise PowerCut  # noqa: TRY301 - what undoes the commit is an exception
        except PowerCut:
            await self._die()
        if counts():
            self.effects.append(name)
            self.last_effect_at = asyncio.get_running_loop().time()
            if self._is_last("after"):
                await self._die()
            if self._is_last("stop"):
                self.ended.set()
        return result

    def door(self, name: str, when: str) -> bool:
        """Stand before and after what threads do: the deletion of a file is an effect."""
        if name != "delete":
            return True
        if when == "before" and (self.is_off or self._is_next("before")):
            self._cut()
            return False
        if when == "after":
            self.effects.append("file.delete")
            self.last_effect_at = asyncio.get_running_loop().time()
            if self._is_last("after"):
                self._cut()
                return False
            if self._is_last("stop"):
                self.ended.set()
        return True

    async def call(self, name: str, commit: Callable[[], T], *, changes: bool) -> T:
        """Make a call to a remote: it travels, is carried out, and its answer travels back."""
        self.check()
        self.calls.append(name)
        self.last_call_at = asyncio.get_running_loop().time()
        number = len(self.calls)
        self.on_call(name)
        how = self.faults.get(number) or self.outage(name)
        if how == "slow":
            await self.pause(SLOW_SECONDS)
        self._flying[number] = commit if changes and how is None else _nothing
        try:
            await self.pause(0.05)
        finally:
            self._flying.pop(number, None)
        if how is not None:
            _refuse(how, name)
        if how == "late":
            asyncio.get_running_loop().call_later(LATE_SECONDS, _quietly, commit)
            raise failure(ErrorKind.NETWORK, name, maybe_done=True)
        result = await self._carried_out(name, commit, changes=changes, twice=how == "twice")
        if how is not None:
            _spoil(how, name)
        await self.pause(SLOW_SECONDS if how == "slow" else 0.05)
        return result

    async def _carried_out(self, name: str, commit: Callable[[], T], *, changes: bool, twice: bool) -> T:
        if not changes:
            return commit()
        if self._is_next("before"):
            await self._die()
        result = await self.effect(name, commit)
        if twice:
            try:
                result = commit()
            except SidecarError:
                return result  # the answer to the first delivery is the one that came
        return result

    @property
    def may_undo(self) -> bool:
        """Tell whether the next effect must be undone."""
        return self._is_next("before")

    def _is_next(self, when: str) -> bool:
        crash = self.crash
        return crash is not None and crash.when == when and crash.effect == len(self.effects) + 1

    def _is_last(self, when: str) -> bool:
        crash = self.crash
        return crash is not None and crash.when == when and crash.effect == len(self.effects)

    def strand(self) -> None:
        """The sender is gone: what is on its way may arrive, or not."""
        for commit in list(self._flying.values()):
            if self.chance.random() < 0.5:
                _quietly(commit)
        self._flying.clear()

    def _cut(self) -> None:
        """Cut the power."""
        self.is_off = True
        self.ended.set()
        self.strand()

    async def _die(self) -> NoReturn:
        self._cut()
        await asyncio.get_running_loop().create_future()
        raise PowerCut  # the future is only ever cancelled


def failure(kind: ErrorKind, name: str, *, maybe_done: bool = False, redacted: bool = False) -> SidecarError:
    """Return an error as an adapter raises it."""
    return SidecarError(
        kind,
        f"simulated {kind}",
        operation=name,
        target="simulation",
        maybe_done=maybe_done,
        redacted=redacted,
    )


def _refuse(how: str, name: str) -> None:
    if how in REFUSALS:
        raise failure(ErrorKind(how.removeprefix("refused-")), name)
    if how == "lost-before":
        raise failure(ErrorKind.NETWORK, name, maybe_done=True)
    if how == "redacted":
        raise failure(ErrorKind.UNKNOWN, name, redacted=True)


def _spoil(how: str, name: str) -> None:
    if how == "lost-after":
        raise failure(ErrorKind.NETWORK, name, maybe_done=True)
    if how == "unknown-after":
        raise failure(ErrorKind.UNKNOWN, name, maybe_done=True)
    if how == "corrupt-after":
        raise failure(ErrorKind.CORRUPT, name)
    if how == "throttled-after":
        raise failure(ErrorKind.THROTTLED, name)


def _quietly(commit: Callable[[], object]) -> None:
    """Carry out a request whose sender does not hear of it any more."""
    try:
        commit()
    except (SidecarError, OSError):
        return


def _nothing() -> None:
    """Stand for a request that changes nothing."""
