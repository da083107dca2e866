"""Announces our journal to Convex at every start, through every outage, and again when it was forgotten."""

from __future__ import annotations

import asyncio

import structlog

from sidecar.core.errors import FatalError, SidecarError
from sidecar.core.retry import Again
from sidecar.gate import RemoteGate
from sidecar.journal.journal import Journal
from sidecar.journal.writer import AsyncJournal

from .store import MetadataStore

TARGET = "register"
REFUSED_SECONDS = 30.0  # there is no dead letter for a registration: it is asked again and again
FENCED = "FENCED"
UNREGISTERED = "UNREGISTERED"
log = structlog.get_logger()


class Registrar:
    """Holds the epoch that Convex gave our journal. ``registered`` is set while there is one."""

    def __init__(
        self, *, store: MetadataStore, journal: AsyncJournal, gate: RemoteGate, sidecar_id: str
    ) -> None:
        """``gate`` is Convex's."""
        self.registered = asyncio.Event()
        self._store = store
        self._journal = journal
        self._gate = gate
        self._sidecar_id = sidecar_id
        self._epoch = 0
        self._registering = asyncio.Lock()

    @property
    def epoch(self) -> int:
        """The epoch; 0 before the first registration."""
        return self._epoch

    async def register(self) -> None:
        """Return once Convex knows our journal.

        Raises FatalError if a newer journal of this sidecar has taken over, JournalLostError if ours is an
        old copy.
        """
        while not await self._tried():
            pass

    async def forgotten(self, epoch: int) -> None:
        """Register again, once, however many calls were told that ``epoch`` is unknown."""
        async with self._registering:
            if epoch == self._epoch:
                self.registered.clear()
                await self.register()

    async def _tried(self) -> bool:
        journal_id = await self._journal.do(_journal_id)
        await self._gate.admit(TARGET)
        try:
            registration = await self._store.register(sidecar_id=self._sidecar_id, journal_id=journal_id)
        except SidecarError as error:
            if error.code == FENCED:
                raise fenced(error) from error
            await self._wait_out(error)
            return False
        self._gate.answered(TARGET)
        await self._journal.do(Journal.registered, registration)
        self._epoch = registration.epoch
        self.registered.set()
        log.info("registered", sidecar_id=self._sidecar_id, epoch=registration.epoch)
        return True

    async def _wait_out(self, error: SidecarError) -> None:
        decision = await self._gate.failed(TARGET, error, failures=0)
        match decision:
            case Again(delay_seconds=delay, spent=False):
                await asyncio.sleep(delay)
            case _:
                log.warning("registration_refused", error=str(error))
                await asyncio.sleep(REFUSED_SECONDS)


def fenced(error: SidecarError) -> FatalError:
    """Return the end of this run: a newer journal of the same sidecar has registered."""
    return FatalError(
        f"Convex has fenced this sidecar: {error.message}",
        exit_status=1,
        hint="if two sidecars share one sidecar_id, give each its own; if an old journal was restored, "
        "move it aside: what it knew is found again in S3 and Convex",
    )


def _journal_id(journal: Journal) -> str:
    return journal.journal_id
