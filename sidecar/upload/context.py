"""What every transfer is made with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sidecar.core.errors import SidecarError
from sidecar.core.model import StoredObject, Transfer
from sidecar.journal.writer import AsyncJournal
from sidecar.upload.cleanup.earlier_objects import EarlierObjects
from sidecar.upload.cleanup.rechecks import Rechecks

from .checksum_negotiation import ChecksumNegotiation
from .limits import MemoryBudget
from .metadata import is_of
from .store import ObjectStore


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadContext:
    """``url`` gives an object's public address; ``checking`` says under which checksum it is sent.

    ``rechecks`` hears of requests that were given up and may be carried out yet; ``earlier_objects`` are for
    recalls.
    """

    store: ObjectStore
    journal: AsyncJournal
    budget: MemoryBudget
    part_bytes: int
    sidecar_id: str
    url: Callable[[str], str]
    rechecks: Rechecks
    earlier_objects: EarlierObjects
    checking: ChecksumNegotiation = field(default_factory=ChecksumNegotiation)

    async def settled(self, transfer: Transfer) -> StoredObject | None:
        """Return the object if S3 holds this very transfer, whole, whatever the answers said. Raises."""
        head = await self.store.head(transfer.key)
        ours = head is not None and is_of(head, transfer)
        return head.stored if head is not None and ours else None

    async def settled_or_none(self, transfer: Transfer) -> StoredObject | None:
        """Do the same after a failure; if S3 cannot even be asked, that failure is the one to report."""
        try:
            return await self.settled(transfer)
        except SidecarError:
            return None
