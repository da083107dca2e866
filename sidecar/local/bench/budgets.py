"""What is promised of a figure (CONTRACT.md, "Budgets"), read from one line and judged by what was measured.

wall <= 1.5, aim 1.0 x s5cmd        a ratio to another tool's figure of the same row
p99 <= 300, aim 200 ms              a figure by itself
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

Figures = Mapping[str, float]  # by name: wall and cpu in seconds, rss in MiB, and what a row has besides
OURS = "sidecar"
_NUMBER = r"\d+(?:\.\d+)?"
_LINE = re.compile(
    rf"(?P<figure>[a-z]\w*) <= (?P<least>{_NUMBER})(?:, aim (?P<aim>{_NUMBER}))?"
    r"(?: x (?P<peer>[a-z]\w*)| (?P<unit>[^\d\s].*))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """At most ``least``, better ``aim``: of the figure itself in ``unit``, or of its ratio to ``peer``."""

    figure: str
    least: float
    aim: float | None = None
    peer: str | None = None
    unit: str = ""

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read a line. Raises ValueError for one that says nothing, or an aim that is no better."""
        found = _LINE.fullmatch(line)
        if found is None:
            raise ValueError(f"{line!r} is no budget: 'wall <= 1.5, aim 1.0 x s5cmd', 'p99 <= 300 ms'")
        least, aim = float(found["least"]), None if found["aim"] is None else float(found["aim"])
        if aim is not None and aim > least:
            raise ValueError(f"{line!r}: the aim is no better than the least")
        return cls(figure=found["figure"], least=least, aim=aim, peer=found["peer"], unit=found["unit"] or "")

    def __str__(self) -> str:
        """Write the line."""
        aim = "" if self.aim is None else f", aim {self.aim:g}"
        return f"{self.figure} <= {self.least:g}{aim}{self.of}"

    @property
    def limits(self) -> str:
        """The numbers, in words."""
        return f"at most {self.least:g}" + ("" if self.aim is None else f", aim {self.aim:g}")

    @property
    def of(self) -> str:
        """What the numbers are of, with a blank before it."""
        if self.peer is not None:
            return f" x {self.peer}"
        return f" {self.unit}" if self.unit else ""

    def judge(self, figures: Mapping[str, Figures]) -> Verdict:
        """Judge by the figures of each tool; without one of the two there is no verdict."""
        ours = figures.get(OURS, {}).get(self.figure)
        if self.peer is None or ours is None:
            return Verdict(budget=self, measured=ours)
        theirs = figures.get(self.peer, {}).get(self.figure)
        return Verdict(budget=self, measured=ours / theirs if theirs else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A budget, and what was measured of it: the figure or the ratio; None where it could not be."""

    budget: Budget
    measured: float | None

    @property
    def is_met(self) -> bool | None:
        """Whether the least is; None where nothing was measured."""
        return None if self.measured is None else self.measured <= self.budget.least

    @property
    def is_aim_met(self) -> bool | None:
        """Whether the aim is; None where there is none, or nothing was measured."""
        if self.measured is None or self.budget.aim is None:
            return None
        return self.measured <= self.budget.aim

    @property
    def words(self) -> str:
        """Say it: the aim is met, the least is, or by how much it is not."""
        if self.measured is None:
            return f"not measured: {self.budget.peer} is missing" if self.budget.peer else "not measured"
        found = f"{number(self.measured)}{self.budget.of}"
        if self.is_met:
            return f"{found}: {'aim met' if self.is_aim_met else 'met'}"
        return f"{found}: {number(self.measured / self.budget.least)} times what is allowed"

    def as_json(self) -> dict[str, Any]:
        """Return it for ``--json``."""
        return {
            "budget": str(self.budget),
            "measured": None if self.measured is None else round(self.measured, 3),
            "met": self.is_met,
            "aim_met": self.is_aim_met,
        }


def number(value: float) -> str:
    """Return a number with as many digits as a reader can use: 0.042, 7.12, 17.3, 117, 1,300."""
    for above, digits in ((100, 0), (10, 1), (1, 2)):
        if abs(value) >= above:
            return f"{value:,.{digits}f}"
    return f"{value:.3f}"
