"""The copies of files that a program handed over: removed once they are delivered, or nobody's.

A dead letter's copy stays for whoever sends it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from sidecar.core.model import State
from sidecar.journal.db.connection import Transition

from .library_journals import is_quarantined, spool_of

_OVER = frozenset({State.SYNCED, State.SUPERSEDED, State.GONE})


def discard(spool: Path, path: str) -> None:
    """Remove a spooled file, by its path below the spool, with its folder. Blocking."""
    with suppress(OSError):
        (spool / path).unlink(missing_ok=True)
        (spool / path).parent.rmdir()


class Spool:
    """The spool of one journal, which this process has open."""

    def __init__(self, journal: Path, *, syncing: bool) -> None:
        """Without ``syncing`` what is in S3 is delivered."""
        self._journal, self._folder = journal, spool_of(journal)
        self._over = _OVER if syncing else _OVER | {State.UPLOADED}

    def heard(self, transition: Transition) -> None:
        """Remove what was spooled and is delivered, or nobody wants any more."""
        begin = f"{self._folder}/"
        is_over = transition.state is None or transition.state in self._over
        if is_over and transition.path.startswith(begin):
            path = transition.path.removeprefix(begin)
            asyncio.get_running_loop().run_in_executor(None, discard, self._folder, path)

    def sweep(self, wanted: Collection[str]) -> None:
        """Remove all but what is ``wanted``, by path below the spool, before anybody adds to it. Blocking.

        Beside a journal that was moved aside all stays: only that one knew what was wanted.
        """
        if is_quarantined(self._journal) or not self._folder.is_dir():
            return
        for folder in self._folder.iterdir():
            for path in folder.iterdir() if folder.is_dir() else ():
                if (name := f"{folder.name}/{path.name}") not in wanted:
                    discard(self._folder, name)
            with suppress(OSError):  # it holds what is wanted
                folder.rmdir()
