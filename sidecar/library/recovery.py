"""The platform's ``ErrorRecoveryManager``: what the daemon would do about a failure.

What goes by ``assets`` or ``storage`` is retried, waited for and given up by itself: this is for calls of
one's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from sidecar.core.batched import batched
from sidecar.core.breaker import BreakerState
from sidecar.core.checksums import CRC64NVME
from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.inconsistencies import InconsistencyType, KeyEvidence, judge
from sidecar.core.model import EntityType
from sidecar.core.ops import VersionStatus
from sidecar.core.retry import Again, Decision, GiveUp
from sidecar.gate import RemoteGate
from sidecar.sync.backend import ShownAsset

from .blocking import blocking
from .connection import Connection
from .errors import RefusedError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

AT_ONCE = 16  # HEADs
_SEEN_FROM_OUTSIDE = frozenset(
    {InconsistencyType.LOST_BYTES, InconsistencyType.MISSING_OBJECT, InconsistencyType.WRONG_SIZE}
)


class RecoveryKind(StrEnum):
    """What to do about a failure."""

    RETRY = "retry"  # after delay_seconds
    WAIT = "wait"  # the remote is in trouble: try after delay_seconds, at nobody's expense
    GIVE_UP = "give_up"  # the object's own fault, and tried often enough
    COMPENSATE = "compensate"  # Convex refused it for good, and its upload is to be undone


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryAction:
    """What to do, when (None: never again), and why, in a sentence.

    ``spent``: it costs the object an attempt.
    """

    kind: RecoveryKind
    delay_seconds: float | None
    spent: bool
    reason: str


class ErrorRecoveryManager:
    """The platform's ``recovery``. Each coroutine has a synchronous twin that ends in ``_sync``."""

    def __init__(self, connection: Connection) -> None:
        """``connection`` is an open platform."""
        self._connection = connection

    @property
    def loop(self) -> AbstractEventLoop:
        """The connection's loop. Raises ClosedError, ForkedError."""
        return self._connection.lazy_loop()

    async def handle_s3_upload_failure(
        self, error: SidecarError, *, target: str, attempts: int = 0
    ) -> RecoveryAction:
        """Decide on a failed upload of ``target``, a key; ``attempts`` were spent before this one.

        S3 is probed where that tells whose fault it is, and the breaker hears of it. Raises FatalError (78).
        """
        gate = await self._connection.reading.s3_gate()
        return _action(await gate.failed(target, error, failures=attempts), gate, error)

    async def handle_convex_sync_failure(
        self, error: SidecarError | RefusedError, *, target: str, attempts: int = 0
    ) -> RecoveryAction:
        """Decide on a failed call about ``target``, an asset's id, as ``handle_s3_upload_failure`` does.

        What Convex refused for good, as a RefusedError tells it, is to be compensated with
        ``convex.on_refused: delete``: the library has done so for what it stored, unless somebody shows the
        object; what you uploaded yourself is yours to delete.
        """
        if isinstance(error, RefusedError):
            return self._refused(error, is_refusal=error.kind not in set(ErrorKind))
        gate = await self._connection.reading.convex_gate()
        decision = await gate.failed(target, error, failures=attempts)
        if isinstance(decision, GiveUp):
            is_definite = error.kind is ErrorKind.INVALID and not (error.redacted or error.maybe_done)
            return self._refused(error, is_refusal=is_definite)
        return _action(decision, gate, error)

    def _refused(self, error: Exception, *, is_refusal: bool) -> RecoveryAction:
        takes_back = is_refusal and self._connection.settings.convex.on_refused == "delete"
        kind = RecoveryKind.COMPENSATE if takes_back else RecoveryKind.GIVE_UP
        return RecoveryAction(kind=kind, delay_seconds=None, spent=True, reason=str(error))

    async def reconcile_data_inconsistency(
        self, entity_id: str, kind: InconsistencyType, *, project_id: str
    ) -> bool:
        """Mend an inconsistency of a session, or of a scene as ``{session_id}/{scene_id}``; True: none left.

        By the daemon's table. What this program stored since it was opened is compared with its journal, and
        repaired as `sidecar reconcile --apply` does it. Each other sidecar mends its own: of what others
        stored it is told whether S3 holds what Convex shows, MISSING_OBJECT, WRONG_SIZE (or another checksum)
        and LOST_BYTES (either of both). False: only people can help, or its own sidecar.

        Raises LibraryError while it cannot be compared, SidecarError of Convex or S3.
        """
        kind = InconsistencyType(kind)
        session, _, scene = entity_id.rpartition("/")
        reading = self._connection.reading
        of_session = await reading.entity_assets(project_id, entity_id, EntityType.SESSION, entity_id)
        of_scene = await reading.entity_assets(project_id, session, EntityType.SCENE, scene)
        if not await self._connection.delivery.reconcile(kind, entity_id=entity_id):
            return False
        return kind not in _SEEN_FROM_OUTSIDE or not await self._has(kind, of_session + of_scene)

    async def _has(self, kind: InconsistencyType, shown: Sequence[ShownAsset]) -> bool:
        """Tell whether S3 does not hold what Convex shows, in this way; the first page that tells ends it."""
        for page in batched(shown, AT_ONCE):
            if any(kind in found for found in await asyncio.gather(*(self._judged(one) for one in page))):
                return True
        return False

    handle_s3_upload_failure_sync = blocking(handle_s3_upload_failure)
    handle_convex_sync_failure_sync = blocking(handle_convex_sync_failure)
    reconcile_data_inconsistency_sync = blocking(reconcile_data_inconsistency)

    async def _judged(self, asset: ShownAsset) -> frozenset[InconsistencyType]:
        """Return what an asset is found to have, as who has no journal of it can tell."""
        head = await (await self._connection.reading.objects()).head(asset.key)
        seen = KeyEvidence(
            version=VersionStatus.CURRENT,
            size_bytes=asset.size_bytes,
            object_bytes=None if head is None else head.size_bytes,
            other_checksum=head is not None and _differs(head.checksum, asset.checksum),
        )
        row = judge(seen)
        if row is None:
            return frozenset()
        is_other = InconsistencyType.WRONG_SIZE if seen.is_there else InconsistencyType.MISSING_OBJECT
        return frozenset({row.type, is_other})


def _differs(there: str | None, shown: str) -> bool:
    """Compare checksums of one kind."""
    return there is not None and shown.startswith(CRC64NVME) and there != shown


def _action(decision: Decision, gate: RemoteGate, error: SidecarError) -> RecoveryAction:
    match decision:
        case GiveUp(reason=reason):
            return RecoveryAction(
                kind=RecoveryKind.GIVE_UP, delay_seconds=None, spent=True, reason=f"{error} ({reason})"
            )
        case Again(delay_seconds=delay, spent=spent):
            is_well = gate.state is BreakerState.CLOSED and gate.answers
            kind = RecoveryKind.RETRY if spent or is_well else RecoveryKind.WAIT
            return RecoveryAction(
                kind=kind, delay_seconds=delay, spent=spent, reason=gate.reason or str(error)
            )
