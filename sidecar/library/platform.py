"""The platform's services over one configuration."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from sidecar.settings import Settings

from .assets import AssetManager
from .connection import Connection, Source, read_settings
from .recovery import ErrorRecoveryManager
from .security import SecurityManager
from .storage import S3Storage
from .sync import ConvexS3Sync


class Platform(Connection):
    """One configuration's services: ``assets``, ``storage``, ``convex``, ``recovery``, ``security``.

    Use it in ``async with``, or in ``with`` from synchronous code: it lives on this process's loop thread
    then. Synchronous twins end in ``_sync``.
    """

    def __init__(self, settings: Settings, *, registry: CollectorRegistry | None = None) -> None:
        """``registry`` takes the metrics; None: one of the platform's own."""
        super().__init__(settings, registry=registry)
        self.assets = AssetManager(self)
        self.storage = S3Storage(self)
        self.convex = ConvexS3Sync(None, self.storage)
        self.recovery = ErrorRecoveryManager(self)
        self.security = SecurityManager(self)


def open(source: Source = None, *, registry: CollectorRegistry | None = None) -> Platform:  # noqa: A001 - `sidecar.open` is its name
    """Return the platform of a configuration, to be used in ``async with`` or ``with``.

    ``source`` is a file's path, a mapping of its keys, Settings, or None: the environment alone. No folder
    has to be watched. ``registry`` takes the metrics. Raises SettingsError.
    """
    return Platform(read_settings(source), registry=registry)
