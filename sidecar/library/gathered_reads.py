"""Reads rows for all who ask in one turn of the event loop by one call of the journal.

A batch of Convex ends a hundred transfers at once, and each is waited for by somebody who asks what it came
to: a call and a statement for each would cost more than the reading.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict

from sidecar.core.model import Transfer
from sidecar.journal.stores.transfers import Transfers
from sidecar.journal.writer import AsyncJournal


class GatheredReads:
    """Of one journal."""

    def __init__(self, journal: AsyncJournal) -> None:
        """Read from it."""
        self._journal = journal
        self._asked: dict[int, list[asyncio.Future[Transfer]]] = defaultdict(list)
        self._reading = set[asyncio.Task[None]]()

    async def one(self, row_id: int) -> Transfer:
        """Return a transfer. Raises LookupError where there is none, and as the journal does."""
        loop = asyncio.get_running_loop()
        if not self._asked:
            loop.call_soon(self._begin)
        told: asyncio.Future[Transfer] = loop.create_future()
        self._asked[row_id].append(told)
        return await told

    def _begin(self) -> None:
        asked, self._asked = self._asked, defaultdict(list)
        reading = asyncio.create_task(self._read(asked))
        self._reading.add(reading)
        reading.add_done_callback(self._reading.discard)

    async def _read(self, asked: dict[int, list[asyncio.Future[Transfer]]]) -> None:
        found, failure = dict[int, Transfer](), None
        try:
            found = await self._journal.do(Transfers.some, list(asked))
        except Exception as error:  # noqa: BLE001 - told to all who asked
            failure = error
        for row_id, waiting in asked.items():
            for told in waiting:
                if told.done():
                    continue
                if (transfer := found.get(row_id)) is not None:
                    told.set_result(transfer)
                else:
                    told.set_exception(failure or LookupError(f"there is no transfer {row_id}"))
