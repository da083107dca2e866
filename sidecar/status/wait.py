"""Answers /wait: whether everything asked for is delivered, from a scan begun after the request.

What each class of file does to the answer is the account's table (core/account.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sidecar.core.account import NAMED_MAX, FileClass, FileScope, Waiting, class_of
from sidecar.core.findings import Finding
from sidecar.core.model import State, Transfer

from .journal_history import remembered
from .locate import located
from .models import Delivered, Owed, WaitReply
from .query import is_utf8
from .source import Candidate, JournalReader, RootStatus, StatusSource, Unsent, is_syncing
from .view import absolute
from .wording import count, failure, meaning, size

LOOK_SECONDS = 0.05  # the first pause between two looks; it doubles up to the next
LOOK_SECONDS_MAX = 0.5
SESSIONS_MAX = 20
_GIVEN_UP = (State.DEAD, State.ABANDONED)
_NEED_THE_ROOT = (State.DISCOVERED, State.READY)
_UNSCANNED = "the scan that would answer was not done in time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What was still missing at one moment. The lists name at most NAMED_MAX each."""

    counts: Mapping[State, int]  # of unfinished transfers
    failed: Sequence[Owed]
    failed_files: int
    owed: Sequence[Owed]
    owed_files: int

    @property
    def settled(self) -> bool:
        """Tell whether waiting longer would change nothing."""
        return not self.owed_files


@dataclass(frozen=True, slots=True, kw_only=True)
class Journaled:
    """What the journal contributes to a look."""

    counts: Mapping[tuple[str, State], int]
    rows: Sequence[Transfer]


async def scope_of(source: StatusSource, *, path: str | None, session_id: str | None) -> FileScope:
    """Return what a request names; raises BadRequestError for a path outside all roots."""
    if path is None:
        return FileScope(session_id=session_id)
    root, inside = await located(source, path)
    return FileScope(session_id=session_id, root=root, path=inside)


async def wait(
    source: StatusSource, scope: FileScope, *, timeout_seconds: float, appear_seconds: float = 0.0
) -> WaitReply:
    """Return when all of ``scope`` is delivered, when nothing more can come, or when the time is over.

    What nobody has seen is waited for no longer than ``appear_seconds``.
    """
    loop = asyncio.get_running_loop()
    begun = loop.time()
    snapshot, is_seen = _unscanned(scope), False
    try:
        async with asyncio.timeout(timeout_seconds):
            await source.watch.scan_now()
            pause = LOOK_SECONDS
            while True:
                snapshot = await _take_snapshot(source, scope)
                is_seen = is_seen or await _is_seen(source, scope, snapshot)
                if snapshot.settled and (is_seen or loop.time() - begun >= appear_seconds):
                    break
                await asyncio.sleep(pause)
                pause = min(pause * 2, LOOK_SECONDS_MAX)
    except TimeoutError:
        pass  # the last look is the answer
    if snapshot.settled and not is_seen:
        snapshot = await _unseen(source, scope)
    return await _reply(source, scope, snapshot, waited_seconds=loop.time() - begun)


async def _take_snapshot(source: StatusSource, scope: FileScope) -> Snapshot:
    roots = {root.root: root for root in source.watch.status()}
    candidates = [one for one in source.watch.pending() if _covers(scope, one)]
    unsent = source.watch.unsent(scope)  # of the same moment: it counts the candidates that cannot be read
    settling = {
        absolute(one.root, one.path): one
        for one in candidates
        if source.watch.row(one.root, one.file_class).wait is Waiting.WAITS
    }
    journaled = await source.read(lambda journal: _unfinished(source, journal, scope))
    failed, failed_files = await _failures(source, scope, unsent, journaled, roots)
    going = {key: n for key, n in journaled.counts.items() if key[1] not in _GIVEN_UP}
    stuck = sum(n for (root, state), n in going.items() if _is_stuck(roots.get(root), state))
    unreadable = sum(
        one.file_class is FileClass.REFUSED and roots[one.root].away is None for one in candidates
    )
    owed = _pending(journaled.rows, settling, roots, {absolute(c.root, c.path) for c in candidates})
    return Snapshot(
        counts=_by_state(journaled.counts),
        failed=failed,
        failed_files=failed_files,
        owed=owed[:NAMED_MAX],
        owed_files=max(sum(going.values()) - stuck - unreadable, len(owed)),
    )


