"""For ``removal: delete``: has Convex mark given-up versions as expired, and then lets their objects go.

The mark comes first, so that at no moment something names an object that is not there. Convex refuses it for
what the slot or its scene's history still shows. Then the object is a clean-up task. Objects under keys
without `{transfer}` stay: a late deletion would take newer content along.
"""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.core.removal import Expiry
from sidecar.gate import RemoteGate
from sidecar.journal.db.connection import Topic
from sidecar.journal.stores.removal_decisions import RemovalDecisions
from sidecar.journal.writer import AsyncJournal

from .registration import Registrar, attempt_unless_fenced
from .store import MetadataStore

AT_ONCE = 100
TARGET = "expiry"


class ExpiryStage:
    """Marks versions whose objects are to be deleted, and owes S3 the deletion."""

    def __init__(
        self,
        *,
        store: MetadataStore,
        journal: AsyncJournal,
        gate: RemoteGate,
        registrar: Registrar,
        sidecar_id: str,
    ) -> None:
        """``gate`` is Convex's."""
        self._store, self._journal, self._gate = store, journal, gate
        self._registrar, self._sidecar_id = registrar, sidecar_id
        self._work = journal.subscribe(Topic.EXPIRIES)

    async def run(self) -> None:
        """Mark what is given up, for ever. Raises FatalError if this sidecar is fenced."""
        while True:
            self._work.clear()
            await self._registrar.registered.wait()
            given_up = await self._journal.do(RemovalDecisions.expiries, limit=AT_ONCE)
            if given_up:
                await self._mark(given_up)
            else:
                await self._work.wait()

    async def _mark(self, given_up: Sequence[Expiry]) -> None:
        versions = [(one.transfer.route.slot, one.version) for one in given_up]

        async def expire() -> Sequence[bool]:
            epoch = self._registrar.epoch  # once admitted: it may be another one by then
            return await self._store.expire(versions, sidecar_id=self._sidecar_id, epoch=epoch)

        refused = "versions_not_marked_as_expired"  # each object is kept meanwhile, so nothing is lost
        marks = await attempt_unless_fenced(self._gate, TARGET, expire, refused=refused)
        if marks is None:
            return
        marked = {one.transfer.row_id: mark for one, mark in zip(given_up, marks, strict=True)}
        await self._journal.do(RemovalDecisions.settle_expiries, marked)
