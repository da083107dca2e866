"""Ships finished render output to S3 and announces it in Convex.

Programs import the platform's services from here: ``sidecar.open`` and the names of ``__all__``, in which it
is not, because a star import would hide the built-in ``open``. They are
loaded when they are asked for, so that ``import sidecar`` costs next to nothing. Type checkers read
``__init__.pyi``.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = [
    "AccessDeniedError",
    "AssetManager",
    "AssetMetrics",
    "AssetReference",
    "AssetSyncRequest",
    "AssetType",
    "BatchSyncResponse",
    "ClosedError",
    "ConvexS3Sync",
    "EntityType",
    "ErrorKind",
    "ErrorRecoveryManager",
    "FatalError",
    "ForkedError",
    "InconsistencyType",
    "LibraryError",
    "ManifestEntry",
    "MetadataKeys",
    "NotFoundError",
    "Platform",
    "RecoveryAction",
    "RecoveryKind",
    "RefusedError",
    "S3Asset",
    "S3Storage",
    "Scene",
    "SealError",
    "SecurityManager",
    "Settings",
    "SettingsError",
    "SidecarError",
    "SourceError",
    "UrlType",
    "VideoSession",
    "WrongLoopError",
]
_HOMES = {
    "core.errors": ("ErrorKind", "FatalError", "SidecarError"),
    "core.inconsistencies": ("InconsistencyType",),
    "core.model": ("AssetType", "EntityType"),
    "library.assets": ("AssetManager",),
    "library.errors": (
        *("ClosedError", "ForkedError", "LibraryError", "NotFoundError", "RefusedError"),
        *("SourceError", "WrongLoopError"),
    ),
    "library.metrics": ("AssetMetrics",),
    "library.models": (
        *("AssetReference", "AssetSyncRequest", "BatchSyncResponse", "ManifestEntry"),
        *("S3Asset", "Scene"),
        *("UrlType", "VideoSession"),
    ),
    "library.platform": ("Platform", "open"),
    "library.recovery": ("ErrorRecoveryManager", "RecoveryAction", "RecoveryKind"),
    "library.sealed_metadata": ("MetadataKeys", "SealError"),
    "library.security": ("AccessDeniedError", "SecurityManager"),
    "library.storage": ("S3Storage",),
    "library.sync": ("ConvexS3Sync",),
    "settings": ("Settings", "SettingsError"),
}


def __getattr__(name: str) -> Any:
    """Load a name's module."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f".{home}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Name what can be imported."""
    return sorted({*globals(), *__all__, "open"})