def _pending(
    rows: Sequence[Transfer],
    settling: Mapping[str, Candidate],
    roots: Mapping[str, RootStatus],
    candidates: set[str],
) -> list[Owed]:
    """Name what may still come: rows of the journal, and candidates that it has not yet."""
    going = [
        row
        for row in rows
        if row.state not in _GIVEN_UP
        and not _is_stuck(roots.get(row.root), row.state)
        and (row.display in settling or row.display not in candidates or row.state is not State.DISCOVERED)
    ]
    named = [_named(row, settling.get(row.display)) for row in going]
    known = {row.display for row in going}
    fresh = [
        Owed(path=path, file_class=one.file_class, state="waiting", why=one.why)
        for path, one in settling.items()
        if path not in known
    ]
    return [*named, *fresh]


def _named(row: Transfer, candidate: Candidate | None) -> Owed:
    file_class = class_of(row.state)
    if candidate is not None and row.state is State.DISCOVERED:
        file_class = candidate.file_class
    why = candidate.why if candidate is not None else meaning(row)
    return Owed(path=row.display, file_class=file_class, state=row.state, why=why)


async def _failures(
    source: StatusSource,
    scope: FileScope,
    unsent: Unsent,
    journaled: Journaled,
    roots: Mapping[str, RootStatus],
) -> tuple[list[Owed], int]:
    """Return what will not be delivered without help, at most NAMED_MAX of it, and how much that is."""
    away = [
        Owed(path=root.root, file_class=None, state=root.away.kind, why=root.away.why)
        for root in roots.values()
        if root.away is not None and scope.root in {None, root.root}
    ]
    never = [
        Owed(path=absolute(root, one.path), file_class=FileClass(one.finding), state=one.finding, why=one.why)
        for root, one in unsent.examples
    ]
    never = never or await _never_itself(source, scope)
    given_up = [row for row in journaled.rows if row.state in _GIVEN_UP]
    letters = [
        Owed(
            path=row.display, file_class=class_of(row.state), state=row.state,
            why=failure(row) or meaning(row),
        )
        for row in given_up
    ]  # fmt: skip
    files = max(sum(unsent.counts.values()), len(never)) + sum(
        number for (_, state), number in journaled.counts.items() if state in _GIVEN_UP
    )
    return [*away, *never, *letters][:NAMED_MAX], files + len(away)


async def _never_itself(source: StatusSource, scope: FileScope) -> list[Owed]:
    """A file that is named itself was meant to be delivered, whatever becomes of its kind elsewhere."""
    if scope.root is None:
        return []
    found = await source.watch.explain(scope.root, scope.path)
    path = absolute(scope.root, scope.path)
    if found.finding == Finding.MISSING:
        newest = (await remembered(source, scope.root, scope.path)).newest
        if newest is None or newest.state is not State.GONE:  # unseen, or its transfer says what became of it
            return []
        return [Owed(path=path, file_class=None, state=found.finding, why=found.why)]
    if found.file_class is None or found.as_it_was:
        return []
    if source.watch.row(scope.root, found.file_class).wait is Waiting.WAITS:
        return []
    return [Owed(path=path, file_class=found.file_class, state=found.finding, why=found.why)]


async def _is_seen(source: StatusSource, scope: FileScope, snapshot: Snapshot) -> bool:
    """Tell whether anything of a scope is known, or there is nobody to ask."""
    if scope.is_all or snapshot.owed_files or snapshot.failed_files or snapshot.counts:
        return True
    if is_utf8(scope.path) and await source.read(
        lambda journal: journal.has_seen(session_id=scope.session_id, root=scope.root, prefix=scope.path)
    ):
        return True
    if scope.root is None or scope.session_id is not None:
        return False
    found = await source.watch.explain(scope.root, scope.path)
    known = await remembered(source, scope.root, scope.path)
    return found.finding != Finding.MISSING or known.newest is not None


