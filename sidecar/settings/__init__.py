"""The configuration: one YAML file, the environment, and what they mean together.

Names are loaded when they are asked for: who only wants to know where a daemon listens (``status_section``)
waits for no pydantic.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .convex import Convex, ConvexAuth, DeployKeyAuth, JwtAuth, NoAuth, TokenFileAuth
    from .loading import from_mapping, load
    from .model import Settings
    from .policies import build_router
    from .problems import Problem, SettingsError
    from .s3 import S3, Upload
    from .secret import Secret
    from .show import json_schema, masked
    from .watch import Entities, Rule, Watch

__all__ = [
    "S3",
    "Convex",
    "ConvexAuth",
    "DeployKeyAuth",
    "Entities",
    "JwtAuth",
    "NoAuth",
    "Problem",
    "Rule",
    "Secret",
    "Settings",
    "SettingsError",
    "TokenFileAuth",
    "Upload",
    "Watch",
    "build_router",
    "from_mapping",
    "json_schema",
    "load",
    "masked",
]
_HOMES = {
    "loading": ("from_mapping", "load"),
    "model": ("Settings",),
    "policies": ("build_router",),
    "problems": ("Problem", "SettingsError"),
    "secret": ("Secret",),
    "show": ("json_schema", "masked"),
    "s3": ("S3", "Upload"),
    "convex": ("Convex", "ConvexAuth", "DeployKeyAuth", "JwtAuth", "NoAuth", "TokenFileAuth"),
    "watch": ("Entities", "Rule", "Watch"),
}


def __getattr__(name: str) -> Any:
    """Load a name's module."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f".{home}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
