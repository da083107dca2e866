"""From bytes to settings, with every mistake at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .model import Settings


def load(path: Path | None, *, environ: Mapping[str, str]) -> Settings:
    """Return the settings of a file and the environment. Raises SettingsError."""
    raise NotImplementedError


def from_mapping(values: Mapping[str, Any]) -> Settings:
    """Return the settings of a mapping that was built in code. Raises SettingsError."""
    return Settings.model_validate(values)
