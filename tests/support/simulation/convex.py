"""Convex as one life reaches it: ``MemoryMetadata`` through calls that may be lost, doubled or cut off."""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.core.model import Slot
from sidecar.core.ops import Batch, CurrentAsset, OpResult, Registration, ScenePage, VersionPage

from .power import Power
from .s3 import done


class SimulatedConvex:
    """``MetadataStore`` for one life."""

    def __init__(self, power: Power) -> None:
        """The deployment is the outside's."""
        self._power = power

    async def probe(self) -> None:
        """``sidecar:ping``."""
        await self._power.call("convex.probe", lambda o: done(o.deployment.probe()), changes=False)

    async def register(self, *, sidecar_id: str, journal_id: str) -> Registration:
        """Announce a journal."""
        return await self._power.call(
            "convex.register",
            lambda o: done(o.deployment.register(sidecar_id=sidecar_id, journal_id=journal_id)),
            changes=True,
        )

    async def beat(self, *, sidecar_id: str, epoch: int) -> None:
        """Give a sign of life."""
        await self._power.call(
            "convex.beat", lambda o: done(o.deployment.beat(sidecar_id=sidecar_id, epoch=epoch)), changes=True
        )

    async def apply(self, batch: Batch, *, sidecar_id: str, epoch: int) -> Sequence[OpResult]:
        """Apply a batch."""
        return await self._power.call(
            "convex.apply",
            lambda o: done(o.deployment.apply(batch, sidecar_id=sidecar_id, epoch=epoch)),
            changes=True,
        )

    async def current_assets(self, slots: Sequence[Slot]) -> Sequence[CurrentAsset | None]:
        """Look slots up."""
        return await self._power.call(
            "convex.current", lambda o: done(o.deployment.current_assets(slots)), changes=False
        )

    async def versions(self, *, sidecar_id: str, cursor: str | None) -> VersionPage:
        """List our versions."""
        return await self._power.call(
            "convex.versions",
            lambda o: done(o.deployment.versions(sidecar_id=sidecar_id, cursor=cursor)),
            changes=False,
        )

    async def unfinished_scenes(self, *, sidecar_id: str, cursor: str | None) -> ScenePage:
        """List what we left unfinished."""
        return await self._power.call(
            "convex.unfinished",
            lambda o: done(o.deployment.unfinished_scenes(sidecar_id=sidecar_id, cursor=cursor)),
            changes=False,
        )

    async def expire(
        self, versions: Sequence[tuple[Slot, int]], *, sidecar_id: str, epoch: int
    ) -> Sequence[bool]:
        """Mark versions."""
        return await self._power.call(
            "convex.expire",
            lambda o: done(o.deployment.expire(versions, sidecar_id=sidecar_id, epoch=epoch)),
            changes=True,
        )
