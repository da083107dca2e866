"""Announces our journal to Convex at every start, through every outage, and again when it was forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import structlog

from sidecar.core.errors import FatalError, SidecarError
from sidecar.core.retry import Again, Decision
from sidecar.gate import RemoteGate
from sidecar.journal.journal import Journal
from sidecar.journal.stores.batches import Batches
from sidecar.journal.writer import AsyncJournal
from sidecar.retrying import attempt

from .store import MetadataStore

TARGET = "register"
REFUSED_SECONDS = 30.0  # there is no dead letter for a registration: it is asked again and again
FENCED = "FENCED"
UNREGISTERED = "UNREGISTERED"
T = TypeVar("T")
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
        journal_id = await self._journal.run(_journal_id)
        call = partial(self._store.register, sidecar_id=self._sidecar_id, journal_id=journal_id)
        registration = await attempt_unless_fenced(self._gate, TARGET, call, refused="registration_refused")
        if registration is None:
            return False
        await self._journal.do(Batches.registered, registration)
        self._epoch = registration.epoch
        self.registered.set()
        log.info("registered", sidecar_id=self._sidecar_id, epoch=registration.epoch)
        return True


async def attempt_unless_fenced(
    gate: RemoteGate, target: str, call: Callable[[], Awaitable[T]], *, refused: str
) -> T | None:
    """Try once what has no dead letter; None after a failure that was waited out, a refusal as well.

    ``refused`` names a refusal in the log. Raises FatalError if a newer journal has taken over.
    """

    def seconds(error: SidecarError, decision: Decision) -> float:
        match decision:
            case Again(delay_seconds=delay, spent=False):
                return delay
            case _:
                log.warning(refused, error=str(error))
                return REFUSED_SECONDS

    try:
        return await attempt(gate, target, call, pause=seconds, raises=_is_fenced)
    except SidecarError as error:
        raise fenced(error) from error


def _is_fenced(error: SidecarError) -> bool:
    return error.code == FENCED


def fenced(error: SidecarError) -> FatalError:
    """Return the end of this run: a newer journal of the same sidecar has registered."""
    return FatalError(
        f"Convex has fenced this sidecar: {error.message}",
        exit_status=1,
        hint="if two sidecars share one sidecar_id, give each its own; if an old journal was restored, "
        "move it aside: what it knew is found again in S3 and Convex",
    )


def _journal_id(journal: Journal) -> str:
    return journal.db.journal_id
