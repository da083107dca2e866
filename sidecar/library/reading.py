"""Asks S3 and Convex on behalf of the platform: clients that open with the first question."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Self, TypeVar

from sidecar import __version__
from sidecar.core.breaker import BreakerPolicy
from sidecar.core.clock import SystemClock
from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.model import EntityType
from sidecar.core.retry import RetryPolicy
from sidecar.gate import RemoteGate
from sidecar.settings import Settings
from sidecar.sync.backend import BackendStore, EntityName, ShownAsset, ShownObject
from sidecar.sync.convex import open_as as open_convex
from sidecar.sync.errors import NOT_INSTALLED
from sidecar.sync.query import ask
from sidecar.upload.factory import open_s3
from sidecar.upload.s3.endpoint import S3Config, require_https, s3_config
from sidecar.upload.s3.object_store import S3Store
from sidecar.upload.store import ObjectHead

from .cached_asset import CachedAsset
from .url_cache import AssetLookup, open_url_cache

NAME = "library"  # the subject of a backend's tokens: one for all programs, so that Convex keeps one counter
PATIENCE = 3  # times convex.timeout, in which an outage may pass
T = TypeVar("T")


async def _page(
    project_id: str, cursor: str | None, convex: BackendStore
) -> tuple[Sequence[ShownAsset], str | None]:
    return await convex.list_by_project(project_id, cursor=cursor)


async def _entity_page(
    project_id: str, entity: EntityName, cursor: str | None, convex: BackendStore
) -> tuple[Sequence[ShownAsset], str | None]:
    return await convex.list_by_entity(project_id, entity, cursor=cursor)


class Reading:
    """S3 and Convex as a backend needs them. An async context manager."""

    def __init__(self, settings: Settings) -> None:
        """Open nothing yet."""
        self._settings, self._clock = settings, SystemClock()
        self._opened = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._lists_entities = True
        self._config: S3Config | None = None
        self._objects: S3Store | None = None
        self._backend: BackendStore | None = None
        self._gate: RemoteGate | None = None
        self._s3_gate: RemoteGate | None = None
        scope = f"{settings.convex.url} {settings.s3.bucket}"
        self._cache = open_url_cache(settings.urls, scope=scope, clock=self._clock)
        self.lookup = AssetLookup(cache=self._cache, ask=self._locate)

    async def __aenter__(self) -> Self:
        """Begin."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close what was opened."""
        await self._cache.close()
        await self._opened.aclose()

    async def config(self) -> S3Config:
        """Return where the bucket is. Raises FatalError (78)."""
        async with self._opening:
            if self._config is None:
                found = await asyncio.to_thread(s3_config, self._settings.s3)
                if self._settings.https_only:
                    require_https(found)
                self._config = found
            return self._config

    async def objects(self) -> S3Store:
        """Return the bucket. Raises FatalError (78)."""
        config = await self.config()
        async with self._opening:
            if self._objects is None:
                opening = open_s3(
                    config=config, s3=self._settings.s3, upload=self._settings.upload, clock=self._clock
                )
                self._objects = await self._opened.enter_async_context(opening)
            return self._objects

    async def ask(self, what: str, question: Callable[[BackendStore], Awaitable[T]]) -> T:
        """Ask Convex; an outage is waited out for a while. Raises SidecarError, FatalError (78)."""
        backend, gate = await self._convex()
        return await self._patiently(gate, what, lambda: question(backend))

    async def head(self, key: str) -> ObjectHead | None:
        """Return what lies under a key; an outage is waited out for a while. Raises as ``ask`` does."""
        objects = await self.objects()

        async def look() -> tuple[ObjectHead | None]:
            return (await objects.head(key),)

        (found,) = await self._patiently(await self.s3_gate(), key, look)
        return found

    async def assets_by_id(self, ids: Sequence[str]) -> Sequence[ShownAsset | None]:
        """Return at most 100 assets by their ids, in order; None for one that Convex does not show us."""
        return await self.ask("assetsById", lambda convex: convex.assets_by_id(ids))

    async def assets_by_key(self, keys: Sequence[str]) -> Sequence[ShownObject]:
        """Return which assets show each of at most 100 objects of the bucket, in order."""
        bucket = self._settings.s3.bucket
        return await self.ask("assetsByKey", lambda convex: convex.assets_by_key(bucket, keys))

    async def shown_under(self, key: str) -> ShownObject | None:
        """Return which assets show one object; None to a producer, who is told nothing."""
        try:
            (shown,) = await self.assets_by_key([key])
        except SidecarError as error:
            if error.kind is not ErrorKind.FORBIDDEN:
                raise
            return None
        return shown

    async def _locate(self, asset_id: str) -> CachedAsset | None:
        (found,) = await self.assets_by_id([asset_id])
        if found is None:
            return None
        return CachedAsset(
            id=found.id, bucket=found.bucket, key=found.key, version=found.version, public_url=found.url
        )

    async def entity_assets(
        self, project_id: str, session_id: str, entity_type: EntityType, entity_id: str
    ) -> list[ShownAsset]:
        """Return the assets of a scene or a session."""
        entity, found, cursor = (session_id, entity_type, entity_id), list[ShownAsset](), None
        if not self._lists_entities:
            return await self._sought(project_id, entity)
        while True:
            question = partial(_entity_page, project_id, entity, cursor)
            try:
                page, cursor = await self.ask("listByEntity", question)
            except SidecarError as error:
                if error.hint != NOT_INSTALLED:
                    raise
                self._lists_entities = False
                return await self._sought(project_id, entity)
            found += page
            if cursor is None:
                return found

    async def _sought(self, project_id: str, entity: EntityName) -> list[ShownAsset]:
        """Look through a project's assets, which lie together by entity, where functions are of before."""
        found = list[ShownAsset]()
        async for one in self.project_assets(project_id):
            if (one.slot.session_id, one.slot.entity_type, one.slot.entity_id) == entity:
                found.append(one)
            elif found:
                break
        return found

    async def project_assets(self, project_id: str) -> AsyncIterator[ShownAsset]:
        """Yield all assets of a project, by session and entity, then by index and name."""
        cursor: str | None = None
        while True:
            page, cursor = await self.ask("listByProject", partial(_page, project_id, cursor))
            for one in page:
                yield one
            if cursor is None:
                return

    async def _patiently(self, gate: RemoteGate, what: str, question: Callable[[], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(PATIENCE * self._settings.convex.timeout):
                return await ask(gate, what, question)
        except TimeoutError:
            message = gate.reason or "it does not answer"
            raise SidecarError(ErrorKind.NETWORK, message, operation="ask", target=what) from None

    async def _convex(self) -> tuple[BackendStore, RemoteGate]:
        async with self._opening:
            if self._backend is None or self._gate is None:
                if self._settings.convex.sync != "on":
                    raise SidecarError(
                        ErrorKind.INVALID,
                        "convex.sync is off, and only Convex knows assets",
                        operation="ask",
                        target="Convex",
                        hint="give convex.url and convex.auth",
                    )
                opening = open_convex(
                    BackendStore,
                    self._settings.convex,
                    sidecar_id=NAME,
                    clock=self._clock,
                    version=__version__,
                )
                self._backend = await self._opened.enter_async_context(opening)
                self._gate = self._build_gate("convex", self._backend.probe)
            return self._backend, self._gate

    async def convex_gate(self) -> RemoteGate:
        """Return Convex's breaker, as this platform's questions know it."""
        return (await self._convex())[1]

    async def s3_gate(self) -> RemoteGate:
        """Return S3's breaker. Raises FatalError (78)."""
        objects = await self.objects()
        if self._s3_gate is None:
            self._s3_gate = self._build_gate("s3", objects.probe)
        return self._s3_gate

    def _build_gate(self, remote: str, probe: Callable[[], Awaitable[None]]) -> RemoteGate:
        retry = self._settings.retry
        return RemoteGate(
            remote=remote,
            probe=probe,
            retry=RetryPolicy(initial_seconds=retry.initial, max_seconds=retry.max, attempts=retry.attempts),
            breaker=BreakerPolicy(failures=retry.breaker_failures, reset_seconds=retry.breaker_reset),
            clock=self._clock,
            jitter=random.random,
        )
