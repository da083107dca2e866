"""The configuration: one YAML file, the environment, and what they mean together."""

from .loading import from_mapping, load
from .model import Settings
from .policies import build_router
from .problems import Problem, SettingsError
from .secret import Secret
from .showing import json_schema, masked
from .storing import S3, Upload
from .telling import Convex, ConvexAuth, DeployKeyAuth, JwtAuth, NoAuth, TokenFileAuth
from .watching import Entities, Rule, Watch

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
