"""All scenarios by name."""

from __future__ import annotations

from dataclasses import replace

from .operating import OPERATING
from .rendering import RENDERING
from .scenario import Scenario

_KNOWN: dict[str, Scenario] = {**RENDERING, **OPERATING}
# What is complete when it is first seen is journaled once: whatever happens then ends as it does otherwise.
_AT_ONCE = ("batch", "replace-ready", "aba", "marker", "restart", "journal-lost")
SCENARIOS: dict[str, Scenario] = _KNOWN | {
    f"{name}-at-once": replace(_KNOWN[name], first_looks=True) for name in _AT_ONCE
}
