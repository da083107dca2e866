"""Takes assets down for a backend: removed in Convex, their versions expired, then their objects owed.

What is asked is in the journal first, so that a kill in between leaves nothing half done: whoever opens the
journal next goes on. An asset that got a newer version meanwhile stays, and so does its object.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import structlog

from sidecar.core.errors import SidecarError
from sidecar.gate import RemoteGate
from sidecar.journal.stores.takedowns import AskedTakedown, Takedowns
from sidecar.journal.writer import AsyncJournal

from .backend import IDS_MAX, BackendStore, RemovalOutcome
from .query import ask

TARGET = "takedown"
log = structlog.get_logger()


class Takedown:
    """Removes assets of any sidecar's, by the role `backend`."""

    def __init__(self, *, backend: BackendStore, gate: RemoteGate, journal: AsyncJournal) -> None:
        """``gate`` is Convex's."""
        self._backend, self._gate, self._journal = backend, gate, journal

    async def take_down(self, asked: Sequence[AskedTakedown]) -> list[RemovalOutcome]:
        """Remove assets of one project; returns what became of each, in order.

        Their objects are deleted soon after. Raises SidecarError if Convex refuses: those that it did not
        remove are then kept, as if nobody had asked.
        """
        outcomes: list[RemovalOutcome] = []
        for first in range(0, len(asked), IDS_MAX):
            kept = await self._journal.do(Takedowns.ask, asked[first : first + IDS_MAX])
            outcomes += await self._carried_out(kept)
        return outcomes

    async def finish_left(self) -> None:
        """Go on with what an earlier process was asked."""
        while left := await self._journal.do(Takedowns.left, limit=IDS_MAX):
            try:
                await self._carried_out(left)
            except SidecarError as error:
                log.warning("assets_not_removed", assets=[one.slot.digest for one in left], error=str(error))

    async def _carried_out(self, asked: Sequence[AskedTakedown]) -> list[RemovalOutcome]:
        marked = set[int]()
        try:
            names = [(one.slot, one.version) for one in asked]
            remove = partial(self._backend.remove_assets, asked[0].project_id, names)
            outcomes = list(await ask(self._gate, TARGET, remove))
            gone = [
                one
                for one, outcome in zip(asked, outcomes, strict=True)
                if outcome is not RemovalOutcome.CHANGED
            ]
            marked |= await self._marked(gone)
        except SidecarError:
            await self._journal.do(Takedowns.settle, asked, marked=marked)
            raise
        await self._journal.do(Takedowns.settle, asked, marked=marked)
        return outcomes

    async def _marked(self, gone: Sequence[AskedTakedown]) -> set[int]:
        if not gone:
            return set()
        names = [(one.slot, one.version) for one in gone]
        marks = await ask(
            self._gate, TARGET, partial(self._backend.expire_versions, gone[0].project_id, names)
        )
        return {one.id for one, is_marked in zip(gone, marks, strict=True) if is_marked}
