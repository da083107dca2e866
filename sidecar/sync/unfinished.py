"""After a journal's loss: scenes that it left unfinished, and of which no file is left to be found.

Convex shows them as on their way by the word of the lost journal, which nobody would ever take back. They
are asked for once, when the first scan is over; then the quiet ends them as it ends others.
"""

from __future__ import annotations

import asyncio
from functools import partial

import structlog

from sidecar.core.errors import SidecarError
from sidecar.core.ops import ScenePage
from sidecar.gate import Gate
from sidecar.journal.journal import Journal, Topic
from sidecar.journal.writer import AsyncJournal

from .asking import ask
from .registrar import REFUSED_SECONDS, Registrar
from .store import MetadataStore

TARGET = "unfinished scenes"
PAUSE_SECONDS_MAX = 3600.0
log = structlog.get_logger()


class UnfinishedStage:
    """Takes up what the journal before this one left unfinished."""

    def __init__(
        self,
        *,
        store: MetadataStore,
        journal: AsyncJournal,
        gate: Gate,
        registrar: Registrar,
        sidecar_id: str,
    ) -> None:
        """``gate`` is Convex's."""
        self._store, self._journal, self._gate = store, journal, gate
        self._registrar, self._sidecar_id = registrar, sidecar_id
        self._work = journal.subscribe(Topic.RECALLS)

    async def run(self) -> None:
        """Ask once the first scan is over; a sidecar's first journal has none before it."""
        await self._registrar.registered.wait()
        while self._registrar.epoch > 1:
            self._work.clear()
            if await self._journal.do(Journal.misses_scenes):
                await self._take_up()
                return
            await self._work.wait()

    async def _take_up(self) -> None:
        cursor, is_last = None, False
        while not is_last:
            page = await self._page(cursor)
            cursor, is_last = page.cursor, page.cursor is None
            await self._journal.do(Journal.take_up, page.scenes, is_last=is_last)

    async def _page(self, cursor: str | None) -> ScenePage:
        """Ask until Convex answers: functions that do not know the question may be deployed anew."""
        question = partial(self._store.unfinished_scenes, sidecar_id=self._sidecar_id, cursor=cursor)
        pause = REFUSED_SECONDS
        while True:
            try:
                return await ask(self._gate, TARGET, question)
            except SidecarError as error:
                log.warning("unfinished_scenes_not_told", error=str(error), again_in_seconds=pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, PAUSE_SECONDS_MAX)
