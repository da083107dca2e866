"""Shows transfers and removals, one by one and by the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sidecar.core.model import Transfer
from sidecar.core.paths import absolute
from sidecar.core.removal import Removal

from .asset_models import Asset, AssetPage, Fault
from .operating_models import MissingFile, RemovalPage
from .wording import hint_for, iso, iso_or_none


def page(rows: Sequence[Transfer], gone: Mapping[int, Removal], *, limit: int) -> AssetPage:
    """Return one page; ``rows`` holds one more than ``limit`` where there is a next one."""
    shown = rows[:limit]
    more = len(rows) > limit
    assets = [asset(row, gone.get(row.row_id)) for row in shown]
    return AssetPage(assets=assets, next=shown[-1].row_id if more else None)


def removal_page(rows: Sequence[Removal], *, limit: int) -> RemovalPage:
    """Return one page; ``rows`` holds one more than ``limit`` where there is a next one."""
    shown = rows[:limit]
    more = len(rows) > limit
    return RemovalPage(removals=[_missing(row) for row in shown], next=shown[-1].id if more else None)


def asset(row: Transfer, gone: Removal | None) -> Asset:
    """Return a transfer as the endpoint shows it; ``gone`` is its removal, where there is one."""
    slot = row.route.slot
    return Asset(
        id=row.row_id,
        transfer=row.transfer_id,
        path=row.display,
        project_id=row.route.project_id,
        session_id=slot.session_id,
        entity_type=slot.entity_type,
        entity_id=slot.entity_id,
        asset_type=slot.asset_type,
        name=slot.name,
        index=row.route.index,
        state=row.state,
        bucket=row.bucket,
        key=row.key,
        size=row.size_bytes,
        checksum=row.checksum,
        content_type=row.route.content_type,
        version=row.version,
        failures=row.failures,
        discovered_at=iso(row.discovered_ms),
        ready_at=iso_or_none(row.ready_ms),
        uploaded_at=iso_or_none(row.uploaded_ms),
        synced_at=iso_or_none(row.synced_ms),
        removal=gone.state if gone else "removed" if row.is_removed else None,
        error=_fault(row),
    )


def _missing(row: Removal) -> MissingFile:
    slot = row.transfer.route.slot
    return MissingFile(
        id=row.id,
        path=absolute(row.root, row.path),
        state=row.state,
        deletes_object=row.deletes_object,
        noticed_at=iso(row.noticed_ms),
        error=row.error,
        transfer=row.transfer.transfer_id,
        session_id=slot.session_id,
        entity_id=slot.entity_id,
        asset_type=slot.asset_type,
        version=row.transfer.version,
    )


def _fault(row: Transfer) -> Fault | None:
    if row.error_kind is None:
        return None
    message = row.error_message or ""
    has_own_hint = message.endswith(")")  # its own hint, which knows more than one for the kind
    return Fault(
        kind=row.error_kind, message=message, hint=None if has_own_hint else hint_for(row.error_kind)
    )
