"""What was measured, as plain values: runs, their medians, ratios and verdicts."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .budgets import OURS, Figures, Verdict
from .rows import Row

VERSION = 1  # of the JSON
COMPARED = ("s5cmd", "floor")
RATIOS = ("wall", "cpu", "visible")


@dataclass(slots=True, kw_only=True)
class RowResult:
    """One row over one transport: of each tool all its runs, or why it has none."""

    row: Row
    transport: str  # plain | tls
    runs: dict[str, list[Figures]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The row's name with its transport."""
        return f"{self.row.name}/{self.transport}"

    def medians(self) -> dict[str, Figures]:
        """Return each tool's figures."""
        return {peer: medians(runs) for peer, runs in self.runs.items() if runs}

    def verdicts(self) -> list[Verdict]:
        """Judge each budget of the row."""
        found = self.medians()
        return [budget.judge(found) for budget in self.row.promises()]

    def ratios(self) -> dict[str, dict[str, float]]:
        """Return the sidecar's figures divided by those of the tools that it is compared with."""
        found = self.medians()
        ours = found.get(OURS, {})
        return {
            peer: {
                name: round(ours[name] / found[peer][name], 3)
                for name in RATIOS
                if name in ours and found[peer].get(name)
            }
            for peer in COMPARED
            if peer in found and ours
        }

    def as_json(self) -> dict[str, Any]:
        """Return it for ``--json``."""
        return {
            "row": self.row.name,
            "title": self.row.title,
            "transport": self.transport,
            "rtt_ms": self.row.rtt_ms,
            "files": self.row.files,
            "bytes": self.row.bytes,
            "tools": {
                peer: {"median": rounded(medians(runs)), "runs": [rounded(run) for run in runs]}
                for peer, runs in self.runs.items()
                if runs
            },
            "failures": self.failures,
            "ratios": self.ratios(),
            "budgets": [verdict.as_json() for verdict in self.verdicts()],
        }


@dataclass(slots=True, kw_only=True)
class Report:
    """The whole run. ``tools`` has each tool's version, or how to install it; ``notes`` are sentences."""

    began: str
    version: str
    machine: Mapping[str, Any]
    scale: float
    repeat: int
    tools: dict[str, str]
    missing: dict[str, str]
    rows: list[RowResult] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def verdicts(self) -> Iterator[tuple[RowResult, Verdict]]:
        """Yield every verdict with its row."""
        for result in self.rows:
            for verdict in result.verdicts():
                yield result, verdict

    def as_json(self) -> dict[str, Any]:
        """Return it for ``--json``."""
        return {
            "version": VERSION,
            "sidecar": self.version,
            "began": self.began,
            "machine": dict(self.machine),
            "scale": self.scale,
            "repeat": self.repeat,
            "tools": self.tools,
            "missing": self.missing,
            "rows": [result.as_json() for result in self.rows],
            "notes": self.notes,
        }


def medians(runs: Sequence[Figures]) -> dict[str, float]:
    """Return the median of each figure that every run has."""
    shared = set.intersection(*(set(run) for run in runs))
    return {name: statistics.median(run[name] for run in runs) for name in runs[0] if name in shared}


def rounded(figures: Figures) -> dict[str, float]:
    """Return the figures without digits that mean nothing."""
    return {name: round(value, 3) for name, value in figures.items()}
