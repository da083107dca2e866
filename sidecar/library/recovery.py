"""The platform's ``ErrorRecoveryManager``: what the daemon would do about a failure.

What goes by ``assets`` or ``storage`` is retried, waited for and given up by itself: this is for calls of
one's own.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from sidecar.core.breaker import BreakerState
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
_SEEN_FROM_OUTSIDE = frozenset({InconsistencyType.LOST_BYTES})


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
        """Tell whether a session, or a scene as ``{session_id}/{scene_id}``, has no such inconsistency.

        By the daemon's table, from what Convex shows and S3 holds: of LOST_BYTES alone. All other types are
        between a sidecar's journal and the remotes: `sidecar reconcile --apply` of that daemon mends them.
        Raises ValueError for those, SidecarError of Convex or S3.
        """
        if kind not in _SEEN_FROM_OUTSIDE:
            raise ValueError(f"{kind}: only a sidecar with its journal can tell; run `sidecar reconcile`")
        reading = self._connection.reading
        session, _, scene = entity_id.rpartition("/")
        shown = await reading.entity_assets(project_id, entity_id, EntityType.SESSION, entity_id)
        shown += await reading.entity_assets(project_id, session, EntityType.SCENE, scene)
        for first in range(0, len(shown), AT_ONCE):
            page = shown[first : first + AT_ONCE]
            if kind in await asyncio.gather(*(self._judged(one) for one in page)):
                return False
        return True

    handle_s3_upload_failure_sync = blocking(handle_s3_upload_failure)
    handle_convex_sync_failure_sync = blocking(handle_convex_sync_failure)
    reconcile_data_inconsistency_sync = blocking(reconcile_data_inconsistency)

    async def _judged(self, asset: ShownAsset) -> InconsistencyType | None:
        head = await (await self._connection.reading.objects()).head(asset.key)
        seen = KeyEvidence(
            version=VersionStatus.CURRENT,
            size_bytes=asset.size_bytes,
            object_bytes=None if head is None else head.size_bytes,
        )
        row = judge(seen)
        return None if row is None else row.type


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
