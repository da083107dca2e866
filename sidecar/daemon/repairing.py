"""Journals the repairs of what a comparison found, each checked against what is true by then."""

from __future__ import annotations

from collections.abc import Callable

from sidecar.core.inconsistencies import InconsistencyType, Repair, RepairRow
from sidecar.core.model import Transfer
from sidecar.journal.read.comparison import Seen
from sidecar.journal.stores.cleanup import Cleanup
from sidecar.journal.stores.repairs import Repairs
from sidecar.journal.stores.transfers import Transfers
from sidecar.journal.writer import AsyncJournal
from sidecar.sync.stage import SyncStage
from sidecar.sync.store import MetadataStore


class Repairer:
    """Leaves the work to the stages, but for the mark of a version as expired, which comes before it."""

    def __init__(
        self,
        *,
        journal: AsyncJournal,
        metadata: MetadataStore,
        sync: SyncStage,
        sidecar_id: str,
        url: Callable[[str], str],
    ) -> None:
        """``sync`` knows the epoch."""
        self._journal, self._metadata, self._sync = journal, metadata, sync
        self._sidecar_id, self._url = sidecar_id, url

    async def confirmed(self, batch: list[tuple[Seen, RepairRow]]) -> list[tuple[Seen, RepairRow]]:
        """Drop what another sidecar's version explains: a slot that holds something is not missing."""
        missing = [seen for seen, row in batch if row.type is InconsistencyType.MISSING_METADATA]
        transfers = [await self._transfer(seen) for seen in missing]
        slots = [transfer.route.slot for transfer in transfers if transfer is not None]
        if not slots:
            return [pair for pair in batch if pair[0] not in missing]
        current = dict(zip(slots, await self._metadata.current_assets(slots), strict=True))
        empty = {
            seen.key
            for seen, transfer in zip(missing, transfers, strict=True)
            if transfer is not None and current[transfer.route.slot] is None
        }
        return [
            (s, r) for s, r in batch if r.type is not InconsistencyType.MISSING_METADATA or s.key in empty
        ]

    async def _transfer(self, seen: Seen) -> Transfer | None:
        return None if seen.row is None else await self._journal.do(Transfers.find, seen.row)

    async def repair(self, seen: Seen, row: RepairRow) -> bool:
        """Journal a repair; False where it is not wanted any more, or where only people can help."""
        match row.repair:
            case Repair.ENQUEUE if seen.row is not None:
                return await self._journal.do(Repairs.enqueue_again, seen.row, url=self._url(seen.key))
            case Repair.UPLOAD if seen.row is not None:
                return await self._journal.do(Repairs.upload_again, seen.row)
            case Repair.EXPIRE:
                return await self._expire(seen)
            case Repair.DELETE | Repair.ABORT if seen.transfer_id is not None:
                await self._journal.do(
                    Cleanup.add_key_cleanup, seen.key, transfer_id=seen.transfer_id, upload_id=seen.upload_id
                )
                return True
            case _:
                return False

    async def _expire(self, seen: Seen) -> bool:
        """Have Convex mark the versions first: only then does nothing name their objects."""
        if seen.slot is None or seen.version is None or seen.transfer_id is None:
            return False
        names = [(seen.slot, seen.version)]
        marked = await self._metadata.expire(names, sidecar_id=self._sidecar_id, epoch=self._sync.epoch)
        if marked != [True]:
            return False
        if seen.evidence.is_there:
            await self._journal.do(Cleanup.add_key_cleanup, seen.key, transfer_id=seen.transfer_id)
        return True
