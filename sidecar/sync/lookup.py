"""After a journal's loss: Convex is asked what it shows before anything is sent again.

Transfers that a new journal's first scan found are held (``journal/stores/recovery.py``) until this stage has
asked `sidecar:currentAssets` for their slots, many at once. A Convex that is away is waited for ten
seconds, once; a Convex that is away or does not tell holds nothing up. Then S3 alone is searched, which
costs one listing for each folder of keys. A sidecar whose id was made just now had no earlier journal and
searches for nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import structlog

from sidecar.core.errors import SidecarError
from sidecar.core.model import KnownContent
from sidecar.core.ops import CurrentAsset
from sidecar.gate import RemoteGate
from sidecar.journal.db.connection import Topic
from sidecar.journal.stores.lookups import AwaitedLookup, Lookups
from sidecar.journal.stores.recovery import Recovery
from sidecar.journal.writer import AsyncJournal

from .query import ask
from .registration import Registrar
from .store import MetadataStore

SLOTS_AT_ONCE = 250  # half of what the function takes: each is a question to its database
WAIT_SECONDS = 10.0  # an outage costs no more than this once,
REPEATED_WAIT_SECONDS = 0.1  # and then this for each look-up, until Convex answers again
TARGET = "recall"

log = structlog.get_logger()


class LookupStage:
    """Lets held transfers go, each with where its content may be already."""

    def __init__(
        self,
        *,
        journal: AsyncJournal,
        store: MetadataStore | None = None,
        gate: RemoteGate | None = None,
        registrar: Registrar | None = None,
        wait_seconds: float = WAIT_SECONDS,
        is_first: bool | None = None,
    ) -> None:
        """``gate`` is Convex's. Without a store (``convex.sync: off``) only S3 is searched.

        ``is_first``: whether this sidecar had no journal before; None: Convex knows, but for one that it was
        never told of.
        """
        self._journal = journal
        self._store, self._gate, self._registrar = store, gate, registrar
        self._is_first = is_first
        self._work = journal.subscribe(Topic.LOOKUPS)
        self._wait_seconds = self._left_seconds = wait_seconds

    async def run(self) -> None:
        """Look up what is held, for ever; nothing is once the first scan is over."""
        while True:
            self._work.clear()
            transfers = await self._journal.do(Lookups.awaiting_lookup, limit=SLOTS_AT_ONCE)
            if transfers:
                found, asked = await self._look_up(transfers)
                await self._journal.do(Lookups.end_lookups, found, asked=asked)
            else:
                await self._work.wait()

    async def end(self) -> None:
        """Note that the first scan is over: from here on files are new, and nothing is held."""
        after: tuple[str, str] | None = ("", "")
        while after is not None:
            after = await self._journal.do(Recovery.end_recovery, after=after)

    async def _look_up(
        self, transfers: Sequence[AwaitedLookup]
    ) -> tuple[dict[int, KnownContent | None], bool]:
        """Return where to look for each, and whether Convex had a say in it."""
        assets: Sequence[CurrentAsset | None] | None = None
        try:
            async with asyncio.timeout(self._left_seconds):
                assets = await self._ask_until_answered(transfers)
            self._left_seconds = self._wait_seconds
        except TimeoutError:
            self._left_seconds = min(self._left_seconds, REPEATED_WAIT_SECONDS)
            log.warning(
                "convex_not_asked", held=len(transfers), why="it does not answer; S3 is searched instead"
            )
        search = None if self._is_first_journal else KnownContent()
        pairs = zip(transfers, assets or [None] * len(transfers), strict=True)
        found = {transfer.row_id: _matching(transfer, asset) or search for transfer, asset in pairs}
        return found, assets is not None

    async def _ask_until_answered(
        self, transfers: Sequence[AwaitedLookup]
    ) -> Sequence[CurrentAsset | None] | None:
        """Ask until Convex answers, or refuses for good: then nothing is known."""
        if self._store is None or self._gate is None or self._registrar is None:
            return None
        await self._registrar.registered.wait()
        slots = [transfer.slot for transfer in transfers]
        try:
            return await ask(self._gate, TARGET, partial(self._store.current_assets, slots))
        except SidecarError as error:
            log.warning("convex_does_not_tell", error=str(error))
            return None

    @property
    def _is_first_journal(self) -> bool:
        """Whether this sidecar never had another journal: S3 then holds nothing of it."""
        if self._is_first is not None:
            return self._is_first
        return self._registrar is not None and self._registrar.epoch == 1


def _matching(transfer: AwaitedLookup, asset: CurrentAsset | None) -> KnownContent | None:
    """Return where the slot's content is, if it is this transfer's."""
    if asset is None or asset.bucket != transfer.bucket:
        return None
    if (asset.checksum, asset.size_bytes) != (transfer.checksum, transfer.size_bytes):
        return None
    return KnownContent(key=asset.key, transfer=asset.transfer_id, version=asset.version)
