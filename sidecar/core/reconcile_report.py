"""What a comparison of journal, bucket and Convex found, for people."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from .inconsistencies import InconsistencyType, Repair


@dataclass(frozen=True, slots=True, kw_only=True)
class Inconsistency:
    """One inconsistency: its type, the object key and what repairs it."""

    type: InconsistencyType
    key: str
    repair: Repair


@dataclass(slots=True, kw_only=True)
class ReconcileReport:
    """Numbers by type. ``repaired`` counts what was journaled; ``examples`` are some of what was found."""

    compared: int = 0
    found: Counter[str] = field(default_factory=Counter)
    repaired: Counter[str] = field(default_factory=Counter)
    examples: list[Inconsistency] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
