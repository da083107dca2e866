"""After a journal's loss: scenes that it left unfinished, and of which no file is left to be found.

Convex shows them as on their way by the word of the lost journal, which nobody would ever take back. They
are asked for once, when every folder was listed; then the quiet ends them as it ends others.
"""

from __future__ import annotations

import asyncio
from functools import partial

import structlog

from sidecar.core.errors import SidecarError
from sidecar.gate import Gate
from sidecar.journal.journal import Journal
from sidecar.journal.writer import AsyncJournal

from .asking import ask
from .registrar import REFUSED_SECONDS, Registrar
from .store import MetadataStore

TARGET = "unfinished scenes"
PAUSE_SECONDS_MAX = 900.0
log = structlog.get_logger()


class UnfinishedStage:
    """Takes up what the journal before this one left unfinished. ``is_asking``: an answer is waited for."""

    def __init__(
        self,
        *,
        store: MetadataStore,
        journal: AsyncJournal,
        gate: Gate,
        registrar: Registrar,
        sidecar_id: str,
    ) -> None:
        """``gate`` is Convex's. Nothing is asked before ``begin``."""
        self.is_asking = False
        self._store, self._journal, self._gate = store, journal, gate
        self._registrar, self._sidecar_id = registrar, sidecar_id
        self._begun = asyncio.Event()

    def begin(self) -> None:
        """Every folder was listed, and is in the journal: a scene that it does not know has no file left."""
        self._begun.set()

    async def run(self) -> None:
        """Ask, if there was a journal before this one, and it was not asked yet."""
        await self._begun.wait()
        await self._registrar.registered.wait()
        if self._registrar.epoch > 1 and await self._journal.do(Journal.misses_scenes):
            self.is_asking = True
            await self._ask()
            self.is_asking = False

    async def _ask(self) -> None:
        """Ask until Convex answers: functions that do not know the question may be deployed anew."""
        pause = REFUSED_SECONDS
        while True:
            try:
                await self._take_up()
            except SidecarError as error:
                log.warning("unfinished_scenes_not_told", error=str(error), again_in_seconds=pause)
            else:
                return
            self.is_asking = False
            await asyncio.sleep(pause)
            pause = min(2 * pause, PAUSE_SECONDS_MAX)

    async def _take_up(self) -> None:
        cursor, is_last = None, False
        while not is_last:
            question = partial(self._store.unfinished_scenes, sidecar_id=self._sidecar_id, cursor=cursor)
            page = await ask(self._gate, TARGET, question)
            cursor, is_last = page.cursor, page.cursor is None
            await self._journal.do(Journal.take_up, page.scenes, is_last=is_last)
