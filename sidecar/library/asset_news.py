"""Tells the cache of addresses what this program replaces and removes, whoever waits for that."""

from __future__ import annotations

import asyncio

from sidecar.core.model import State, Transfer
from sidecar.journal.db.connection import Transition
from sidecar.journal.stores.takedowns import AskedTakedown

from .url_cache import AssetLookup


class AssetNews:
    """Hears of transfers and removals."""

    def __init__(self, lookup: AssetLookup | None) -> None:
        """``lookup`` is told; None: nobody remembers anything."""
        self._lookup = lookup
        self._assets: dict[str, str] = {}  # what is on its way, by its transfer
        self._telling = set[asyncio.Task[None]]()

    def expect(self, transfer: Transfer) -> None:
        """Note which asset a transfer brings that is on its way."""
        if self._lookup is not None and transfer.state in {State.READY, State.UPLOADED}:
            self._assets[transfer.transfer_id] = transfer.route.slot.digest

    def heard(self, transition: Transition) -> None:
        """Forget older versions of what arrived: at once, in the background."""
        asset = self._assets.pop(transition.transfer_id, None)
        if asset is None or transition.version is None or self._lookup is None:
            return
        task = asyncio.get_running_loop().create_task(
            self._lookup.removed(asset, version=transition.version - 1)
        )
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def removed(self, one: AskedTakedown) -> None:
        """Forget an asset that was taken down."""
        if self._lookup is not None:
            await self._lookup.removed(one.slot.digest, version=one.version)

    async def told(self) -> None:
        """Wait until the cache knows."""
        await asyncio.gather(*self._telling, return_exceptions=True)
