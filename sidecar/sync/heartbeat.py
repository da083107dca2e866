"""Gives Convex a sign of life, also with nothing to tell: after 15 minutes without one a sidecar is gone.

One call every five minutes makes 288 a day. Functions that were deployed before there were heartbeats refuse
it, which is said once and stops nothing.
"""

from __future__ import annotations

import asyncio

import structlog

from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.retry import Decision
from sidecar.gate import RemoteGate
from sidecar.retrying import attempt

from .registration import FENCED, UNREGISTERED, Registrar, fenced
from .store import MetadataStore

EVERY_SECONDS = 300.0
TARGET = "heartbeat"

log = structlog.get_logger()


class HeartbeatStage:
    """Beats for ever."""

    def __init__(
        self, *, store: MetadataStore, gate: RemoteGate, registrar: Registrar, sidecar_id: str
    ) -> None:
        """``gate`` is Convex's."""
        self._store, self._gate = store, gate
        self._registrar, self._sidecar_id = registrar, sidecar_id
        self._is_refused = False

    async def run(self) -> None:
        """Registering was the first sign. Raises FatalError if this sidecar is fenced."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            await self._registrar.registered.wait()
            await self._beat()

    async def _beat(self) -> None:
        epoch = self._registrar.epoch

        async def call() -> bool:
            await self._store.beat(sidecar_id=self._sidecar_id, epoch=epoch)
            return True

        try:
            await attempt(self._gate, TARGET, call, pause=_none, raises=_lasts)
        except SidecarError as error:
            await self._refused(error, epoch)

    async def _refused(self, error: SidecarError, epoch: int) -> None:
        if error.code == FENCED:
            raise fenced(error) from error
        if error.code == UNREGISTERED:
            await self._registrar.forgotten(epoch)
        elif not self._is_refused:
            self._is_refused = True
            why = "older functions know no heartbeat: a sidecar that is idle for 15 minutes counts as gone"
            log.warning("heartbeat_refused", error=str(error), why=why)


def _none(_error: SidecarError, _decision: Decision) -> float:
    return 0.0  # the next beat comes soon enough


def _lasts(error: SidecarError) -> bool:
    return error.kind is ErrorKind.UNKNOWN or error.code in {FENCED, UNREGISTERED}
