"""After a journal's loss: finds scenes that it left unfinished and of which no file is left.

Convex shows such scenes as on their way, since the lost journal said so, and would show them so for ever.
Once every folder was listed this stage asks `sidecar:unfinishedScenes` for the scenes of which this sidecar
said that something is owed, and the journal takes them up as it would have known them
(``Recovery.recover_scenes``). Then the quiet ends them as it ends others, or a drain does, which waits for
the answer. ``meta.unfinished`` stands until the last page is in the journal. A failed scene stays failed. A
scene of a folder that is missing waits for that folder. Functions that were deployed before this question
existed are asked again, ever more seldom, and stop nothing.
"""

from __future__ import annotations

import asyncio
from functools import partial

import structlog

from sidecar.core.errors import SidecarError
from sidecar.gate import RemoteGate
from sidecar.journal.stores.recovery import Recovery
from sidecar.journal.writer import AsyncJournal

from .query import ask
from .registration import REFUSED_SECONDS, Registrar
from .store import MetadataStore

TARGET = "unfinished scenes"
PAUSE_SECONDS_MAX = 900.0
log = structlog.get_logger()


class SceneRecoveryStage:
    """Takes up what the journal before this one left unfinished. ``is_asking``: an answer is waited for."""

    def __init__(
        self,
        *,
        store: MetadataStore,
        journal: AsyncJournal,
        gate: RemoteGate,
        registrar: Registrar,
        sidecar_id: str,
    ) -> None:
        """``gate`` is Convex's. Nothing is asked before ``begin``."""
        self.is_asking = False
        self._store, self._journal, self._gate = store, journal, gate
        self._registrar, self._sidecar_id = registrar, sidecar_id
        self._begun = asyncio.Event()

    def begin(self) -> None:
        """Begin: every folder is journaled, so a scene that the journal does not know has no file left."""
        self._begun.set()

    async def run(self) -> None:
        """Ask, if there was a journal before this one, and it was not asked yet."""
        await self._begun.wait()
        await self._registrar.registered.wait()
        if self._registrar.epoch > 1 and await self._journal.do(Recovery.has_scenes_to_recover):
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
            await self._journal.do(Recovery.recover_scenes, page.scenes, is_last=is_last)
