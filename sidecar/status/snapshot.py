"""Looks at what is missing of a scope at one moment, for ``wait``.

What each class of file does to the answer is the account's table (core/account.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sidecar.core.account import NAMED_MAX, FileClass, FileScope, Waiting, class_of
from sidecar.core.findings import Finding
from sidecar.core.model import State, Transfer
from sidecar.core.paths import absolute
from sidecar.journal.read.reader import JournalReader
from sidecar.watch.complete.schedule import Candidate
from sidecar.watch.root import RootAway
from sidecar.watch.unsent import Unsent

from .asset_models import Owed
from .journal_history import remembered
from .query import is_utf8
from .source import StatusSource, is_syncing
from .unfinished import (
    GIVEN_UP,
    count_unfinished,
    is_stuck,
    refused_now,
    undelivered_counts,
    undelivered_rows,
)
from .wording import failure, meaning


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


async def take_snapshot(source: StatusSource, scope: FileScope) -> Snapshot:
    """Look once."""
    watch, away = source.watch, source.watch.away()
    candidates = [one for one in watch.pending() if _covers(scope, one)]
    unsent = watch.unsent(scope)  # of the same moment: it counts the candidates that cannot be read
    settling = {
        absolute(one.root, one.path): one
        for one in candidates
        if watch.row(one.root, one.file_class).wait is Waiting.WAITS
    }
    journaled = await source.read(lambda journal: _unfinished(source, journal, scope))
    failed, failed_files = await _failures(source, scope, unsent, journaled, away)
    owed = _pending(source, journaled.rows, settling, away, {absolute(c.root, c.path) for c in candidates})
    coming = count_unfinished(journaled.counts, refused_now(candidates), away).coming
    return Snapshot(
        counts=_by_state(journaled.counts),
        failed=failed,
        failed_files=failed_files,
        owed=owed[:NAMED_MAX],
        owed_files=max(coming, len(owed)),
    )


def _pending(
    source: StatusSource,
    rows: Sequence[Transfer],
    settling: Mapping[str, Candidate],
    away: Mapping[str, RootAway],
    candidates: set[str],
) -> list[Owed]:
    """Name what may still come: rows of the journal, and candidates that it has not yet."""
    going = [
        row
        for row in rows
        if row.state not in GIVEN_UP
        and not is_stuck(away.get(row.root), row.state)
        and (row.display in settling or row.display not in candidates or row.state is not State.DISCOVERED)
    ]
    named = [_named(source, row, settling.get(row.display)) for row in going]
    known = {row.display for row in going}
    fresh = [
        Owed(path=path, file_class=one.file_class, state="waiting", why=one.why)
        for path, one in settling.items()
        if path not in known
    ]
    return [*named, *fresh]


def _named(source: StatusSource, row: Transfer, candidate: Candidate | None) -> Owed:
    file_class = class_of(row.state)
    if candidate is not None and row.state is State.DISCOVERED:
        file_class = candidate.file_class
    why = candidate.why if candidate is not None else meaning(row)
    if row.state is State.UPLOADED:
        why = source.waits_for(row.route.slot.session_id, row.route.scene_id) or why
    return Owed(path=row.display, file_class=file_class, state=row.state, why=why)


async def _failures(
    source: StatusSource,
    scope: FileScope,
    unsent: Unsent,
    journaled: Journaled,
    away: Mapping[str, RootAway],
) -> tuple[list[Owed], int]:
    """Return what will not be delivered without help, at most NAMED_MAX of it, and how much that is."""
    roots = [
        Owed(path=root, file_class=None, state=why.kind, why=why.why)
        for root, why in away.items()
        if scope.root in {None, root}
    ]
    never = [
        Owed(path=absolute(root, one.path), file_class=FileClass(one.finding), state=one.finding, why=one.why)
        for root, one in unsent.examples
    ]
    never = never or await _never_itself(source, scope)
    given_up = [row for row in journaled.rows if row.state in GIVEN_UP]
    letters = [
        Owed(
            path=row.display, file_class=class_of(row.state), state=row.state,
            why=failure(row) or meaning(row),
        )
        for row in given_up
    ]  # fmt: skip
    files = max(sum(unsent.counts.values()), len(never)) + sum(
        number for (_, state), number in journaled.counts.items() if state in GIVEN_UP
    )
    return [*roots, *never, *letters][:NAMED_MAX], files + len(roots)


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


def _unfinished(source: StatusSource, journal: JournalReader, scope: FileScope) -> Journaled:
    if not is_utf8(scope.path):
        return Journaled(counts={}, rows=())
    within = {"session_id": scope.session_id, "root": scope.root, "prefix": scope.path}
    found = journal.unfinished(**within)  # type: ignore[arg-type]  # the names are the parameters'
    if not (counts := undelivered_counts(found, syncing=is_syncing(source))):
        return Journaled(counts={}, rows=())
    rows = journal.unfinished_transfers(**within, limit=4 * NAMED_MAX)  # type: ignore[arg-type]  # the same
    return Journaled(counts=counts, rows=undelivered_rows(rows, syncing=is_syncing(source)))


def _covers(scope: FileScope, one: Candidate) -> bool:
    return scope.session_id in {None, one.session_id} and scope.covers(one.root, one.path)


def _by_state(counts: Mapping[tuple[str, State], int]) -> dict[State, int]:
    return {
        state: sum(n for (_, one), n in counts.items() if one is state) for state in {s for _, s in counts}
    }
