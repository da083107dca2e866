"""Sessions and scenes that ops name and that the application has not made yet (``convex.on_unknown_entity``).

Their ops wait. The oldest one of each asks now and then, so that ten thousand that wait cost no more calls
than one. All of it dies with the process: the first call of the next one finds out again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

PAUSE_SECONDS = 1.0
PAUSE_SECONDS_MAX = 30.0
_DOUBLED_MAX = 10  # enough for the longest pause
ITSELF = ""  # a session, among the scenes of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Who names it may ask again at ``due`` (monotonic); ``why`` it waits, Convex says in a sentence."""

    due: float
    asked: int
    why: str


UnknownOfSession = Mapping[str, Unknown]  # by scene; ITSELF is the session


class UnknownEntities:
    """Which are unknown, and when to ask again: after 1, 2, 4 ... 30 seconds."""

    def __init__(self) -> None:
        """Know of none."""
        self._sessions: dict[str, dict[str, Unknown]] = {}

    def now(self) -> Mapping[str, UnknownOfSession]:
        """Return them by session, as they are now."""
        return {session: dict(unknown) for session, unknown in self._sessions.items()}

    def of(self, session_id: str) -> UnknownOfSession:
        """Return those of a session."""
        return self._sessions.get(session_id, {})

    def why(self, session_id: str, scene_id: str | None) -> str | None:
        """Return why what names a scene, or a session alone, waits; None where it does not."""
        unknown = self.of(session_id)
        found = unknown.get(ITSELF) or unknown.get(scene_id or ITSELF)
        return found.why if found else None

    def reasons(self) -> list[str]:
        """Return a sentence for each, the oldest first."""
        return [one.why for of in self._sessions.values() for one in of.values()]

    def missed(self, session_id: str, scene_id: str, why: str, *, now: float) -> bool:
        """Say that Convex does not know it; tell whether that is news."""
        unknown = self._sessions.setdefault(session_id, {})
        before = unknown.get(scene_id)
        asked = before.asked + 1 if before else 1
        pause = min(PAUSE_SECONDS_MAX, PAUSE_SECONDS * 2.0 ** min(asked - 1, _DOUBLED_MAX))
        unknown[scene_id] = Unknown(due=now + pause, asked=asked, why=why)
        return before is None

    def found(self, session_id: str, scene_id: str = ITSELF) -> bool:
        """Say that it is there, and so is its session; tell whether anything waited for that."""
        unknown = self._sessions.get(session_id, {})
        waited = [unknown.pop(one, None) for one in {scene_id, ITSELF}]
        if not unknown:
            self._sessions.pop(session_id, None)
        return any(one is not None for one in waited)


def is_waiting(unknown: UnknownOfSession, *, now: float) -> bool:
    """Tell whether the session itself is unknown, and nobody may ask yet."""
    itself = unknown.get(ITSELF)
    return itself is not None and itself.due > now


def waiting_scenes(unknown: UnknownOfSession, *, now: float) -> list[str]:
    """Return the scenes of which nobody may ask yet."""
    return [scene for scene, one in unknown.items() if scene != ITSELF and one.due > now]


def dues(unknown: Mapping[str, UnknownOfSession], *, now: float) -> Iterator[float]:
    """Yield when those that wait may ask."""
    yield from (one.due for of in unknown.values() for one in of.values() if one.due > now)
