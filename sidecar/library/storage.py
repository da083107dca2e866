"""The platform's ``S3Storage``: one file to S3 and Convex, what lies below a prefix, clean-up, download."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

from sidecar.core.asset_arguments import require_text
from sidecar.core.batched import batched
from sidecar.core.model import AssetType, EntityType
from sidecar.sync.backend import IDS_MAX, ShownAsset, ShownObject
from sidecar.upload.metadata import SLOT
from sidecar.upload.store import ListedObject, ObjectHead

from .assets import AssetManager
from .blocking import blocking
from .connection import Connection, Source, read_settings
from .download import download
from .errors import LibraryError
from .kinds import kind_of
from .models import AssetReference, ManifestEntry
from .references import asked_takedown, shown_reference

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop


HEADS_AT_ONCE = 16
T = TypeVar("T")


def listed(several: Iterable[T]) -> list[T]:
    """Return what several were given. Raises TypeError for one text, which is not many of one letter."""
    if isinstance(several, str):
        raise TypeError(f"give a list of keys: {several!r} is one text")
    return list(several)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An object, and which assets show it, whoever put it there."""

    key: str
    head: ObjectHead
    shown: ShownObject


class ConvexSync(Protocol):
    """What a storage asks of the sync that it is given."""

    @property
    def storage(self) -> S3Storage:
        """The storage whose objects it tells of."""
        ...


