"""Who may see an asset, which the application decides each time; and metadata that only holders of keys read.

Nothing is signed for whom Convex does not admit, and nothing while Convex cannot be asked. What was decided
is an event of the log, ``asset_access``, for an audit; an address, a secret while it lives, is in none.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import Any, Protocol, TypeVar

import structlog

from sidecar.core.asset_arguments import require_text
from sidecar.upload.s3.presigned import require_seconds

from .blocking import blocking
from .errors import LibraryError
from .sealed_metadata import MetadataKeys, resealed, seal, unseal

EXPIRES_SECONDS = 3600
T = TypeVar("T")
log = structlog.get_logger("sidecar.audit")


class AccessDeniedError(LibraryError):
    """The viewer may not see the asset, or there is none: which of the two is not said."""


class AsksConvex(Protocol):
    """What asks Convex by the role ``backend``."""

    async def ask(self, what: str, question: Callable[[Any], Awaitable[T]]) -> T:
        """Return the answer; the question is given the backend's functions. Raises SidecarError."""
        ...


class GivesUrls(Protocol):
    """What knows where an asset is."""

    async def sign_judged(
        self, asset_id: str, judge: Callable[[], Awaitable[bool]], *, expiration: int
    ) -> str | None:
        """Return a signed address of the version that ``judge`` admits; it lives for so many seconds."""
        ...


class Services(Protocol):
    """An open platform, as far as it matters here."""

    @property
    def loop(self) -> AbstractEventLoop:
        """Its loop."""
        ...

    @property
    def reading(self) -> AsksConvex:
        """What asks Convex."""
        ...

    @property
    def assets(self) -> GivesUrls:
        """What gives out addresses."""
        ...


class SecurityManager:
    """The platform's ``security``."""

    def __init__(self, platform: Services, *, keys: MetadataKeys | None = None) -> None:
        """``platform`` is open; ``keys`` seal metadata, None: nothing is sealed here."""
        self._platform, self._keys = platform, keys

    @property
    def loop(self) -> AbstractEventLoop:
        """The platform's loop. Raises ClosedError, ForkedError."""
        return self._platform.loop

    async def validate_asset_access(self, asset_id: str, user_id: str | None) -> bool:
        """Tell whether a viewer may see an asset, as the application's rules say now.

        ``user_id`` is Convex's tokenIdentifier, ``issuer|subject``; None: somebody who is not signed in.
        Convex answers by canReadSession and canReadAsset, as if the viewer had called; nothing is cached.
        Raises ValueError for what is no tokenIdentifier, SidecarError where Convex cannot be asked.
        """
        require_text("asset_id", asset_id)
        viewer = viewer_of(user_id)
        try:
            allowed = await self._platform.reading.ask(
                "canRead", lambda convex: convex.can_read(asset_id, viewer)
            )
        except Exception as error:
            log.warning(
                "asset_access", asset=asset_id, user=user_id, decision="unknown", why=type(error).__name__
            )
            raise
        decision = "allowed" if allowed is True else "denied"
        log.info("asset_access", asset=asset_id, user=user_id, decision=decision)
        return allowed is True

    async def generate_secure_asset_url(
        self, asset_id: str, user_id: str | None, expiration: int = EXPIRES_SECONDS
    ) -> str:
        """Return a signed address for a viewer who may see the asset; it lives for ``expiration`` seconds.

        It is of the version that was judged. Whoever has it may read until then, so keep it short. Raises
        AccessDeniedError; else as ``validate_asset_access`` does.
        """
        require_seconds(expiration)
        viewer_of(user_id)  # what is no tokenIdentifier is asked of nobody
        judge = partial(self.validate_asset_access, asset_id, user_id)
        url = await self._platform.assets.sign_judged(asset_id, judge, expiration=expiration)
        if url is None:
            raise AccessDeniedError(f"this viewer may not see asset {asset_id}, or there is none")
        log.info("asset_url_given", asset=asset_id, user=user_id, seconds=expiration)
        return url

    validate_asset_access_sync = blocking(validate_asset_access)
    generate_secure_asset_url_sync = blocking(generate_secure_asset_url)

    def encrypt_sensitive_metadata(
        self, metadata: Mapping[str, str], *, entity_id: str, names: Collection[str] | None = None
    ) -> dict[str, str]:
        """Return metadata with the values of ``names`` sealed for this entity, None: all of them.

        Convex and its readers then see text that only ``decrypt_sensitive_metadata`` opens. Raises SealError,
        ValueError without keys.
        """
        return seal(metadata, self._sealing(), entity_id=entity_id, names=names)

    def decrypt_sensitive_metadata(self, metadata: Mapping[str, str], *, entity_id: str) -> dict[str, str]:
        """Undo it; what is not sealed stays. Raises SealError for what was changed or is another entity's."""
        return unseal(metadata, self._sealing(), entity_id=entity_id)

    def rotate_sensitive_metadata(self, metadata: Mapping[str, str], *, entity_id: str) -> dict[str, str]:
        """Return metadata whose sealed values are sealed by the current key. Raises SealError."""
        return resealed(metadata, self._sealing(), entity_id=entity_id)

    def _sealing(self) -> MetadataKeys:
        if self._keys is None:
            raise ValueError(
                "no keys for metadata: give SecurityManager `keys`, as MetadataKeys.read(path) does"
            )
        return self._keys


def viewer_of(user_id: str | None) -> tuple[str, str] | None:
    """Return issuer and subject of a tokenIdentifier. Raises ValueError, TypeError."""
    if user_id is None:
        return None
    if not isinstance(user_id, str):
        raise TypeError(f"user_id is a text or None, not {user_id!r}")
    issuer, bar, subject = user_id.partition("|")  # an issuer is a URL and has none; a subject may
    if not (issuer and bar and subject):
        raise ValueError("user_id is Convex's tokenIdentifier, such as https://login.example.com|user_123")
    return issuer, subject
