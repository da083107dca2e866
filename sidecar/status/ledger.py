"""Turns the account into numbers: every file of every root by class, from the watch stage and the journal.

The numbers are exact and have no cap. Only what is open is counted; the rest of what is present is delivered
(triggers keep the number ``present``). After a question that took long, as over a huge backlog, the journal
is not asked again for ten times as long.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping

from sidecar.core.account import FileClass, Shown, class_of
from sidecar.core.model import State
from sidecar.journal.read.reader import Standing
from sidecar.watch.stage import RootStatus

from .source import StatusSource, is_syncing
from .wording import count

Ledger = Mapping[str, Mapping[FileClass, int]]  # by root
REST_FACTOR = 10  # a question that took long is not asked again for so many times as long
_OTHER_CANDIDATES = (FileClass.INCOMPLETE, FileClass.REFUSED)  # the journal has them as if they settled

_SENTENCES = {
    FileClass.HELD: ("file is held, not sent yet", "files are held, not sent yet"),
    FileClass.REFUSED: ("file is refused as it is", "files are refused as they are"),
    FileClass.MISPLACED: (
        "file is misplaced: no rule takes it there",
        "files are misplaced: no rule takes them there",
    ),
    FileClass.UNMATCHED: ("file is unmatched: no rule takes it", "files are unmatched: no rule takes them"),
    FileClass.DEAD: tuple(
        f"{letters}: `sidecar dead-letters list` names them" for letters in ("dead letter", "dead letters")
    ),
    FileClass.ABANDONED: (
        "file is abandoned: incomplete, without a writer; `sidecar wait` names it",
        "files are abandoned: incomplete, without a writer; `sidecar wait` names them",
    ),
}


class LedgerReader:
    """Asks the journal no more often than its size allows."""

    def __init__(self, source: StatusSource) -> None:
        """``source`` knows both sides."""
        self._source = source
        self._standing: Mapping[str, Standing] = {}
        self._fresh_until = 0.0
        self._one_at_a_time = asyncio.Lock()

    async def read(self) -> Ledger:
        """Return the account as it is now; of a huge backlog as it was some seconds ago."""
        async with self._one_at_a_time:
            loop = asyncio.get_running_loop()
            began = loop.time()
            if began >= self._fresh_until:
                self._standing = await self._source.read(lambda journal: journal.standing())
                took = loop.time() - began
                self._fresh_until = loop.time() + REST_FACTOR * took if took > 0.05 else 0.0  # noqa: PLR2004 - s
        return ledger(self._source, self._standing)


def ledger(source: StatusSource, standing: Mapping[str, Standing]) -> Ledger:
    """Put both sides together."""
    pending = Counter((one.root, one.file_class) for one in source.watch.pending())
    syncing = is_syncing(source)
    return {
        root.root: _of_root(root, standing.get(root.root), pending, syncing=syncing)
        for root in source.watch.status()
    }


def total(account: Ledger) -> dict[FileClass, int]:
    """Return the account over all roots."""
    return {name: sum(files[name] for files in account.values()) for name in FileClass}


def attention(source: StatusSource, account: Ledger) -> list[str]:
    """Return a sentence for each class of files that will not be delivered without help."""
    sentences = []
    for name in FileClass:
        numbers = {
            root: files[name]
            for root, files in account.items()
            if files[name] and source.watch.row(root, name).status is Shown.ATTENTION
        }
        if numbers:
            sentences.append(_sentence(source, name, numbers))
    return sentences


def _sentence(source: StatusSource, name: FileClass, numbers: Mapping[str, int]) -> str:
    example = next(
        (
            f" ({root.root.rstrip('/')}/{one.path}: {one.why})"
            for root in source.watch.status()
            if root.root in numbers
            for one in root.examples
            if FileClass(one.finding) is name
        ),
        "",
    )
    one, many = _SENTENCES[name]
    return f"{count(sum(numbers.values()), one, many)}{example}"


def _of_root(
    root: RootStatus,
    standing: Standing | None,
    pending: Mapping[tuple[str, FileClass], int],
    *,
    syncing: bool,
) -> dict[FileClass, int]:
    files = dict.fromkeys(FileClass, 0) | dict(root.counts)
    if standing is None:
        return files
    for state, number in standing.unfinished.items():
        if (name := class_of(state, syncing=syncing)) is not None:
            files[name] += number
    incomplete, refused = (pending.get((root.root, name), 0) for name in _OTHER_CANDIDATES)
    files[FileClass.INCOMPLETE] += incomplete  # root.counts has those that are refused
    files[FileClass.SETTLING] = max(0, files[FileClass.SETTLING] - incomplete - refused)
    still_open = sum(
        number
        for state, number in standing.unfinished_present.items()
        if syncing or state is not State.UPLOADED
    )
    files[FileClass.DELIVERED] = max(0, standing.present - still_open - root.known)
    return files