class S3Storage:
    """The platform's ``storage``, or one of its own, which may be subclassed or mixed in.

    ``S3Storage(settings)`` opens with its first synchronous call, and closes with the process; for coroutines
    open it by ``async with``. ``ConvexS3Sync(None, storage)`` and ``AssetManager(storage)`` then stand on it.
    ``upload_with_convex_sync`` and ``cleanup_with_convex_sync`` are synchronous, as the platform's design has
    them; the other coroutines have synchronous twins that end in ``_sync``.
    """

    def __init__(self, source: Source | Connection = None) -> None:
        """``source`` as ``sidecar.open`` takes it, or an open platform. Raises SettingsError."""
        if isinstance(source, Connection):
            self.connection = source
        else:
            self.connection = Connection(read_settings(source))
        self._assets = AssetManager(self.connection)

    @property
    def loop(self) -> AbstractEventLoop:
        """The platform's loop; one that nobody opened opens on the loop thread, until the process ends."""
        return self.connection.lazy_loop()

    async def __aenter__(self) -> Self:
        """Open its platform."""
        await self.connection.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close its platform."""
        await self.connection.__aexit__()

    @property
    def assets(self) -> AssetManager:
        """The manager that stores what this storage is given."""
        return self._assets

    async def upload(
        self,
        local_path: str | os.PathLike[str],
        key: str,
        entity_id: str,
        entity_type: EntityType | str,
        *,
        asset_type: AssetType | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> AssetReference:
        """Store a complete file under exactly this key, and tell Convex; return once it has it.

        The asset's name is the key's last segment. If it has the same bytes already, under another key, that
        object stays, and the reference names it.

        ``asset_type`` is what the file's extension says, if None.

        ``entity_id`` of a scene is ``{session_id}/{scene_id}``, unless ``entities.scene_id`` makes ids that
        name the session; of a session it is the session's id. A key that is used again is overwritten in
        place, without history: let it differ for each content. S3 is asked first what lies there: another
        asset's object is never overwritten (RefusedError), nor is one that no sidecar made, unless the role
        `backend` may ask Convex whose it is. Raises as ``AssetManager.store_scene_asset``, and SidecarError
        where S3 cannot be asked for three times ``convex.timeout``.
        """
        kind = EntityType(entity_type)
        what = asset_type or kind_of(Path(local_path).name, kind)
        return await self._assets.store_under(
            local_path, key, entity_id=entity_id, entity_type=kind, asset_type=what, metadata=metadata
        )

    def upload_with_convex_sync(
        self,
        local_path: str | os.PathLike[str],
        key: str,
        convex_sync: ConvexSync | None,
        entity_id: str,
        entity_type: EntityType | str,
        *,
        asset_type: AssetType | None = None,
    ) -> tuple[str, str]:
        """Do as ``upload`` does, and wait: returns the object's key and its unsigned address.

        ``convex_sync`` must be of this storage's deployment: the upload and its op are one. Raises
        WrongLoopError in a running loop.
        """
        _require_same(self, convex_sync)
        found = _upload(self, local_path, key, entity_id, entity_type, asset_type=asset_type)
        return found.s3_key, found.s3_url

    async def get_asset_manifest(self, key_prefix: str) -> list[ManifestEntry]:
        """Return every object below a prefix, by key, with what S3 and Convex say of it.

        It costs a HEAD for each, 16 at once, and a call of Convex for each hundred. With ``convex.sync: off``
        no object has an asset. Raises SidecarError.
        """
        if key_prefix:
            require_text("key_prefix", key_prefix)
        objects = await self.connection.reading.objects()
        entries = list[ManifestEntry]()
        async for page in _pages(objects.list_objects(prefix=key_prefix)):
            found = await self._look([one.key for one in page])
            entries += [_entry(one, found[one.key]) for one in page if one.key in found]
        return sorted(entries, key=_key)

    async def cleanup(self, keys: Iterable[str], entity_id: str) -> bool:
        """Remove from Convex the assets that these objects are, then delete the objects; True if all went.

        Whoever wrote them: the role `backend` is needed. An object that is no asset of the entity, or one of
        another as well, or that a newer version replaced, is kept, and the answer is False; one that no
        sidecar made only goes from Convex; one that is not there counts as gone. What is begun is brought to
        its end by another process if need be. Raises SidecarError where Convex refuses.
        """
        require_text("entity_id", entity_id)
        wanted = list(dict.fromkeys(listed(keys)))
        for key in wanted:
            require_text("key", key)
        found = await self._look(wanted)
        ours = {key: one.shown.assets for key, one in found.items() if _is_of(one.shown, entity_id)}
        by_project: dict[str, list[ShownAsset]] = {}
        for asset in (asset for assets in ours.values() for asset in assets):
            by_project.setdefault(asset.project_id, []).append(asset)
        are_gone = True
        for some in by_project.values():
            outcomes = await self.connection.delivery.take_down(
                [asked_takedown(one, with_older=True) for one in some]
            )
            are_gone &= all(one.is_marked for one in outcomes)
        return are_gone and len(ours) == len(found)

    def cleanup_with_convex_sync(
        self, keys: Iterable[str], convex_sync: ConvexSync | None, entity_id: str
    ) -> bool:
        """Do as ``cleanup`` does, and wait. Raises WrongLoopError in a running loop."""
        _require_same(self, convex_sync)
        return _cleanup(self, keys, entity_id)

    async def presign(self, key: str, *, expiration: int = 3600) -> str:
        """Return an address that GETs an object for so many seconds, at most 604,800. Asks S3 nothing.

        Raises ValueError for what is no key: without one the address would list the bucket.
        """
        require_text("key", key)
        return await (await self.connection.reading.objects()).presigned(key, seconds=expiration)

    async def download(self, key: str, local_path: str | os.PathLike[str]) -> Path:
        """Read an object into a file, which is there whole or not at all; returns its path.

        The bytes are compared with S3's checksum, where it has one. Raises NotFoundError, SidecarError,
        LibraryError for bytes that are others, OSError of the local disk.
        """
        require_text("key", key)
        return await download(await self.connection.reading.objects(), key, Path(local_path))

    async def delete(self, key: str) -> None:
        """Delete an object that Convex does not show; none there is success.

        Raises LibraryError for one that is an asset (``cleanup`` removes it from Convex first), SidecarError,
        also where Convex cannot be asked.
        """
        require_text("key", key)
        found = (await self._look([key])).get(key)
        if found is None:
            return
        if found.shown.assets or found.shown.others:
            names = ", ".join(one.id for one in found.shown.assets) or "of a project that is not ours"
            raise LibraryError(f"{key} is asset {names}, which Convex shows: remove it by cleanup")
        await (await self.connection.reading.objects()).delete(key)

    upload_sync = blocking(upload)
    get_asset_manifest_sync = blocking(get_asset_manifest)
    presign_sync = blocking(presign)
    download_sync = blocking(download)
    delete_sync = blocking(delete)

    async def _look(self, keys: Sequence[str]) -> dict[str, Found]:
        """HEAD objects, and ask Convex for what they are; those that are not there are left out."""
        objects, found = await self.connection.reading.objects(), dict[str, Found]()
        for some in batched(keys, IDS_MAX):
            heads = [
                head
                for few in batched(some, HEADS_AT_ONCE)
                for head in await asyncio.gather(*map(objects.head, few))
            ]
            there = {key: head for key, head in zip(some, heads, strict=True) if head is not None}
            shown: Sequence[ShownObject] = [ShownObject()] * len(there)
            if there and self.connection.settings.convex.sync == "on":
                shown = await self.connection.reading.assets_by_key(list(there))
            pairs = zip(there.items(), shown, strict=True)
            found |= {key: Found(key=key, head=head, shown=by) for (key, head), by in pairs}
        return found


_upload = blocking(S3Storage.upload)
_cleanup = blocking(S3Storage.cleanup)


def _require_same(storage: S3Storage, sync: ConvexSync | None) -> None:
    ours = storage.connection.settings.convex.url
    if sync is not None and sync.storage.connection.settings.convex.url != ours:
        raise ValueError("convex_sync is of another deployment than this storage's convex.url")


def _is_of(shown: ShownObject, entity_id: str) -> bool:
    """Tell whether Convex shows an object as assets of this entity, by any of its names, and of no other."""
    slots = [one.slot for one in shown.assets]
    names = [{slot.entity_id, f"{slot.session_id}/{slot.entity_id}"} for slot in slots]
    return bool(names) and not shown.others and all(entity_id in some for some in names)


def _entry(listed: ListedObject, found: Found) -> ManifestEntry:
    slot = found.head.metadata.get(SLOT)
    asset = min(found.shown.assets, key=lambda one: one.id != slot, default=None)  # its own before others
    return ManifestEntry(
        key=listed.key,
        size=found.head.size_bytes,
        checksum=found.head.checksum,
        content_type=found.head.content_type,
        modified_at=listed.modified_ms,
        s3_version_id=found.head.stored.version_id,
        asset=None if asset is None else shown_reference(asset),
    )


def _key(one: ManifestEntry) -> str:
    return one.key


async def _pages(objects: AsyncIterator[ListedObject]) -> AsyncIterator[list[ListedObject]]:
    """Yield them, so many at a time as Convex is asked about."""
    page = list[ListedObject]()
    async for one in objects:
        page.append(one)
        if len(page) == IDS_MAX:
            yield page
            page = []
    if page:
        yield page
