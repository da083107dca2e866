from .core.errors import ErrorKind, FatalError, SidecarError
from .core.inconsistencies import InconsistencyType
from .core.model import AssetType, EntityType
from .library.assets import AssetManager
from .library.errors import (
    ClosedError,
    ForkedError,
    LibraryError,
    NotFoundError,
    RefusedError,
    SourceError,
    WrongLoopError,
)
from .library.metrics import AssetMetrics
from .library.models import (
    AssetReference,
    AssetSyncRequest,
    BatchSyncResponse,
    ManifestEntry,
    S3Asset,
    Scene,
    UrlType,
    VideoSession,
)
from .library.platform import Platform
from .library.platform import open as open  # noqa: A004 - the platform's name, which no star import takes along
from .library.recovery import ErrorRecoveryManager, RecoveryAction, RecoveryKind
from .library.sealed_metadata import MetadataKeys, SealError
from .library.security import AccessDeniedError, SecurityManager
from .library.storage import S3Storage
from .library.sync import ConvexS3Sync
from .settings import Settings, SettingsError

__version__: str
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
