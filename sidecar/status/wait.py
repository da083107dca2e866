"""Answers /wait: whether everything asked for is delivered, from a scan begun after the request.

What each class of file does to the answer is the account's table (core/account.py).
"""

from __future__ import annotations

import asyncio
from typing import Literal

from sidecar.core.account import FileScope
from sidecar.core.findings import Finding
from sidecar.core.paths import absolute

from .asset_models import Delivered, Owed, WaitReply
from .journal_history import remembered
from .locate import located
from .query import is_utf8
from .snapshot import Snapshot, take_snapshot
from .source import StatusSource, is_syncing
from .wording import count, size

LOOK_SECONDS = 0.05  # the first pause between two looks; it doubles up to the next
LOOK_SECONDS_MAX = 0.5
SESSIONS_MAX = 20
_UNSCANNED = "the scan that would answer was not done in time"


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
                snapshot = await take_snapshot(source, scope)
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


def _unscanned(scope: FileScope) -> Snapshot:
    one = Owed(path=_name(scope), file_class=None, state="waiting", why=_UNSCANNED)
    return Snapshot(counts={}, failed=[], failed_files=0, owed=[one], owed_files=1)


def _name(scope: FileScope) -> str:
    if scope.root is None:
        return scope.session_id or "everything"
    return absolute(scope.root, scope.path)
