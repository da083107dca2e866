"""All scenarios by name."""

from __future__ import annotations

from .operating import OPERATING
from .rendering import RENDERING
from .scenario import Scenario

SCENARIOS: dict[str, Scenario] = {**RENDERING, **OPERATING}
