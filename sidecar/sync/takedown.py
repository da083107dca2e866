"""Takes assets down for a backend: removed in Convex, their versions expired, then their objects owed.

What is asked is in the journal first, and one worker carries it out, whatever becomes of who asked: so
nothing is left half done. After a kill whoever opens the journal next goes on. An asset that got a newer
version meanwhile stays, and so does its object.

What Convex refuses before it removed anything is forgotten. All else is tried again: also what was answered
without a reason, which says nothing of what was done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import structlog

from sidecar.core.batched import batched
from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.gate import RemoteGate
from sidecar.journal.stores.takedowns import AskedTakedown, MarkedObject, Takedowns
from sidecar.journal.writer import AsyncJournal

from .backend import IDS_MAX, BackendStore, OlderVersion, RemovalOutcome
from .errors import NOT_INSTALLED
from .query import ask

TARGET = "takedown"
RETRY_SECONDS = 2.0
log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenDown:
    """What became of an asset; ``is_marked``: its version is expired, and its object is to go."""

    outcome: RemovalOutcome
    is_marked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Version:
    """A version that is to expire with the asset ``of`` which it was asked."""

    of: AskedTakedown
    number: int
    object: MarkedObject


class Takedown:
    """Removes assets of any sidecar's, by the role `backend`."""

    def __init__(
        self,
        *,
        backend: BackendStore,
        gate: RemoteGate,
        journal: AsyncJournal,
        patience_seconds: float,
        removed: Callable[[AskedTakedown], Awaitable[None]],
    ) -> None:
        """``gate`` is Convex's; ``removed`` hears of each asset that is gone.

        ``patience_seconds`` is how long who asks waits.
        """
        self._backend, self._gate, self._journal = backend, gate, journal
        self._patience_seconds, self._removed = patience_seconds, removed
        self._asked = asyncio.Event()
        self._waiting: dict[int, asyncio.Future[TakenDown]] = {}
        self._outcomes: dict[int, RemovalOutcome] = {}  # of what is removed, and not marked yet
        self._put_off: set[int] = set()

    async def take_down(self, asked: Sequence[AskedTakedown]) -> list[TakenDown]:
        """Remove assets of one project; returns what became of each, in order.

        Their objects are deleted soon after. Raises SidecarError if Convex refuses: those that it did not
        remove are then kept, as if nobody had asked; and while it cannot be asked: they are removed later.
        """
        outcomes: list[TakenDown] = []
        for some in batched(asked, IDS_MAX):
            kept = await self._journal.do(Takedowns.ask, some)
            outcomes += await self._carried_out(kept)
        return outcomes

    async def work(self) -> None:
        """Carry out what is asked, and what an earlier process was asked, for ever."""
        while True:
            self._asked.clear()
            left = await self._journal.do(Takedowns.left, limit=IDS_MAX, without=self._put_off)
            if left:
                await self._carry_out(left)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(RETRY_SECONDS if self._put_off else None):
                    await self._asked.wait()
                    continue
            self._put_off.clear()

    # -- who asks ----------------------------------------------------------------------------------

    async def _carried_out(self, kept: Sequence[AskedTakedown]) -> list[TakenDown]:
        """Wait for the worker."""
        loop = asyncio.get_running_loop()
        waiting = {one.id: loop.create_future() for one in kept}
        self._waiting |= waiting
        self._asked.set()
        try:
            async with asyncio.timeout(self._patience_seconds):
                return [await waiting[one.id] for one in kept]
        except TimeoutError:
            raise SidecarError(
                ErrorKind.NETWORK,
                self._gate.reason or "Convex does not answer",
                operation="removeAssets",
                target=kept[0].project_id,
                hint="what was asked is on disk, and is carried out once Convex answers",
            ) from None
        finally:
            for one in kept:
                self._waiting.pop(one.id, None)

    def _tell(self, one: AskedTakedown, found: TakenDown | SidecarError) -> None:
        waiting = self._waiting.get(one.id)
        if waiting is None or waiting.done():
            return
        if isinstance(found, SidecarError):
            waiting.set_exception(found)
            waiting.exception()  # it is told with the first of its chunk
        else:
            waiting.set_result(found)

    # -- the worker --------------------------------------------------------------------------------

    async def _carry_out(self, asked: Sequence[AskedTakedown]) -> None:
        try:
            await self._remove([one for one in asked if one.id not in self._outcomes])
        except SidecarError as error:
            await self._not_removed([one for one in asked if one.id not in self._outcomes], error)
            return
        await self._mark(asked)

    async def _remove(self, asked: Sequence[AskedTakedown]) -> None:
        if not asked:
            return
        names = [(one.slot, one.version) for one in asked]
        remove = partial(self._backend.remove_assets, asked[0].project_id, names)
        outcomes = await ask(self._gate, TARGET, remove)
        self._outcomes |= {one.id: outcome for one, outcome in zip(asked, outcomes, strict=True)}
        for one in asked:
            if self._outcomes[one.id] is not RemovalOutcome.CHANGED:
                await self._removed(one)

    async def _not_removed(self, asked: Sequence[AskedTakedown], error: SidecarError) -> None:
        log.warning("assets_not_removed", assets=[one.slot.digest for one in asked], error=str(error))
        if not _is_refusal(error):
            self._put_off |= {one.id for one in asked}
            return
        await self._journal.do(Takedowns.settle, asked, marked={})
        for one in asked:
            self._tell(one, error)

    async def _mark(self, asked: Sequence[AskedTakedown]) -> None:
        """Have the versions of what is gone expired; until they are, their objects are owed nothing."""
        gone = [one for one in asked if self._outcomes[one.id] is not RemovalOutcome.CHANGED]
        changed = [one for one in asked if one not in gone]
        try:
            marked = await self._marked(gone)
        except SidecarError as error:
            log.warning("objects_not_removed", assets=[one.slot.digest for one in gone], error=str(error))
            self._put_off |= {one.id for one in gone}
            await self._settle(changed, marked=[])
            for one in gone:
                self._tell(one, TakenDown(outcome=self._outcomes[one.id]))
        else:
            await self._settle(asked, marked=marked)

    async def _settle(self, asked: Sequence[AskedTakedown], *, marked: Sequence[_Version]) -> None:
        objects: dict[int, list[MarkedObject]] = {}
        for version in marked:
            objects.setdefault(version.of.id, []).append(version.object)
        await self._journal.do(Takedowns.settle, asked, marked=objects)
        own = {version.of.id for version in marked if version.number == version.of.version}
        for one in asked:
            self._tell(one, TakenDown(outcome=self._outcomes.pop(one.id), is_marked=one.id in own))

    async def _marked(self, gone: Sequence[AskedTakedown]) -> list[_Version]:
        """Have versions marked as expired; return those whose objects are shown by nobody else."""
        if not gone:
            return []
        marked = list[_Version]()
        for some in batched([*map(_own, gone), *await self._older(gone)], IDS_MAX):
            names = [(one.of.slot, one.number) for one in some]
            expire = partial(self._backend.expire_versions, gone[0].project_id, names)
            marks = await ask(self._gate, TARGET, expire)
            marked += [one for one, is_marked in zip(some, marks, strict=True) if is_marked]
        shown = await self._shown_by_others({one.object for one in marked})
        return [one for one in marked if one.object not in shown]

    async def _older(self, gone: Sequence[AskedTakedown]) -> list[_Version]:
        """Return older versions of what takes them along: they leave their scene's history first."""
        wanted = [one for one in gone if one.with_older]
        if not wanted:
            return []
        names = [(one.slot, one.version) for one in wanted]
        try:
            found = await ask(
                self._gate, TARGET, partial(self._backend.forget_older, gone[0].project_id, names)
            )
        except SidecarError as error:
            if error.hint != NOT_INSTALLED:
                raise
            log.warning("older_versions_kept", why=str(error), hint=NOT_INSTALLED)  # functions of before
            return []
        return [
            _Version(of=one, number=version.version, object=_object(version))
            for one, versions in zip(wanted, found, strict=True)
            for version in versions
            if version.version != one.version
        ]

    async def _shown_by_others(self, objects: Collection[MarkedObject]) -> set[MarkedObject]:
        """Return those that other assets show as well, by whoever told of them: these stay."""
        found = set[MarkedObject]()
        for bucket in {one.bucket for one in objects}:
            for some in batched([one for one in objects if one.bucket == bucket], IDS_MAX):
                keys = [one.key for one in some]
                shown = await ask(self._gate, TARGET, partial(self._backend.assets_by_key, bucket, keys))
                pairs = zip(some, shown, strict=True)
                found |= {one for one, by in pairs if by.assets or by.others}
        return found


def _own(one: AskedTakedown) -> _Version:
    return _Version(of=one, number=one.version, object=_object(one))


def _object(of: AskedTakedown | OlderVersion) -> MarkedObject:
    return MarkedObject(bucket=of.bucket, key=of.key, transfer_id=of.transfer_id)


def _is_refusal(error: SidecarError) -> bool:
    """Tell whether Convex has certainly not done what was asked, and would not do it the next time."""
    if error.maybe_done:
        return False
    is_told = error.kind is not ErrorKind.UNKNOWN and not error.redacted
    return is_told or error.hint == NOT_INSTALLED
