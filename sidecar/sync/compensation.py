"""Decides which uploads are taken back because Convex refused their metadata (``on_refused: delete``).

An answer `rejected` says that this call did nothing. Two questions may be left, and who cannot have them
answered keeps the object: whether an earlier call of the same op was carried out, where its answer was lost;
and whether somebody else's asset shows an object whose key is not its transfer's alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.model import AssetType, EntityType, Slot
from sidecar.core.ops import Batch, Op, OpKind, OpOutcome, OpResult

from .backend import BackendStore
from .store import MetadataStore

# Convex will not tell these credentials, today or tomorrow. All else passes.
_NEVER_TOLD = frozenset({ErrorKind.FORBIDDEN, ErrorKind.INVALID, ErrorKind.NOT_FOUND})
log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """``taken_back``: by op id, whose objects go; ``later``: whose ops are asked about once more, and why."""

    taken_back: frozenset[str] = frozenset()
    later: frozenset[str] = frozenset()
    error: SidecarError | None = None


class Compensation:
    """Asks Convex where the refusal alone does not tell that nobody shows the object."""

    def __init__(self, *, store: MetadataStore, backend: BackendStore | None) -> None:
        """``backend`` is the same Convex, by the role `backend`; without it a key in use again is kept."""
        self._store, self._backend = store, backend

    async def judge(self, batch: Batch, results: Sequence[OpResult]) -> Verdicts:
        """Return what becomes of the objects of refused ops; those in neither set stay."""
        taken, later, outage = set[str](), set[str](), None
        for op, result in zip(batch.ops, results, strict=True):
            if op.kind is not OpKind.PUT or result.outcome is not OpOutcome.REJECTED:
                continue
            try:
                is_shown = await self._may_be_shown(batch, op)
            except SidecarError as error:
                if error.kind not in _NEVER_TOLD or error.redacted:
                    later.add(op.op_id)
                    outage = error
                    continue
                log.warning("refused_object_kept", key=_key(op), why=str(error))
                is_shown = True
            if not is_shown:
                taken.add(op.op_id)
        return Verdicts(taken_back=frozenset(taken), later=frozenset(later), error=outage)

    async def _may_be_shown(self, batch: Batch, op: Op) -> bool:
        """Tell whether some asset may show an object. Raises SidecarError where Convex does not say."""
        body, key = op.body, _key(op)
        if op.is_repeated:
            slot = Slot(
                session_id=batch.session_id,
                entity_type=EntityType(body["entityType"]),
                entity_id=body["entityId"],
                asset_type=AssetType(body["assetType"]),
                name=body["name"],
            )
            (current,) = await self._store.current_assets([slot])
            if current is not None and current.key == key:
                return True
        if body["transfer"] in key:
            return False
        if self._backend is None:
            return True
        (shown,) = await self._backend.assets_by_key(body["asset"]["bucket"], [key])
        return bool(shown.assets) or shown.others


def _key(op: Op) -> str:
    return str(op.body["asset"]["s3Key"])
