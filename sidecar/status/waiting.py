"""/wait: whether everything asked for is synced, answered from a scan begun after the request."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sidecar.core.model import State, Transfer

from .locating import located
from .models import Owed, WaitReply
from .query import is_utf8
from .remembering import Remembered, remembered
from .source import Finding, JournalReader, StatusSource
from .view import absolute
from .words import count, failure, meaning

SHOWN_MAX = 100
LOOK_SECONDS = 0.05  # the first pause between two looks; it doubles up to the next
LOOK_SECONDS_MAX = 0.5
_FINAL = (State.DEAD, State.ABANDONED)
_NEVER = {Finding.IGNORED, Finding.UNMATCHED, Finding.REFUSED, Finding.HELD, Finding.MISSING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What is waited for: a session, a folder or file, or (neither) everything."""

    session_id: str | None = None
    root: str | None = None
    path: str = ""

    def covers(self, root: str, path: str, session_id: str | None) -> bool:
        """Tell whether a file belongs to it."""
        if self.session_id is not None and session_id != self.session_id:
            return False
        return self.root is None or (self.root == root and _within(path, self.path))


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was still missing at one moment."""

    counts: Mapping[State, int]  # of unfinished transfers
    failed: tuple[Owed, ...]
    owed: tuple[Owed, ...]

    @property
    def settled(self) -> bool:
        """Tell whether waiting longer would change nothing."""
        return not self.owed and not self.going

    @property
    def going(self) -> int:
        """Transfers that may still come through."""
        return sum(number for state, number in self.counts.items() if state not in _FINAL)


async def scope_of(source: StatusSource, *, path: str | None, session_id: str | None) -> Scope:
    """Return what a request names; raises BadRequestError for a path outside all roots."""
    if path is None:
        return Scope(session_id=session_id)
    root, inside = await located(source, path)
    return Scope(session_id=session_id, root=root, path=inside)


async def wait(source: StatusSource, scope: Scope, *, timeout_seconds: float) -> WaitReply:
    """Return when all of ``scope`` is synced, when nothing more can come, or when the time is over."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    look = Look(counts={}, failed=(), owed=(_unscanned(scope),))
    try:
        async with asyncio.timeout(timeout_seconds):
            await source.watch.scan_now()
            pause = LOOK_SECONDS
            while not (look := await _look(source, scope)).settled:
                await asyncio.sleep(pause)
                pause = min(pause * 2, LOOK_SECONDS_MAX)
    except TimeoutError:
        pass  # the last look is the answer
    return _reply(look, waited_seconds=loop.time() - begun)


async def _look(source: StatusSource, scope: Scope) -> Look:
    never = await _never(source, scope)
    pending = {
        absolute(one.root, one.path): one.why
        for one in source.watch.pending()
        if scope.covers(one.root, one.path, one.session_id)
    }
    untold = "convex" not in source.remotes  # convex.sync: off: the upload is the end
    counts, rows = await source.read(lambda journal: _unfinished(journal, scope, untold=untold))
    failed = [_owed(row, failure(row) or meaning(row.state)) for row in rows if row.state in _FINAL]
    going = [row for row in rows if row.state not in _FINAL]
    owed = [_owed(row, pending.get(row.display) or meaning(row.state)) for row in going]
    journaled = {row.display for row in going}
    fresh = [
        Owed(path=path, state="waiting", why=why) for path, why in pending.items() if path not in journaled
    ]
    return Look(counts=counts, failed=(*never, *failed), owed=(*owed, *fresh)[:SHOWN_MAX])


async def _never(source: StatusSource, scope: Scope) -> list[Owed]:
    """Return what the rules keep from being sent: the very path, or refused files below it."""
    refused = [
        Owed(path=absolute(root.root, one.path), state=one.finding, why=one.why)
        for root in source.watch.status()
        for one in root.examples
        if one.finding == Finding.REFUSED
        and scope.session_id is None
        and scope.covers(root.root, one.path, None)
    ]
    return refused or await _never_itself(source, scope)


async def _never_itself(source: StatusSource, scope: Scope) -> list[Owed]:
    root, path = scope.root, scope.path
    if root is None:
        return []
    finding = await source.watch.explain(root, path)
    if finding.finding not in _NEVER:
        return []
    if finding.finding == Finding.MISSING and _was_read(await remembered(source, root, path)):
        return []
    return [Owed(path=absolute(root, path), state=finding.finding, why=finding.why)]


def _was_read(known: Remembered) -> bool:
    """Tell whether a file that is gone now was read: then its transfers answer, otherwise it is missing."""
    return known.newest is not None and known.newest.state is not State.GONE


def _unfinished(
    journal: JournalReader, scope: Scope, *, untold: bool
) -> tuple[Mapping[State, int], list[Transfer]]:
    if not is_utf8(scope.path):
        return {}, []
    done = {State.UPLOADED} if untold else set[State]()
    found = journal.unfinished(session_id=scope.session_id, root=scope.root, prefix=scope.path)
    counts = {state: number for state, number in found.items() if state not in done}
    if not sum(counts.values()):
        return counts, []
    rows = journal.owed(session_id=scope.session_id, root=scope.root, prefix=scope.path, limit=SHOWN_MAX + 1)
    return counts, [row for row in rows if row.state not in done]


def _reply(look: Look, *, waited_seconds: float) -> WaitReply:
    result: Literal["synced", "failed", "timeout"]
    if not look.settled:
        result, verdict = "timeout", f"{count(max(look.going, len(look.owed)), 'file')} still not synced."
    elif look.failed:
        result, verdict = "failed", f"{count(len(look.failed), 'file')} will not be synced without help."
    else:
        result, verdict = "synced", "Everything asked for is synced."
    return WaitReply(
        result=result,
        verdict=verdict,
        waited_seconds=round(waited_seconds, 3),
        failed=list(look.failed),
        owed=list(look.owed),
        unfinished=dict(look.counts),
    )


def _owed(row: Transfer, why: str) -> Owed:
    return Owed(path=row.display, state=row.state, why=why)


def _unscanned(scope: Scope) -> Owed:
    path = absolute(scope.root, scope.path) if scope.root else scope.session_id or "everything"
    return Owed(path=path, state="waiting", why="the scan that would answer was not done in time")


def _within(path: str, folder: str) -> bool:
    return not folder or path == folder or path.startswith(folder + "/")
