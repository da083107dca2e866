"""The port to Convex. One contract suite runs over the fake and over the real functions.

Every method raises ``SidecarError`` and nothing else (but CancelledError); no method retries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sidecar.core.model import Slot
from sidecar.core.ops import Batch, CurrentAsset, OpResult, Registration, ScenePage, VersionPage
from sidecar.core.ports import effect, question


class MetadataStore(Protocol):
    """Convex as this sidecar needs it."""

    @question
    async def probe(self) -> None:
        """``sidecar:ping``: return if the functions answer to our credentials; raises SidecarError."""

    @effect
    async def register(self, *, sidecar_id: str, journal_id: str) -> Registration:
        """Announce this journal; the server assigns its epoch. Idempotent for one journal id."""

    @effect
    async def beat(self, *, sidecar_id: str, epoch: int) -> None:
        """Give a sign of life. Fenced like ``apply``; UNKNOWN from functions that know no heartbeat."""

    @effect
    async def apply(self, batch: Batch, *, sidecar_id: str, epoch: int) -> Sequence[OpResult]:
        """Apply a batch in one transaction, return one result per op, in order.

        Idempotent by opId. Raises for auth, size, outages and bugs; ``maybe_done`` says that the
        transaction may have committed. CONFLICT with code ``FENCED``: a newer journal of the same
        sidecar has taken over, and this one must stop.
        """

    @question
    async def current_assets(self, slots: Sequence[Slot]) -> Sequence[CurrentAsset | None]:
        """Return what each of at most 500 slots holds now, in order; None for an empty one.

        FORBIDDEN if one of them belongs to a project that is not ours.
        """

    @question
    async def versions(self, *, sidecar_id: str, cursor: str | None) -> VersionPage:
        """Return the next versions that this sidecar wrote; None begins. Others' are not shown."""

    @question
    async def unfinished_scenes(self, *, sidecar_id: str, cursor: str | None) -> ScenePage:
        """Return next scenes of which this sidecar said that something is owed, and no error; None begins.

        UNKNOWN from functions that were deployed before there was this question.
        """

    @effect
    async def expire(
        self, versions: Sequence[tuple[Slot, int]], *, sidecar_id: str, epoch: int
    ) -> Sequence[bool]:
        """Mark at most 100 versions as expired, so that their objects may go; tell which are.

        Idempotent. A version that its slot or its scene's history still shows is never marked. Fenced
        like ``apply``.
        """
