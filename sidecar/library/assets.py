"""Stores assets of scenes and sessions, lists them, gives out their addresses, takes them back."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sidecar.core.asset_arguments import (
    CONTENT_TYPE_CHARS_MAX,
    asset_type_of,
    require_index,
    require_metadata,
    require_segment,
    require_text,
)
from sidecar.core.asset_names import NamedEntity, name_scene, name_session
from sidecar.core.model import AssetType, EntityType, Route, Transfer
from sidecar.core.templates import literal
from sidecar.settings import build_router
from sidecar.settings.policies import router_ids
from sidecar.sync.backend import RemovalOutcome, ShownAsset
from sidecar.upload.s3.endpoint import S3Config, object_url
from sidecar.upload.s3.presigned import require_seconds
from sidecar.upload.store import ObjectHead

from .blocking import blocking
from .cached_asset import CachedAsset
from .cloudfront import signed_url
from .connection import Connection
from .errors import LibraryError, NotFoundError
from .models import AssetReference, AssetSyncRequest, UrlType
from .overwriting import require_own
from .references import asked_takedown, reference_of, shown_reference

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

EXPIRES_SECONDS = 3600
JUDGED_MAX = 5


class HasConnection(Protocol):
    """What stands on a connection."""

    @property
    def connection(self) -> Connection:
        """The connection."""
        ...


class AssetManager:
    """The platform's ``assets``. Each coroutine has a synchronous twin that ends in ``_sync``."""

    def __init__(self, storage: Connection | HasConnection, convex_sync: object = None) -> None:
        """``storage`` is an ``S3Storage``, or an open platform; it knows how to reach Convex, too."""
        del convex_sync  # it is the storage's own
        connection = storage if isinstance(storage, Connection) else storage.connection
        self._connection, self._ids = connection, router_ids(connection.settings)
        self._router = build_router(connection.settings)

    @property
    def loop(self) -> AbstractEventLoop:
        """The connection's loop. Raises ClosedError, ForkedError."""
        return self._connection.lazy_loop()

    async def store_scene_asset(
        self,
        scene_id: str,
        asset_type: AssetType,
        path: str | os.PathLike[str],
        *,
        session_id: str | None = None,
        project_id: str | None = None,
        name: str | None = None,
        index: int | None = None,
        role: str | None = None,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        wait: bool = True,
    ) -> AssetReference:
        """Store a complete file as an asset of a scene: the first, or the next version of what has its name.

        ``session_id`` is required unless ``entities.scene_id`` makes ids that name the session. ``name`` is
        the file's own by default; an asset is the same asset by session, scene, type and name. The same
        bytes again make no version, whatever else is given. ``role`` is "main" for the video that plays.

        ``wait``: return once Convex has it, else once the bytes are copied and the intent is on disk; what is
        on disk is brought to its end, by another process if need be. The source is never changed or deleted;
        with ``wait`` it has to stay as it is until the call returns.

        Of contents that are handed over at once for one asset the last one is sure to become a version; each
        call returns what took its place.

        Raises SourceError, RefusedError, ValueError, TypeError; ClosedError, ForkedError; FatalError for
        settings that cannot work.
        """
        entity = name_scene(self._ids, scene_id, session_id=session_id, project_id=project_id)
        route = self._route(entity, asset_type, path, name=name, index=index, role=role, kind=content_type)
        return await self._store(path, route, metadata, wait=wait)

    async def store_session_asset(
        self,
        session_id: str,
        asset_type: AssetType,
        path: str | os.PathLike[str],
        *,
        project_id: str | None = None,
        name: str | None = None,
        index: int | None = None,
        role: str | None = None,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        wait: bool = True,
    ) -> AssetReference:
        """Store a complete file as an asset of a session, as ``store_scene_asset`` does."""
        entity = name_session(self._ids, session_id, project_id=project_id)
        route = self._route(entity, asset_type, path, name=name, index=index, role=role, kind=content_type)
        return await self._store(path, route, metadata, wait=wait)

    async def get_scene_assets(
        self, scene_id: str, *, session_id: str | None = None, project_id: str | None = None
    ) -> list[AssetReference]:
        """Return what Convex has of a scene, by index, then name; the role `backend` is needed.

        It costs a call for each hundred of them. Raises SidecarError of Convex.
        """
        shown = await self._of_scene(scene_id, session_id=session_id, project_id=project_id)
        return [shown_reference(one) for one in shown]

    async def cleanup_scene_assets(
        self, scene_id: str, *, session_id: str | None = None, project_id: str | None = None
    ) -> list[AssetReference]:
        """Remove a scene's assets from Convex, whoever wrote them, and delete their objects; returns which.

        With an asset the newest 50 of its versions go; what is older yet is left to its sidecar's retention.
        An asset that gets a newer version meanwhile stays. It is safe against kills: what is begun is brought
        to its end by another process. The objects are gone when it returns; where S3 takes more than half a
        minute, soon after. Raises SidecarError where Convex refuses, for the role `backend` is needed, or
        does not answer for three times ``convex.timeout``; it is then carried out once it does.
        """
        shown = await self._of_scene(scene_id, session_id=session_id, project_id=project_id)
        if not shown:
            return []
        outcomes = await self._connection.delivery.take_down(
            [asked_takedown(one, with_older=True) for one in shown]
        )
        pairs = zip(shown, outcomes, strict=True)
        return [shown_reference(one) for one, found in pairs if found.outcome is RemovalOutcome.REMOVED]

    async def get_asset_url(
        self, asset_id: str, url_type: UrlType = UrlType.PRESIGNED, *, expiration: int = EXPIRES_SECONDS
    ) -> str:
        """Return an asset's address by its id. Nobody's right to read is asked: see ``SecurityManager``.

        ``expiration`` is in seconds, at most 604,800, and for signed ones only. Raises NotFoundError,
        ValueError for an address that these settings cannot give, SidecarError of Convex.
        """
        require_text("asset_id", asset_id)
        asset = await self._connection.reading.lookup.find(asset_id)
        if asset is None:
            raise NotFoundError(
                f"Convex knows no asset {asset_id}, or it is of a project that these credentials may not have"
            )
        return await self._address(asset, url_type, expiration=expiration)

    async def sign_judged(
        self, asset_id: str, judge: Callable[[], Awaitable[bool]], *, expiration: int
    ) -> str | None:
        """Return a signed address of the version that ``judge`` admits; None if it refuses, or there is none.

        A version that is replaced meanwhile was not judged: the next one is. Raises as ``get_asset_url``,
        LibraryError for one that is replaced again and again.
        """
        require_text("asset_id", asset_id)
        lookup = self._connection.reading.lookup
        seen = await lookup.find(asset_id)
        for _ in range(JUDGED_MAX):
            if not await judge():
                return None
            current = await lookup.find_current(asset_id)
            if current is None:
                return None
            if seen is not None and (seen.version, seen.key) == (current.version, current.key):
                return await self._address(current, UrlType.PRESIGNED, expiration=expiration)
            seen = current
        raise LibraryError(f"asset {asset_id} is replaced faster than anybody can judge it: try again")

    store_scene_asset_sync = blocking(store_scene_asset)
    store_session_asset_sync = blocking(store_session_asset)
    get_scene_assets_sync = blocking(get_scene_assets)
    cleanup_scene_assets_sync = blocking(cleanup_scene_assets)
    get_asset_url_sync = blocking(get_asset_url)

    # -- for the storage and the sync --------------------------------------------------------------

    async def store_under(
        self,
        path: str | os.PathLike[str],
        key: str,
        *,
        entity_id: str,
        entity_type: EntityType,
        asset_type: AssetType,
        metadata: Mapping[str, str] | None = None,
    ) -> AssetReference:
        """Store a file under exactly this key, as ``S3Storage.upload`` says."""
        require_text("key", key)
        entity = self._entity(entity_id, entity_type)
        name = key.rpartition("/")[2]
        route = self._route(entity, asset_type, path, name=name, index=None, role=None, kind=None, key=key)
        syncing = self._connection.settings.convex.sync == "on"
        await require_own(self._connection.reading, key, asset_id=route.slot.digest, syncing=syncing)
        return await self._store(path, route, metadata, wait=True)

    async def announce(self, request: AssetSyncRequest, head: ObjectHead, *, checksum: str) -> AssetReference:
        """Tell Convex of an object that is in S3, as ``ConvexS3Sync.batch_sync_assets`` says."""
        require_metadata(request.metadata)
        entity = self._entity(request.entity_id, request.entity_type, session_id=request.session_id)
        route = self._route(
            entity,
            request.asset_type,
            request.s3_key,
            name=request.name or None,
            index=None,
            role=None,
            kind=head.content_type,
            key=request.s3_key,
        )
        route = replace(route, metadata={**route.metadata, **request.metadata})
        url = object_url(await self._connection.reading.config(), request.s3_key)
        transfer = await self._connection.delivery.announce(route, head, checksum=checksum, url=url)
        return await self._told(transfer, url=url)

    # -- the steps ---------------------------------------------------------------------------------

    async def _address(self, asset: CachedAsset, url_type: UrlType, *, expiration: int) -> str:
        reading = self._connection.reading
        config = await reading.config()
        if asset.bucket != config.bucket:
            raise LibraryError(
                f"asset {asset.id} lies in bucket {asset.bucket}, and s3.bucket is {config.bucket}"
            )
        match url_type:
            case UrlType.PUBLIC:
                return object_url(replace(config, public_base_url=None), asset.key)
            case UrlType.CDN:
                if config.public_base_url is None:
                    raise ValueError("s3.public_base_url is not set, which is the CDN's address")
                return object_url(config, asset.key)
            case UrlType.PRESIGNED:
                return await (await reading.objects()).presigned(asset.key, seconds=expiration)
            case UrlType.CLOUDFRONT:
                return await self._for_cloudfront(config, asset.key, seconds=expiration)

    async def _for_cloudfront(self, config: S3Config, key: str, *, seconds: int) -> str:
        urls, base = self._connection.settings.urls, config.public_base_url
        if base is None or urls.cloudfront_key_id is None or urls.cloudfront_private_key is None:
            raise ValueError(
                "s3.public_base_url, urls.cloudfront_key_id and urls.cloudfront_private_key_file are needed"
            )
        require_seconds(seconds)
        return signed_url(
            object_url(config, key),
            key_id=urls.cloudfront_key_id,
            private_key=await urls.cloudfront_private_key.read(),
            expires_at=int(time.time()) + seconds,
        )

    def _route(
        self,
        entity: NamedEntity,
        asset_type: AssetType,
        path: str | os.PathLike[str],
        *,
        name: str | None,
        index: int | None,
        role: str | None,
        kind: str | None,
        key: str | None = None,
    ) -> Route:
        name = Path(path).name if name is None else name
        require_segment("name", name)
        if key is not None:
            require_text("key", key)
        if index is not None:
            require_index(index)
        for what, text in (("role", role), ("content_type", kind)):
            if text:
                require_text(what, text, chars_max=CONTENT_TYPE_CHARS_MAX)
        route = self._router.route_asset(
            asset_type_of(asset_type),
            entity.named,
            entity.fields,
            name=name,
            key=None if key is None else literal(key),
        )
        return replace(
            route,
            index=route.index if index is None else index,
            role=role,
            content_type=kind or route.content_type,
        )

    async def _store(
        self,
        path: str | os.PathLike[str],
        route: Route,
        metadata: Mapping[str, str] | None,
        *,
        wait: bool,
    ) -> AssetReference:
        require_metadata(metadata or {})
        delivery = self._connection.delivery
        url = partial(object_url, await self._connection.reading.config())
        route = replace(route, metadata={**route.metadata, **(metadata or {})})
        transfer = await delivery.deliver(Path(path), route, wait=wait)
        return await self._told(transfer, url=url(transfer.key))

    def _entity(
        self, entity_id: str, entity_type: EntityType, *, session_id: str | None = None
    ) -> NamedEntity:
        if entity_type is EntityType.SESSION:
            return name_session(self._ids, entity_id)
        with suppress(ValueError):
            return name_scene(self._ids, entity_id, session_id=session_id)
        session, _, scene = entity_id.rpartition("/")
        if not session:
            raise ValueError(f"entity_id {entity_id!r} of a scene is {{session_id}}/{{scene_id}}")
        return name_scene(self._ids, scene, session_id=session)

    async def _of_scene(
        self, scene_id: str, *, session_id: str | None, project_id: str | None
    ) -> list[ShownAsset]:
        entity = name_scene(self._ids, scene_id, session_id=session_id, project_id=project_id)
        named = entity.named
        return await self._connection.reading.entity_assets(
            named.project_id, named.session_id, EntityType.SCENE, scene_id
        )

    async def _told(self, transfer: Transfer, *, url: str) -> AssetReference:
        """Return the reference, and let go of where the asset was before."""
        reference = reference_of(transfer, url=url)
        if reference.version is not None:
            await self._connection.reading.lookup.replaced(
                CachedAsset(
                    id=reference.id,
                    bucket=reference.bucket,
                    key=reference.s3_key,
                    version=reference.version,
                    public_url=url,
                )
            )
        return reference
