"""Mistakes in a configuration: where, what is wrong, what would be right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Key = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake. ``where`` is ``file:line:column``, an environment variable, or empty in code."""

    where: str
    key: str
    message: str
    place: tuple[int, int] = (0, 0)  # line and column, for sorting

    def __str__(self) -> str:
        """One line."""
        return ": ".join(step for step in (self.where, self.key, self.message) if step)


class SettingsError(Exception):
    """The configuration cannot be used; ``problems`` holds every mistake. Exit status 78."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        """At least one problem, in the order of the file."""
        super().__init__(problems)
        self.problems: tuple[Problem, ...] = tuple(problems)

    def __str__(self) -> str:
        """All of them, one a line."""
        return "\n".join(str(problem) for problem in self.problems)


def dotted(key: Key) -> str:
    """Return a key as people write it: ``watch[0].root``."""
    text = ""
    for step in key:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text