async def _unseen(source: StatusSource, scope: FileScope) -> Snapshot:
    sessions = await source.read(lambda journal: journal.sessions(limit=SESSIONS_MAX))
    names = f"known sessions: {', '.join(sessions)}" if sessions else "no session is known yet"
    name = _name(scope)
    one = Owed(path=name, file_class=None, state="unseen", why=f"nothing of {name} was ever seen; {names}")
    return Snapshot(counts={}, failed=[one], failed_files=1, owed=[], owed_files=0)


def _unfinished(source: StatusSource, journal: JournalReader, scope: FileScope) -> Journaled:
    if not is_utf8(scope.path):
        return Journaled(counts={}, rows=())
    done = set() if is_syncing(source) else {State.UPLOADED}  # convex.sync: off: the upload is the end
    within = {"session_id": scope.session_id, "root": scope.root, "prefix": scope.path}
    found = journal.unfinished(**within)  # type: ignore[arg-type]  # the names are the parameters'
    counts = {key: number for key, number in found.items() if key[1] not in done}
    if not counts:
        return Journaled(counts={}, rows=())
    rows = journal.unfinished_transfers(**within, limit=4 * NAMED_MAX)  # type: ignore[arg-type]  # the same
    return Journaled(counts=counts, rows=[row for row in rows if row.state not in done])


async def _reply(
    source: StatusSource, scope: FileScope, snapshot: Snapshot, *, waited_seconds: float
) -> WaitReply:
    files, size_bytes = await source.read(
        lambda journal: (
            journal.delivered(
                synced=is_syncing(source), session_id=scope.session_id, root=scope.root, prefix=scope.path
            )
            if is_utf8(scope.path)
            else (0, 0)
        )
    )
    result, verdict = _verdict(snapshot)
    return WaitReply(
        result=result,
        verdict=verdict,
        waited_seconds=round(waited_seconds, 3),
        failed=list(snapshot.failed),
        failed_files=snapshot.failed_files,
        owed=list(snapshot.owed),
        owed_files=snapshot.owed_files,
        unfinished=dict(snapshot.counts),
        delivered=Delivered(files=files, bytes=size_bytes),
        summary=f"delivered: {count(files, 'file')}, {size(size_bytes)}",
    )


def _verdict(snapshot: Snapshot) -> tuple[Literal["synced", "failed", "timeout"], str]:
    if not snapshot.settled:
        failed = (
            f", and {snapshot.failed_files} will not be delivered without help"
            if snapshot.failed_files
            else ""
        )
        return "timeout", f"{count(snapshot.owed_files, 'file')} still not synced{failed}."
    if [one.state for one in snapshot.failed] == ["unseen"]:
        return "failed", f"{snapshot.failed[0].why}."
    if snapshot.failed_files:
        number = count(snapshot.failed_files, "file or folder", "files or folders")
        return "failed", f"{number} will not be delivered without help."
    return "synced", "Everything asked for is synced."


def _is_stuck(root: RootStatus | None, state: State) -> bool:
    """Tell whether a transfer waits for a root that is away."""
    if root is None or root.away is None:
        return False
    return root.away.kind == "not ours" or state in _NEED_THE_ROOT


def _covers(scope: FileScope, one: Candidate) -> bool:
    return scope.session_id in {None, one.session_id} and scope.covers(one.root, one.path)


def _by_state(counts: Mapping[tuple[str, State], int]) -> dict[State, int]:
    return {
        state: sum(n for (_, one), n in counts.items() if one is state) for state in {s for _, s in counts}
    }


def _unscanned(scope: FileScope) -> Snapshot:
    one = Owed(path=_name(scope), file_class=None, state="waiting", why=_UNSCANNED)
    return Snapshot(counts={}, failed=[], failed_files=0, owed=[one], owed_files=1)


def _name(scope: FileScope) -> str:
    if scope.root is None:
        return scope.session_id or "everything"
    return absolute(scope.root, scope.path)
