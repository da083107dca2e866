"""The platform's ``ConvexS3Sync``: tells Convex of objects that are in S3 already, whoever put them there.

S3 says what they are. Where it has no checksum of the kind that Convex keeps, the object is read once. They
are no sidecar's: nothing here ever deletes them for their age.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from awscrt import checksums

from sidecar.core.checksums import to_text
from sidecar.core.errors import SidecarError
from sidecar.core.model import AssetType, EntityType
from sidecar.sync.backend import RemovalOutcome
from sidecar.upload.store import ObjectHead

from .blocking import blocking
from .errors import LibraryError, NotFoundError
from .models import AssetReference, AssetSyncRequest, BatchSyncResponse, S3Asset
from .references import asked_takedown, shown_reference
from .storage import S3Storage, kind_of

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop


FEW, SHARE = 10, 0.1  # so many may be gone at once without a question


class ConvexS3Sync:
    """The platform's ``convex``. Each coroutine has a synchronous twin that ends in ``_sync``."""

    def __init__(self, convex_client: Any, s3_storage: S3Storage) -> None:
        """``convex_client`` may be None, or the `convex` package's client of the same deployment.

        Calls go by ``convex.url`` and ``convex.auth``, which know of roles. Raises ValueError for a client of
        another deployment.
        """
        address = getattr(convex_client, "address", None)
        known = str(s3_storage.connection.settings.convex.url or "").rstrip("/")
        if address is not None and str(address).rstrip("/") != known:
            raise ValueError(f"convex_client is of {address}, and convex.url is {known}")
        self.storage = s3_storage

    @property
    def loop(self) -> AbstractEventLoop:
        """The storage's loop."""
        return self.storage.loop

    async def sync_scene_assets(
        self,
        scene_id: str,
        s3_assets: Iterable[S3Asset | str],
        metadata: Mapping[str, str] | None = None,
        *,
        session_id: str | None = None,
    ) -> BatchSyncResponse:
        """Tell Convex of objects of a scene, by their keys; extensions say of what type they are.

        ``session_id`` is required unless ``entities.scene_id`` makes ids that name the session.
        """
        return await self.batch_sync_assets(
            _requests(s3_assets, metadata, entity_id=scene_id, of=EntityType.SCENE, session_id=session_id)
        )

    async def sync_session_assets(
        self,
        session_id: str,
        s3_assets: Iterable[S3Asset | str],
        metadata: Mapping[str, str] | None = None,
    ) -> BatchSyncResponse:
        """Tell Convex of objects of a session, by their keys; extensions say of what type they are."""
        return await self.batch_sync_assets(
            _requests(s3_assets, metadata, entity_id=session_id, of=EntityType.SESSION)
        )

    async def batch_sync_assets(self, requests: Sequence[AssetSyncRequest]) -> BatchSyncResponse:
        """Tell Convex of objects; one that cannot be told fails alone, with a sentence.

        The same object again makes no version. Raises FatalError for settings that cannot work.
        """
        synced, failed = list[AssetReference](), dict[str, str]()
        for request in requests:
            try:
                synced.append(await self._sync(request))
            except (LibraryError, SidecarError, ValueError) as error:
                failed[request.s3_key] = str(error)
        return BatchSyncResponse(synced=synced, failed=failed)

    async def cleanup_orphaned_assets(
        self, project_id: str, *, are_confirmed: bool = False
    ) -> list[AssetReference]:
        """Remove from Convex the assets of a project whose objects S3 no longer has; returns which.

        More than 10, and more than a tenth of all, are taken for a mistake about the bucket, unless they
        ``are_confirmed``. It costs a HEAD for each asset, and the role `backend` is needed. Raises
        LibraryError, SidecarError.
        """
        connection = self.storage.connection
        objects, bucket = await connection.reading.objects(), connection.settings.s3.bucket
        shown = [one async for one in connection.reading.project_assets(project_id) if one.bucket == bucket]
        gone = [one for one in shown if await objects.head(one.key) is None]
        if len(gone) > max(FEW, len(shown) * SHARE) and not are_confirmed:
            raise LibraryError(
                f"{len(gone)} of {len(shown)} assets of {project_id} have no object in bucket {bucket}:"
                " are_confirmed=True removes them"
            )
        if not gone:
            return []
        outcomes = await connection.delivery.take_down([asked_takedown(one) for one in gone])
        pairs = zip(gone, outcomes, strict=True)
        return [shown_reference(one) for one, found in pairs if found.outcome is RemovalOutcome.REMOVED]

    cleanup_orphaned_assets_sync = blocking(cleanup_orphaned_assets)
    sync_scene_assets_sync = blocking(sync_scene_assets)
    sync_session_assets_sync = blocking(sync_session_assets)
    batch_sync_assets_sync = blocking(batch_sync_assets)

    async def _sync(self, request: AssetSyncRequest) -> AssetReference:
        objects = await self.storage.connection.reading.objects()
        head = await objects.head(request.s3_key)
        if head is None:
            raise NotFoundError(f"the bucket has no object {request.s3_key}")
        checksum = head.checksum or await self._read(request.s3_key, head)
        return await self.storage.assets.announce(request, head, checksum=checksum)

    async def _read(self, key: str, head: ObjectHead) -> str:
        crc = size = 0
        async for piece in (await self.storage.connection.reading.objects()).read(key, etag=head.stored.etag):
            crc, size = checksums.crc64nvme(piece, crc), size + len(piece)
        if size != head.size_bytes:
            raise LibraryError(f"{key} came with {size} bytes, and S3 says {head.size_bytes}: try again")
        return to_text(crc)


def _requests(
    assets: Iterable[S3Asset | str],
    metadata: Mapping[str, str] | None,
    *,
    entity_id: str,
    of: EntityType,
    session_id: str | None = None,
) -> list[AssetSyncRequest]:
    keys = [one.s3_key if isinstance(one, S3Asset) else one for one in assets]
    return [
        AssetSyncRequest(
            entity_id=entity_id,
            entity_type=of,
            asset_type=_kind(key, of),
            s3_key=key,
            session_id=session_id,
            metadata=metadata or {},
        )
        for key in keys
    ]


def _kind(key: str, of: EntityType) -> AssetType:
    return kind_of(key.rpartition("/")[2], of)
