"""The platform's ``ConvexS3Sync``: tells Convex of objects that are in S3 already, whoever put them there.

S3 says what they are. Where it has no checksum of the kind that Convex keeps, the object is read once. They
are no sidecar's: nothing here ever deletes them for their age.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from awscrt import checksums

from sidecar.core.asset_arguments import require_text
from sidecar.core.checksums import UNVERIFIED, to_text
from sidecar.core.errors import SidecarError
from sidecar.core.model import EntityType
from sidecar.sync.backend import RemovalOutcome, ShownObject
from sidecar.upload.store import ObjectHead

from .blocking import blocking
from .errors import LibraryError, NotFoundError
from .kinds import kind_of
from .models import AssetReference, AssetSyncRequest, BatchSyncResponse, S3Asset
from .references import asked_takedown, shown_reference
from .storage import S3Storage, listed

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop


QUOTE = '"'
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
        unverified: bool = False,
    ) -> BatchSyncResponse:
        """Tell Convex of objects of a scene, by their keys; extensions say of what type they are.

        ``session_id`` is required unless ``entities.scene_id`` makes ids that name the session; the rest is
        as ``batch_sync_assets`` says.
        """
        return await self._sync_all(
            s3_assets,
            metadata,
            entity_id=scene_id,
            of=EntityType.SCENE,
            session_id=session_id,
            unverified=unverified,
        )

    async def sync_session_assets(
        self,
        session_id: str,
        s3_assets: Iterable[S3Asset | str],
        metadata: Mapping[str, str] | None = None,
        *,
        unverified: bool = False,
    ) -> BatchSyncResponse:
        """Tell Convex of objects of a session, as ``sync_scene_assets`` does."""
        return await self._sync_all(
            s3_assets, metadata, entity_id=session_id, of=EntityType.SESSION, unverified=unverified
        )

    async def batch_sync_assets(
        self, requests: Sequence[AssetSyncRequest], *, unverified: bool = False
    ) -> BatchSyncResponse:
        """Tell Convex of objects; one that cannot be told fails alone, with a sentence.

        The same object again makes no version. Where S3 has no CRC64NVME of an object, it is read once; if
        ``unverified`` it is not, and its checksum is ``unverified:`` with its ETag: read later, it is a next
        version. Nothing here is ever deleted for its age. Raises FatalError for settings that cannot work.
        """
        synced, failed = list[AssetReference](), dict[str, str]()
        for request in requests:
            try:
                synced.append(await self._sync(request, unverified=unverified))
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
        require_text("project_id", project_id)
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
        outcomes = await connection.delivery.take_down(
            [asked_takedown(one, with_older=False) for one in gone]
        )
        pairs = zip(gone, outcomes, strict=True)
        return [shown_reference(one) for one, found in pairs if found.outcome is RemovalOutcome.REMOVED]

    cleanup_orphaned_assets_sync = blocking(cleanup_orphaned_assets)
    sync_scene_assets_sync = blocking(sync_scene_assets)
    sync_session_assets_sync = blocking(sync_session_assets)
    batch_sync_assets_sync = blocking(batch_sync_assets)

    async def _sync_all(
        self,
        assets: Iterable[S3Asset | str],
        metadata: Mapping[str, str] | None,
        *,
        entity_id: str,
        of: EntityType,
        session_id: str | None = None,
        unverified: bool,
    ) -> BatchSyncResponse:
        """Tell of all whose names say what they are."""
        requests, failed = list[AssetSyncRequest](), dict[str, str]()
        for asset in listed(assets):
            key = asset.s3_key if isinstance(asset, S3Asset) else asset
            try:
                kind = kind_of(key.rpartition("/")[2], of)
            except ValueError as error:
                failed[key] = f"{error}, as batch_sync_assets takes it"
                continue
            requests.append(
                AssetSyncRequest(
                    entity_id=entity_id,
                    entity_type=of,
                    asset_type=kind,
                    s3_key=key,
                    session_id=session_id,
                    metadata=metadata or {},
                )
            )
        told = await self.batch_sync_assets(requests, unverified=unverified)
        return BatchSyncResponse(synced=told.synced, failed={**failed, **told.failed})

    async def _sync(self, request: AssetSyncRequest, *, unverified: bool) -> AssetReference:
        objects = await self.storage.connection.reading.objects()
        head = await objects.head(request.s3_key)
        if head is None:
            raise NotFoundError(f"the bucket has no object {request.s3_key}")
        checksum = head.checksum
        if checksum is None:
            known = self._known if unverified else self._read
            checksum = await known(request.s3_key, head)
        return await self.storage.assets.announce(request, head, checksum=checksum)

    async def _known(self, key: str, head: ObjectHead) -> str:
        """Return what somebody read of this very object, else what stands for that nobody did."""
        shown = await self.storage.connection.reading.shown_under(key) or ShownObject()
        same = [one.checksum for one in shown.assets if one.etag == head.stored.etag]
        return next(iter(same), f"{UNVERIFIED}{head.stored.etag.strip(QUOTE)}")

    async def _read(self, key: str, head: ObjectHead) -> str:
        crc = size = 0
        async for piece in (await self.storage.connection.reading.objects()).read(key, etag=head.stored.etag):
            crc, size = checksums.crc64nvme(piece, crc), size + len(piece)
        if size != head.size_bytes:
            raise LibraryError(f"{key} came with {size} bytes, and S3 says {head.size_bytes}: try again")
        return to_text(crc)
